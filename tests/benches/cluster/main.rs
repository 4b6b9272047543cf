//! What a cluster of three processes on this machine achieves, beside what it is to achieve.
//!
//! Run it through `make bench`; `BENCH=quick make bench` only shows that it works. Figures follow each other on one
//! cluster, each on the state that those before it left.

mod enrollment;
mod failover;
mod figures;
mod fleet;
mod lists;
mod machine;
mod sessions;
mod site;
mod sizes;
mod wire;
mod writes;

use std::env;

use anyhow::ensure;

use figures::{Aim, Table};
use site::Site;
use sizes::{Sizes, is_wanted};

/// Syncs that are timed at the start.
const SYNCS: usize = 300;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next() {
        Some(first) if first == fleet::PART => fleet::run_part(arguments).await,
        Some(other) => anyhow::bail!("no argument {other:?}: sizes are told by variables, see sizes.rs"),
        None => measure(Sizes::from_env()?).await,
    }
}

/// Measures everything, and prints the table. A part that fails is told, and the others are measured all the same.
async fn measure(sizes: Sizes) -> anyhow::Result<()> {
    let mut table = Table::default();
    let mut failures = Vec::new();
    let mut note = |part: &str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            eprintln!("  {part}: {error:#}");
            failures.push(format!("{part}: {error:#}"));
        }
    };
    eprintln!("{}\n{sizes:?}", machine::describe());
    let mut site = Site::start().await?;
    let syncs = machine::sync_latency(site.directory(), SYNCS)?;
    table.times("append of 512 bytes and fdatasync, nothing else running", &syncs, Aim::None);
    if is_wanted("writes") {
        note("writes", writes::measure(&site, sizes, &mut table).await);
    }
    // Always: the others need the agents.
    let identities = enrollment::measure(&site, sizes, &mut table).await?;
    if is_wanted("sessions") {
        note("sessions", sessions::measure(&site, sizes, &identities, &mut table).await);
    }
    if is_wanted("lists") {
        note("lists", lists::measure(&site, sizes, &mut table).await);
    }
    if is_wanted("failover") {
        note("failover", failover::measure(&mut site, sizes, &mut table).await);
    }
    println!("\nThree nodes on {}\n\n{table}", machine::describe());
    ensure!(failures.is_empty(), "not everything could be measured:\n{}", failures.join("\n"));
    Ok(())
}
