//! Simulated agents over the real protocol: the engine behind `muster simulate` and the whole-system tests.
//!
//! One task per agent and no threads of their own, so that thousands fit into a process. An agent enrolls, starts up,
//! keeps alive, answers requests and obeys restarts as a real one does (agent protocol, sections 4.2 to 4.7), and
//! misbehaves where its [`Quirks`] say so. What it saw and did is counted in [`AgentStats`], readable at any time.
//!
//! From the outside in: [`run()`] is the command, [`Fleet`] many agents, [`Agent`] one of them.

mod agent;
mod answers;
mod args;
mod config;
mod connection;
mod duration;
mod enroll;
mod fleet;
mod life;
mod mover;
mod order;
mod process;
mod progress;
mod quirks;
mod run;
mod session;
mod stats;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trust;

pub use agent::Agent;
pub use args::SimulateArgs;
pub use config::{AgentConfig, Pace};
pub use enroll::{EnrollError, Enroller};
pub use fleet::Fleet;
pub use mover::Mover;
pub use quirks::{Quirks, Reaction};
pub use run::run;
pub use stats::{AgentStats, Count};
