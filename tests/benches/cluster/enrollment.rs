//! Agents that enroll: 64 at a time, spread over all nodes, each known to a quorum's disks before it is answered.

use std::time::Instant;

use anyhow::Context;
use futures_util::StreamExt;
use muster_gateway::codec::ClientKeyLine;
use muster_node::simulate::Enroller;

use crate::figures::{Aim, Table};
use crate::site::Site;
use crate::sizes::Sizes;

/// Enrollments under way at a time.
const CONNECTIONS: usize = 64;

/// Fills the state and measures how fast that goes. Returns the agents in the order of their ids.
///
/// # Errors
/// When an agent can not be enrolled.
pub(crate) async fn measure(site: &Site, sizes: Sizes, table: &mut Table) -> anyhow::Result<Vec<ClientKeyLine>> {
    let names = (0..sizes.agents).map(|number| format!("workstation-{number:06}"));
    let cpu = site.cpu_time()?;
    let began = Instant::now();
    let enroller = Enroller::new(site.enrollments());
    let mut results = std::pin::pin!(enroller.enroll_all(names, CONNECTIONS));
    let mut identities = Vec::with_capacity(sizes.agents);
    while let Some(result) = results.next().await {
        identities.push(result.context("an agent could not be enrolled")?);
        if identities.len().is_multiple_of(10_000) {
            eprintln!("  enrolled {} after {:.1} s", identities.len(), began.elapsed().as_secs_f64());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (site.cpu_time()? - cpu).as_secs_f64();
    let count = identities.len();
    table.value(
        "enrollments per second, 64 connections over three nodes",
        count,
        count as f64 / seconds,
        Aim::AtLeast(1200.0),
    );
    table.value("  CPU of the three nodes per enrollment, in us", count, cpu / count as f64 * 1e6, Aim::None);
    identities.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    Ok(identities)
}
