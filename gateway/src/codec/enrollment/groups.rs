//! The group list of a request (1.5), in its two layers.

use muster_control::GroupName;

use super::rejection::{GroupFault, Rejection};

/// Most groups of one agent.
const MAX_GROUPS: usize = 128;

/// Longest name the first layer takes, in bytes.
const MAX_NAME: usize = 255;

/// Reads a comma separated list; a group named again counts once, where it stood first.
pub(super) fn parse(list: &str) -> Result<Vec<GroupName>, Rejection> {
    if let Some(fault) = fault_in(list) {
        let groups = list.to_owned();
        return Err(Rejection::InvalidGroups { groups, fault });
    }
    let mut groups: Vec<GroupName> = Vec::new();
    for text in list.split(',') {
        if groups.iter().any(|known| known.as_str() == text) {
            continue;
        }
        if groups.len() == MAX_GROUPS {
            return Err(Rejection::TooManyGroups);
        }
        // Second layer: what passed as text may still be no name a group can have, hence no group that exists.
        groups.push(text.parse().map_err(|_| Rejection::UnknownGroup(text.to_owned()))?);
    }
    Ok(groups)
}

fn fault_in(list: &str) -> Option<GroupFault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:;_-=+!@(),".contains(&byte);
    if list.is_empty() {
        Some(GroupFault::Empty)
    } else if !list.bytes().all(allowed) || list.bytes().all(|byte| byte == b',') {
        Some(GroupFault::Characters)
    } else if list.starts_with(',') || list.ends_with(',') {
        Some(GroupFault::OuterComma)
    } else if list.contains(",,") {
        Some(GroupFault::DoubleComma)
    } else if list.split(',').any(|name| name.len() > MAX_NAME) {
        Some(GroupFault::TooLong)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_named_twice_counts_once() {
        let groups = parse("a,b,a").unwrap();
        assert_eq!(groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn at_most_128_groups_are_taken() {
        let list = |count: usize| (0..count).map(|n| format!("g{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(parse(&list(128)).map(|groups| groups.len()), Ok(128));
        assert_eq!(parse(&list(129)), Err(Rejection::TooManyGroups));
        assert_eq!(parse(&format!("{},g0", list(128))).map(|groups| groups.len()), Ok(128));
    }

    #[test]
    fn texts_that_can_not_name_a_group_name_no_group_that_exists() {
        for text in ["a@b", "..", ".", "all", "a:b"] {
            assert_eq!(parse(text), Err(Rejection::UnknownGroup(text.to_owned())));
        }
    }

    #[test]
    fn each_fault_of_a_list_is_told_apart() {
        for (list, fault) in [
            ("", GroupFault::Empty),
            (",", GroupFault::Characters),
            ("a b", GroupFault::Characters),
            ("ä", GroupFault::Characters),
            (",a", GroupFault::OuterComma),
            ("a,", GroupFault::OuterComma),
            ("a,,b", GroupFault::DoubleComma),
            (&"x".repeat(256), GroupFault::TooLong),
        ] {
            assert_eq!(fault_in(list), Some(fault), "{list}");
        }
        assert_eq!(fault_in(&"x".repeat(255)), None);
    }
}
