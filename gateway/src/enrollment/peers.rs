//! How many requests each address may have under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what is under way, by address.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place of one address; given back when dropped.
#[derive(Debug)]
pub(crate) struct PeerPermit {
    peer: IpAddr,
    peers: Peers,
}

impl Peers {
    /// So many places for each address.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, counts: Arc::default() }
    }

    /// Takes a place, if one is left.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<PeerPermit> {
        self.change(peer, |count| (*count < self.limit).then(|| *count += 1))?;
        Some(PeerPermit { peer, peers: self.clone() })
    }

    /// Changes the count of an address and forgets it at zero.
    fn change<R>(&self, peer: IpAddr, change: impl FnOnce(&mut usize) -> R) -> R {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        let result = change(count);
        if *count == 0 {
            counts.remove(&peer);
        }
        result
    }
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        self.peers.change(self.peer, |count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_places() {
        let peers = Peers::new(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held = [peers.admit(one), peers.admit(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(peers.admit(one).is_none());
        assert!(peers.admit(other).is_some());
        drop(held);
        assert!(peers.admit(one).is_some());
        assert!(peers.counts.lock().unwrap().is_empty());
    }
}
