//! What a replica counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a replica has done since its start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Name, explanation and value of each counter.
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Entries appended to the log.
    entries_appended,
    /// Bytes of entries appended to the log.
    bytes_appended,
    /// Synced writes to the log's disk; entries per sync is the size of a group commit.
    log_syncs,
    /// Microseconds spent in synced writes.
    log_sync_micros,
    /// Votes saved.
    votes_saved,
    /// Entries dropped from the log below a snapshot.
    entries_purged,
    /// Entries applied to the state machine.
    entries_applied,
    /// Snapshots written from this node's own state.
    snapshots_built,
    /// Snapshots received from a leader.
    snapshots_installed,
    /// Snapshots sent to followers.
    snapshots_sent,
    /// Proposals handed to the leader's log by this node.
    proposals_led,
    /// Proposals this node forwarded to the leader.
    proposals_forwarded,
    /// Proposals refused before they entered the log.
    proposals_refused,
    /// Rounds of read-index this node asked for.
    read_rounds,
    /// Linearizable reads answered.
    reads_answered,
    /// Requests of peers refused because of their certificate, cluster, disk or target.
    strangers_refused,
    /// Connections to peers that were made.
    peer_connections,
    /// Notices that readers missed because they lagged.
    notices_missed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_listed_with_name_explanation_and_value() {
        let counters = Counters::default();
        counters.log_syncs.add(2);
        let all = counters.all();
        assert!(all.contains(&("entries_appended", "Entries appended to the log.", 0)), "{all:?}");
        assert!(all.iter().any(|(name, _, value)| (*name, *value) == ("log_syncs", 2)));
    }
}
