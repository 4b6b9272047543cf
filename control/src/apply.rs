//! What each change does, by subject.

mod author;
mod clock;
mod cluster;
mod command;
mod delivery;
mod enrollment;
mod group;
mod import;
mod node;
mod removal;
mod session;
