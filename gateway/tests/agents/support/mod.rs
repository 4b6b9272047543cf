//! A cluster with gateways, and agents that speak to it.

mod agent;
mod release;
mod replicas;
mod site;
mod wire;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use agent::{Agent, Dialect};
pub(crate) use release::Release;
pub(crate) use site::Site;
pub(crate) use wire::{Transport, Wire};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a question is answered.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
