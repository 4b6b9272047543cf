//! The engine against the tiny manager of `testing`: one claim each about how agents behave.

mod enrolling;
mod fleets;
mod reconnecting;
mod restarting;
