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

use figures::{Aim, Table};
use site::Site;
use sizes::Sizes;

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

/// Measures everything, and prints the table.
async fn measure(sizes: Sizes) -> anyhow::Result<()> {
    let mut table = Table::default();
    eprintln!("{}\n{sizes:?}", machine::describe());
    let mut site = Site::start().await?;
    let syncs = machine::sync_latency(site.directory(), SYNCS)?;
    table.times("append of 512 bytes and fdatasync, nothing else running", &syncs, Aim::None);
    writes::measure(&site, sizes, &mut table).await?;
    let identities = enrollment::measure(&site, sizes, &mut table).await?;
    sessions::measure(&site, sizes, &identities, &mut table).await?;
    lists::measure(&site, sizes, &mut table).await?;
    failover::measure(&mut site, sizes, &mut table).await?;
    drop(site);
    println!("\nThree nodes on {}\n", machine::describe());
    println!("{table}");
    Ok(())
}
