//! How a run ends badly: one line on stderr and an exit code that tells what to do about it.

use std::fmt;
use std::process::ExitCode;

use muster_raft::StartError;

use crate::config::ConfigError;

/// Exit codes, after sysexits.h where it has a fitting one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something that was not foreseen.
    Other = 1,
    /// Bad usage or configuration: change it.
    Usage = 64,
    /// The data directory is not this node's, is damaged or was wiped: restoring or replacing is up to a person. Or a
    /// file to import is broken, or collides with what the cluster has.
    Data = 65,
    /// A port is in use, or an address is not this machine's.
    Port = 69,
    /// Consensus or protocol failed in a way that should not happen.
    Software = 70,
    /// The disk failed or is full.
    Disk = 74,
}

/// Why the process ends, and how.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Ends with `exit`; `cause` is shown with everything that caused it.
    pub fn new(exit: Exit, cause: impl Into<anyhow::Error>) -> Self {
        Self { exit, message: format!("{:#}", cause.into()) }
    }

    /// Ends with `exit` and this message.
    pub fn message(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// What the process returns.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or("failed"))?;
        lines.try_for_each(|line| write!(f, "; {line}"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::message(Exit::Usage, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::Config(_) | StartError::Tls(_) | StartError::NotAMember { .. } => Exit::Usage,
            StartError::Listen { .. } => Exit::Port,
            StartError::InUse(_)
            | StartError::OtherCluster { .. }
            | StartError::OtherNode { .. }
            | StartError::UnknownFormat { .. }
            | StartError::WipedDisk { .. }
            | StartError::Damaged(_) => Exit::Data,
            StartError::Disk { .. } => Exit::Disk,
            StartError::Consensus(_) => Exit::Software,
        };
        Self::new(exit, error)
    }
}

impl From<muster_gateway::StartError> for Failure {
    fn from(error: muster_gateway::StartError) -> Self {
        let exit = match &error {
            muster_gateway::StartError::Listen { .. } => Exit::Port,
            muster_gateway::StartError::Thread(_) => Exit::Other,
        };
        Self::new(exit, error)
    }
}

impl From<muster_http::StartError> for Failure {
    fn from(error: muster_http::StartError) -> Self {
        let exit = match &error {
            muster_http::StartError::Tls(_) => Exit::Usage,
            muster_http::StartError::Listen { .. } => Exit::Port,
            muster_http::StartError::Passwords(_) => Exit::Other,
        };
        Self::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::message(Exit::Usage, "first\n  second\n\nthird\n");
        assert_eq!(failure.to_string(), "first; second; third");
    }
}
