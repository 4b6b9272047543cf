//! Ports for one cluster.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rand::Rng;

/// Ports in one block.
const BLOCK: u16 = 16;

/// Where blocks lie: above the well-known ports, below those that outgoing connections get by themselves, so that a
/// node that is down for a while finds its ports free again.
const RANGE: std::ops::Range<u16> = 640..2_000;

/// A block of ports on loopback that no other test uses, until it is dropped.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Takes a block whose ports are all free.
    ///
    /// # Panics
    /// When a hundred blocks were not.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join("muster-tests");
        fs::create_dir_all(&directory).expect("the temporary directory can be written to");
        for _ in 0..100 {
            let first = rand::rng().random_range(RANGE) * BLOCK;
            let path = directory.join(format!("ports-{first}"));
            let lock = OpenOptions::new().create(true).append(true).open(path).expect("a lock file");
            let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if lock.try_lock().is_ok() && (first..first + BLOCK).all(is_free) {
                return Self { first, _lock: lock };
            }
        }
        panic!("no free ports");
    }

    /// The address of port `number` of the block.
    ///
    /// # Panics
    /// When the block is not that large.
    pub fn address(&self, number: u16) -> SocketAddr {
        assert!(number < BLOCK, "port {number} of {BLOCK}");
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.first + number))
    }
}
