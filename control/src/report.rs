//! What an agent tells about itself in its keepalives.

use minicbor::{Decode, Encode};

use crate::shared::Shared;
use crate::text::Label;

/// Version, system and sums of one agent, as far as it told them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// `Wazuh vX.Y.Z`.
    #[n(0)]
    pub version: Option<Label>,
    /// The operating system.
    #[n(1)]
    pub os: Shared<OperatingSystem>,
    /// Sum of the agent's configuration.
    #[n(2)]
    pub config_sum: Option<Label>,
    /// Sum of the group files it holds.
    #[n(3)]
    pub merged_sum: Option<Label>,
    /// Its own address as it sees it.
    #[n(4)]
    pub address: Option<Label>,
    /// Its labels, one per line.
    #[n(5)]
    pub labels: Option<Label>,
    /// The uname line; apart from the system, since it names the host.
    #[n(6)]
    pub uname: Option<Label>,
}

/// The system an agent runs on; each field only if the agent told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct OperatingSystem {
    /// Such as `Debian GNU/Linux`.
    #[n(0)]
    pub name: Option<Label>,
    /// Such as `12`.
    #[n(1)]
    pub version: Option<Label>,
    /// Leading number of the version.
    #[n(2)]
    pub major: Option<Label>,
    /// Second number of the version.
    #[n(3)]
    pub minor: Option<Label>,
    /// Such as `bookworm`.
    #[n(4)]
    pub codename: Option<Label>,
    /// Build number, on Windows.
    #[n(5)]
    pub build: Option<Label>,
    /// Such as `debian`, `windows`.
    #[n(6)]
    pub platform: Option<Label>,
    /// Such as `x86_64`.
    #[n(7)]
    pub arch: Option<Label>,
}

impl Report {
    /// Takes what `newer` tells and keeps what it is silent about: a partial report erases nothing.
    ///
    /// The system counts as one statement, since half of an old and half of a new one describe no machine.
    pub(crate) fn merge(&mut self, newer: &Self) {
        take(&mut self.version, &newer.version);
        take(&mut self.config_sum, &newer.config_sum);
        take(&mut self.merged_sum, &newer.merged_sum);
        take(&mut self.address, &newer.address);
        take(&mut self.labels, &newer.labels);
        take(&mut self.uname, &newer.uname);
        if *newer.os != OperatingSystem::default() {
            self.os = newer.os.clone();
        }
    }
}

fn take(known: &mut Option<Label>, told: &Option<Label>) {
    if told.is_some() {
        known.clone_from(told);
    }
}
