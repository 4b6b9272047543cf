//! Failed logins, counted by the address of the client (REST contract, section 1.1).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::problem::Problem;

/// So many addresses are remembered; beyond, those that are quiet for longest are forgotten first.
const MAX_ADDRESSES: usize = 65_536;

/// Blocks an address for a while after too many failed logins: so one client has a bounded share of the password
/// comparisons, of which a node does few at a time.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    attempts: u32,
    block: Duration,
    addresses: Mutex<HashMap<IpAddr, Attempts>>,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    last: Instant,
}

impl LoginThrottle {
    /// Blocks for `block` after `attempts` failures; zero attempts never block.
    pub(crate) fn new(attempts: u32, block: Duration) -> Self {
        Self { attempts, block, addresses: Mutex::default() }
    }

    /// Counts an attempt, before it is known whether it fails: attempts at the same moment count too.
    ///
    /// # Errors
    /// When the address is blocked.
    pub(crate) fn attempt(&self, address: IpAddr, now: Instant) -> Result<(), Problem> {
        if self.attempts == 0 {
            return Ok(());
        }
        let address = client(address);
        let mut addresses = self.addresses.lock().expect("nothing panics while it holds this lock");
        if !addresses.contains_key(&address) && addresses.len() >= MAX_ADDRESSES {
            self.forget_some(&mut addresses, now);
        }
        let known = addresses.entry(address).or_insert(Attempts { count: 0, last: now });
        if now.duration_since(known.last) >= self.block {
            known.count = 0;
        }
        if known.count >= self.attempts {
            return Err(Problem::blocked());
        }
        *known = Attempts { count: known.count + 1, last: now };
        Ok(())
    }

    /// Gives the attempt of a successful login back.
    pub(crate) fn succeeded(&self, address: IpAddr) {
        let address = client(address);
        let mut addresses = self.addresses.lock().expect("nothing panics while it holds this lock");
        if let Some(known) = addresses.get_mut(&address) {
            known.count = known.count.saturating_sub(1);
            if known.count == 0 {
                addresses.remove(&address);
            }
        }
    }

    fn forget_some(&self, addresses: &mut HashMap<IpAddr, Attempts>, now: Instant) {
        addresses.retain(|_, known| now.duration_since(known.last) < self.block);
        if addresses.len() >= MAX_ADDRESSES {
            let mut lasts: Vec<Instant> = addresses.values().map(|known| known.last).collect();
            let (_, median, _) = lasts.select_nth_unstable(MAX_ADDRESSES / 2);
            let median = *median;
            addresses.retain(|_, known| known.last > median);
        }
    }
}

/// What counts as one client: an IPv4 address, however it is written, or a network of 64 bits of IPv6. One machine has
/// as many addresses in such a network as it likes.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_secs(300);

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn one_more_than_the_limit_is_blocked_for_the_whole_span() {
        let (throttle, start) = (LoginThrottle::new(50, BLOCK), Instant::now());
        assert!((0..50).all(|_| throttle.attempt(address(1), start).is_ok()));
        assert!(throttle.attempt(address(1), start).is_err());
        assert!(throttle.attempt(address(1), start + BLOCK - Duration::from_secs(1)).is_err());
        assert!(throttle.attempt(address(1), start + BLOCK).is_ok());
    }

    #[test]
    fn another_address_is_not_concerned() {
        let (throttle, now) = (LoginThrottle::new(1, BLOCK), Instant::now());
        assert!(throttle.attempt(address(1), now).is_ok());
        assert!(throttle.attempt(address(1), now).is_err());
        assert!(throttle.attempt(address(2), now).is_ok());
    }

    #[test]
    fn a_client_with_many_addresses_of_one_network_is_one_client() {
        let (throttle, now) = (LoginThrottle::new(1, BLOCK), Instant::now());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (first, same, other) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ] {
            assert!(throttle.attempt(ip(first), now).is_ok());
            assert!(throttle.attempt(ip(same), now).is_err(), "{same}");
            assert!(throttle.attempt(ip(other), now).is_ok(), "{other}");
            throttle.succeeded(ip(same));
            assert!(throttle.attempt(ip(first), now).is_ok(), "{first}");
        }
    }

    #[test]
    fn a_successful_login_gives_its_attempt_back() {
        let (throttle, now) = (LoginThrottle::new(2, BLOCK), Instant::now());
        assert!(throttle.attempt(address(1), now).is_ok());
        for _ in 0..10 {
            assert!(throttle.attempt(address(1), now).is_ok());
            throttle.succeeded(address(1));
        }
    }

    #[test]
    fn remembered_addresses_are_bounded() {
        let (throttle, now) = (LoginThrottle::new(50, BLOCK), Instant::now());
        for number in 0..MAX_ADDRESSES as u32 + 100 {
            let at = now + Duration::from_micros(u64::from(number));
            throttle.attempt(IpAddr::V4(number.into()), at).unwrap();
        }
        assert!(throttle.addresses.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
