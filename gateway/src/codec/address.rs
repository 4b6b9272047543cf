//! The address an agent is registered with (1.5, 3.2): who may use its key, and whether it names itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A registered address, understood.
///
/// `Display` gives the one normal form that is stored, sent and compared: IPv4 dotted, IPv6 expanded to eight groups of four
/// upper-case digits, a network with `/prefix`. IPv4 inside IPv6 (`::ffff:a.b.c.d`) is IPv4 throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    /// `any`: no restriction.
    Any,
    /// One address.
    Host(IpAddr),
    /// A network; the address keeps its host bits as written.
    Network(IpAddr, u8),
}

/// Text that is no address, network or `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 'any', an IP address, or a network such as 10.0.0.0/8")]
pub struct InvalidAddress;

impl AddressPattern {
    /// Whether an agent at `peer` may use the key.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match (*self, peer) {
            (Self::Any, _) => true,
            (Self::Host(host), _) => host == peer,
            (Self::Network(IpAddr::V4(network), prefix), IpAddr::V4(peer)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                (network.to_bits() ^ peer.to_bits()) & mask == 0
            }
            (Self::Network(IpAddr::V6(network), prefix), IpAddr::V6(peer)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                (network.to_bits() ^ peer.to_bits()) & mask == 0
            }
            (Self::Network(..), _) => false,
        }
    }

    /// Whether such an agent puts `!ID!` in front of its messages: all but those with a single IPv4 address do.
    pub fn sends_id(&self) -> bool {
        !matches!(self, Self::Host(IpAddr::V4(_)))
    }

    /// The address alone as events and "Agent started" show it: without the mask, `any` as it is.
    pub fn without_mask(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::Host(ip) | Self::Network(ip, _) => wire_address(*ip),
        }
    }
}

impl From<IpAddr> for AddressPattern {
    fn from(ip: IpAddr) -> Self {
        Self::Host(ip.to_canonical())
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Host(ip) => f.write_str(&wire_address(*ip)),
            Self::Network(ip, prefix) => write!(f, "{}/{prefix}", wire_address(*ip)),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = InvalidAddress;

    /// Reads `any`, an address, `address/prefix` and `a.b.c.d/netmask`; a mask of all bits makes it one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let Some((address, mask)) = text.split_once('/') else {
            return text.parse().map(IpAddr::into).map_err(|_| InvalidAddress);
        };
        let written: IpAddr = address.parse().map_err(|_| InvalidAddress)?;
        let mut prefix = match written {
            IpAddr::V4(_) if mask.contains('.') => prefix_of(mask.parse().map_err(|_| InvalidAddress)?)?,
            _ if mask.bytes().all(|byte| byte.is_ascii_digit()) => mask.parse().map_err(|_| InvalidAddress)?,
            _ => return Err(InvalidAddress),
        };
        let ip = written.to_canonical();
        if ip.is_ipv4() && written.is_ipv6() {
            prefix = u8::checked_sub(prefix, 96).ok_or(InvalidAddress)?;
        }
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        match prefix {
            _ if prefix > bits => Err(InvalidAddress),
            _ if prefix == bits => Ok(Self::Host(ip)),
            _ => Ok(Self::Network(ip, prefix)),
        }
    }
}

fn prefix_of(netmask: Ipv4Addr) -> Result<u8, InvalidAddress> {
    let bits = netmask.to_bits();
    let is_contiguous = bits.leading_ones() + bits.trailing_zeros() >= 32;
    if is_contiguous { Ok(bits.leading_ones() as u8) } else { Err(InvalidAddress) }
}

/// An address in the normal form of the protocol: see [`AddressPattern`].
pub fn wire_address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => expanded(ip),
    }
}

fn expanded(ip: Ipv6Addr) -> String {
    let groups = ip.segments().map(|segment| format!("{segment:04X}"));
    groups.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(text: &str) -> Option<String> {
        text.parse::<AddressPattern>().ok().map(|pattern| pattern.to_string())
    }

    #[test]
    fn each_form_has_one_normal_form() {
        for (text, expected) in [
            ("any", "any"),
            ("10.9.8.7", "10.9.8.7"),
            ("10.9.8.0/24", "10.9.8.0/24"),
            ("10.9.8.0/255.255.255.0", "10.9.8.0/24"),
            ("10.9.8.7/32", "10.9.8.7"),
            ("::ffff:10.9.8.7", "10.9.8.7"),
            ("::ffff:10.9.8.0/120", "10.9.8.0/24"),
            ("fe80::1", "FE80:0000:0000:0000:0000:0000:0000:0001"),
            ("fd00::/8", "FD00:0000:0000:0000:0000:0000:0000:0000/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "ANY", "10.0.0.300", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/+8", "10.0.0.0/255.0.255.0"] {
            assert_eq!(normal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_peers_inside_the_registration_are_admitted() {
        let admits =
            |pattern: &str, peer: &str| pattern.parse::<AddressPattern>().unwrap().admits(peer.parse().unwrap());
        assert!(admits("any", "fe80::1"));
        assert!(admits("10.0.0.5", "::ffff:10.0.0.5"));
        assert!(!admits("10.0.0.5", "10.0.0.6"));
        assert!(admits("192.168.10.0/24", "192.168.10.255"));
        assert!(!admits("192.168.10.0/24", "192.168.11.0"));
        assert!(admits("0.0.0.0/0", "1.2.3.4"));
        assert!(!admits("0.0.0.0/0", "::1"));
        assert!(admits("fd00::/8", "fd12::1"));
        assert!(!admits("fd00::/8", "fe12::1"));
    }

    #[test]
    fn agents_with_one_ipv4_address_send_no_id() {
        for (text, sends) in
            [("any", true), ("10.0.0.5", false), ("10.0.0.5/32", false), ("10.0.0.0/8", true), ("::1", true)]
        {
            assert_eq!(text.parse::<AddressPattern>().unwrap().sends_id(), sends, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_reads_as_itself(bits in any::<u128>(), prefix in 0u8..=130) {
            let text = format!("{}/{prefix}", Ipv6Addr::from(bits));
            if let Ok(pattern) = text.parse::<AddressPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[0-9a-f:./ ]{0,40}") {
            let _ = text.parse::<AddressPattern>();
        }
    }
}
