//! One node: from a configuration to a process that serves, and back in reverse order.

mod founding;
mod lease;
mod logging;
mod node;
mod ports;
mod signals;
mod tls;

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::failure::Failure;
use node::Node;

/// Runs `muster serve`: returns when the node has stopped.
///
/// # Errors
/// When the configuration is wrong, the node cannot start, or it has failed for good.
pub(crate) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    if args.check {
        print!("{}", config.effective());
        return Ok(());
    }
    logging::start(&config.log);
    let stop = signals::watch(args.stop_with_stdin)?;
    tracing::info!(
        node_id = %config.node.id,
        version = env!("CARGO_PKG_VERSION"),
        config = %config.effective_line(),
        "starting"
    );
    let mut node = Node::start(&config, &stop).await?;
    let failure = node.run(&stop).await;
    node.stop().await;
    match failure {
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(failure) => {
            tracing::error!(%failure, "stopped for good");
            Err(failure)
        }
    }
}
