//! From the command line to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use muster_control::NodeId;

use crate::certs::Authority;
use crate::cli::{CertsCommand, Cli, Command};
use crate::failure::{Exit, Failure};
use crate::{dev, export, import, serve, simulate};

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("muster: {failure}");
            failure.code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // One provider for all of TLS; the first to install it wins, and nobody else is here yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Command::Certs(command) = command {
        return certs(&command);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("muster")
        .build()
        .map_err(|error| Failure::new(Exit::Other, anyhow::Error::new(error).context("cannot start threads")))?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(&args).await,
            Command::Dev(args) => dev::run(&args).await,
            Command::Simulate(args) => simulate::run(args).await.map_err(|error| Failure::new(Exit::Other, error)),
            Command::Import(args) => import::run(&args).await,
            Command::Export(args) => export::run(&args).await,
            Command::Certs(_) => Ok(()),
        }
    });
    // Whatever still blocks a thread (a read of standard input) must not hold the process.
    runtime.shutdown_background();
    result
}

fn certs(command: &CertsCommand) -> Result<(), Failure> {
    let failed = |error: crate::CertError| Failure::new(Exit::Other, error);
    match command {
        CertsCommand::Authority(args) => {
            Authority::keep(&args.dir, args.cluster.clone()).map_err(failed)?;
            println!("{}", args.dir.join("ca.pem").display());
        }
        CertsCommand::Node(args) => {
            let authority = Authority::keep(&args.dir, args.cluster.clone()).map_err(failed)?;
            let name = format!("node-{}", args.node);
            let pair = authority.issue(NodeId::new(args.node), &args.hosts).map_err(failed)?;
            pair.save(&args.dir, &name).map_err(failed)?;
            println!("{}", args.dir.join(name).with_extension("pem").display());
        }
    }
    Ok(())
}

/// Help goes to stdout, a mistake is one line on stderr and exit code 64.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = write!(std::io::stdout(), "{}", error.render().ansi());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{error}");
            ExitCode::from(Exit::Usage as u8)
        }
        _ => {
            // clap adds usage and hints in paragraphs of their own; what is wrong is in the first.
            let text = error.to_string();
            let first: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            let message = first.join(" ");
            eprintln!("muster: {}; see muster --help", message.trim_start_matches("error: "));
            ExitCode::from(Exit::Usage as u8)
        }
    }
}
