//! Addresses agents may come from, brought to the one spelling that is stored (agent protocol, section 1.5).

use std::net::{IpAddr, Ipv6Addr};

use muster_control::RegisteredAddress;

/// Reads `any`, an address or a network without host bits.
///
/// IPv4-mapped IPv6 becomes IPv4; IPv6 is written in full and in upper case, so that two spellings of one address
/// are the same text. A network of one address is that address: its agent is known by it. `None` if it is none of
/// these.
pub(crate) fn registered(text: &str) -> Option<RegisteredAddress> {
    read(text, HostBits::Refused)
}

/// Like [`registered`] for what another manager has stored: a network may have host bits, as agents may ask for it.
pub(crate) fn imported(text: &str) -> Option<RegisteredAddress> {
    read(text, HostBits::Kept)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HostBits {
    Refused,
    Kept,
}

fn read(text: &str, host_bits: HostBits) -> Option<RegisteredAddress> {
    if text.eq_ignore_ascii_case("any") {
        return Some(RegisteredAddress::any());
    }
    let stored = match text.split_once('/') {
        None => spelled(text.parse().ok()?),
        Some((address, prefix)) => network(address.parse().ok()?, prefix, host_bits)?,
    };
    stored.parse().ok()
}

fn network(address: IpAddr, prefix: &str, kept: HostBits) -> Option<String> {
    if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u32 = prefix.parse().ok()?;
    let (bits, host_bits) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32.checked_sub(length)?),
        IpAddr::V6(address) => (address.to_bits(), 128_u32.checked_sub(length)?),
    };
    if host_bits == 0 {
        return Some(spelled(address));
    }
    let is_network = kept == HostBits::Kept || bits.trailing_zeros() >= host_bits;
    is_network.then(|| format!("{}/{length}", spelled_as_is(address)))
}

fn spelled(address: IpAddr) -> String {
    spelled_as_is(address.to_canonical())
}

fn spelled_as_is(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => in_full(address),
    }
}

fn in_full(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04X}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for (text, stored) in [
            ("ANY", "any"),
            ("10.9.9.9", "10.9.9.9"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:0DB8:0000:0000:0000:0000:0000:0001"),
            ("2001:DB8:0::1", "2001:0DB8:0000:0000:0000:0000:0000:0001"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.9.9.9/32", "10.9.9.9"),
            ("2001:db8::/32", "2001:0DB8:0000:0000:0000:0000:0000:0000/32"),
        ] {
            assert_eq!(registered(text).unwrap().as_str(), stored, "{text}");
        }
    }

    #[test]
    fn an_imported_network_may_have_host_bits() {
        for (text, stored) in [
            ("10.0.0.1/8", Some("10.0.0.1/8")),
            ("10.0.0.1/32", Some("10.0.0.1")),
            ("2001:db8::1/64", Some("2001:0DB8:0000:0000:0000:0000:0000:0001/64")),
            ("::1/128", Some("0000:0000:0000:0000:0000:0000:0000:0001")),
            ("any", Some("any")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("nowhere", None),
        ] {
            assert_eq!(imported(text).as_ref().map(RegisteredAddress::as_str), stored, "{text}");
        }
    }

    #[test]
    fn what_is_neither_address_nor_network_is_refused() {
        for text in
            ["bad", "", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::1/64", "10.0.0.0/8/8"]
        {
            assert!(registered(text).is_none(), "{text}");
        }
    }
}
