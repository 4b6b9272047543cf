//! A manager's whole `client.keys` (2.1): who may connect, and which ids are used up.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use muster_control::{AgentId, InvalidText};

use super::keys::ClientKeyLine;

/// Agents take ids of at most eight digits (1.6).
const LAST_ID: u32 = 99_999_999;

/// What a manager keeps in `client.keys`. `Display` writes the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// The agents, in the order of the file; no two have an id, a name or an address other than `any` in common.
    pub agents: Vec<ClientKeyLine>,
    /// Ids of agents that were removed: not to be given again.
    pub removed: BTreeSet<AgentId>,
}

/// A line that cannot be taken for what it should be. Never shows a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct KeyFileError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: KeyFileFault,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileFault {
    /// It is not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// It is not of four words.
    #[error("not id, name, address and key with single spaces between them")]
    NotFourWords,
    /// The id is not one that agents take, or not written as muster writes it: ids are compared as text.
    #[error("the id has to be 1 to 99999999, padded with zeros to three digits and no more")]
    Id,
    /// The id is that of the manager.
    #[error("id 000 stands for the manager itself")]
    Manager,
    /// The name is not one that agents take.
    #[error(transparent)]
    Name(InvalidText),
    /// The address is none.
    #[error("the address is not 'any', an IP address, or a network such as 10.0.0.0/8")]
    Address,
    /// The key is not one that agents take.
    #[error(transparent)]
    Key(InvalidText),
    /// An earlier line has the id.
    #[error("line {0} has the same id")]
    SameId(usize),
    /// An earlier line has the name.
    #[error("line {0} has the same name")]
    SameName(usize),
    /// An earlier line has the address.
    #[error("line {0} has the same address")]
    SameAddress(usize),
}

/// What one line says.
enum Line {
    Nothing,
    Agent(ClientKeyLine),
    Removed(AgentId),
}

impl KeyFile {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Every line that is wrong, in order. Nothing is taken from a file with such a line: an agent left out in silence
    /// would be locked out.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<KeyFileError>> {
        let mut file = Self::default();
        let mut seen = Seen::default();
        let mut errors = Vec::new();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let read = read(text).and_then(|read| match &read {
                Line::Agent(agent) => seen.check(agent, line).map(|()| read),
                Line::Nothing | Line::Removed(_) => Ok(read),
            });
            match read {
                Ok(Line::Nothing) => {}
                Ok(Line::Agent(agent)) => file.agents.push(agent),
                Ok(Line::Removed(id)) => _ = file.removed.insert(id),
                Err(fault) => errors.push(KeyFileError { line, fault }),
            }
        }
        for agent in &file.agents {
            // Its id was given again: who has it now counts.
            file.removed.remove(&agent.id.parse().expect("it was checked"));
        }
        if errors.is_empty() { Ok(file) } else { Err(errors) }
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agents.iter().try_for_each(|agent| writeln!(f, "{agent}"))?;
        self.removed.iter().try_for_each(|id| writeln!(f, "{id} !removed-{id} any {:064}", 0))
    }
}

/// Where things were seen first.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, usize>,
    names: HashMap<String, usize>,
    addresses: HashMap<String, usize>,
}

impl Seen {
    fn check(&mut self, agent: &ClientKeyLine, line: usize) -> Result<(), KeyFileFault> {
        let address = agent.address.to_string();
        first(&mut self.ids, agent.id.clone(), line).map_err(KeyFileFault::SameId)?;
        first(&mut self.names, agent.name.to_string(), line).map_err(KeyFileFault::SameName)?;
        if address == "any" {
            return Ok(());
        }
        first(&mut self.addresses, address, line).map_err(KeyFileFault::SameAddress)
    }
}

fn first(seen: &mut HashMap<String, usize>, what: String, line: usize) -> Result<(), usize> {
    match seen.entry(what) {
        Entry::Occupied(earlier) => Err(*earlier.get()),
        Entry::Vacant(free) => {
            free.insert(line);
            Ok(())
        }
    }
}

fn read(line: &[u8]) -> Result<Line, KeyFileFault> {
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b" ") {
        return Ok(Line::Nothing);
    }
    let line = std::str::from_utf8(line).map_err(|_| KeyFileFault::NotUtf8)?;
    let words: Vec<&str> = line.split(' ').collect();
    // Of a removed agent only the id counts, whatever became of the rest.
    if let [id, name, ..] = words[..]
        && name.starts_with(['!', '#'])
    {
        return number(id).map(Line::Removed);
    }
    let [id, name, address, key] = words[..] else { return Err(KeyFileFault::NotFourWords) };
    if number(id)?.to_string() != id {
        return Err(KeyFileFault::Id);
    }
    Ok(Line::Agent(ClientKeyLine {
        id: id.to_owned(),
        name: name.parse().map_err(KeyFileFault::Name)?,
        address: address.parse().map_err(|_| KeyFileFault::Address)?,
        key: key.parse().map_err(KeyFileFault::Key)?,
    }))
}

fn number(id: &str) -> Result<AgentId, KeyFileFault> {
    match id.parse::<AgentId>() {
        Ok(AgentId::MANAGER) => Err(KeyFileFault::Manager),
        Ok(number) if number.get() <= LAST_ID => Ok(number),
        _ => Err(KeyFileFault::Id),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faults(bytes: &[u8]) -> Vec<String> {
        KeyFile::parse(bytes).expect_err("it has faults").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_of_a_manager_is_read() {
        let text = "# a comment\n001 web-01 any 6f1c2b\n 9 no any no\n002 db 10.0.0.5 0011\n\
                    003 lab 192.168.10.0/255.255.255.0 aaaa\n004 !old-host any bbbb\n1005 #older and more words\n\n";
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        let agents: Vec<String> = file.agents.iter().map(ToString::to_string).collect();
        assert_eq!(agents, ["001 web-01 any 6f1c2b", "002 db 10.0.0.5 0011", "003 lab 192.168.10.0/24 aaaa"]);
        assert_eq!(file.removed.into_iter().map(AgentId::get).collect::<Vec<_>>(), [4, 1005]);
        assert_eq!(KeyFile::parse(b"").unwrap(), KeyFile::default());
    }

    #[test]
    fn an_id_that_was_given_again_belongs_to_its_new_holder() {
        let file = KeyFile::parse(b"004 !old any k1\n004 new any k2\n").unwrap();
        assert_eq!((file.agents.len(), file.removed.len()), (1, 0));
    }

    #[test]
    fn every_broken_line_is_told_with_its_number_and_without_its_key() {
        let text = b"001 web-01 any\n\
            002 web-02  any k2\n\
            003 web-03 any k3 more\n\
            3 web-33 any k3\n\
            0004 web-04 any k4\n\
            100000000 web-05 any k5\n\
            000 manager any k0\n\
            000 !manager any k0\n\
            0x7 web-07 any k7\n\
            008 .web any k8\n\
            009 web-09 10.0.0.300 k9\n\
            010 web-10 any SECRET+/=\n\
            011 web-11 any SECRET\r\n\
            \xff\xfe web-12 any k12\n\
            013 web-13 any k13\n";
        let faults = faults(text);
        let lines: Vec<&str> = faults.iter().map(|fault| fault.split_once(": ").unwrap().0).collect();
        let expected: Vec<String> = (1..=14).map(|line| format!("line {line}")).collect();
        assert_eq!(lines, expected);
        assert!(!faults.concat().contains("SECRET"), "{faults:?}");
        for (line, words) in [(1, "single spaces"), (4, "padded"), (6, "99999999"), (7, "manager"), (14, "UTF-8")] {
            assert!(faults[line - 1].contains(words), "{faults:?}");
        }
    }

    #[test]
    fn what_two_lines_have_in_common_is_told_with_both_numbers() {
        let text = b"001 web-01 10.0.0.1 k1\n001 web-02 any k2\n003 web-01 any k3\n004 web-04 10.0.0.1/32 k4\n";
        let expected = [
            "line 2: line 1 has the same id",
            "line 3: line 1 has the same name",
            "line 4: line 1 has the same address",
        ];
        assert_eq!(faults(text), expected);
    }

    fn key_file() -> impl Strategy<Value = KeyFile> {
        let address = prop_oneof![
            Just("any".to_owned()),
            any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
            (any::<[u8; 4]>(), 0..32_u8).prop_map(|(ip, mask)| format!("{}/{mask}", std::net::Ipv4Addr::from(ip))),
            any::<u128>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        ];
        let agent = ("[A-Za-z0-9_-][A-Za-z0-9._-]{1,30}", address, "[A-Za-z0-9_-][A-Za-z0-9._-]{1,127}");
        let agents = proptest::collection::btree_map(1..=LAST_ID, agent, 0..40);
        let removed = proptest::collection::btree_set(1..=LAST_ID, 0..10);
        (agents, removed).prop_map(|(agents, removed)| {
            let mut seen = Seen::default();
            let line = |(id, (name, address, key)): (&u32, &(String, String, String))| ClientKeyLine {
                id: AgentId::new(*id).to_string(),
                name: name.parse().unwrap(),
                address: address.parse().unwrap(),
                key: key.parse().unwrap(),
            };
            let distinct = |line: &ClientKeyLine| seen.check(line, 1).is_ok();
            let used = |id: &u32| !agents.contains_key(id);
            KeyFile {
                removed: removed.into_iter().filter(used).map(AgentId::new).collect(),
                agents: agents.iter().map(line).filter(distinct).collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn a_file_reads_as_it_was_written(file in key_file()) {
            prop_assert_eq!(KeyFile::parse(file.to_string().as_bytes()), Ok(file));
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            words in proptest::collection::vec(
                proptest::sample::select(vec!["001", "000", " ", " ", " ", "\n", "!", "#", "web", "any", "10.0.0.1", "ab", "é"]),
                0..60,
            ),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = KeyFile::parse(&bytes);
            let text = words.concat();
            let lines = text.split('\n').count();
            for error in KeyFile::parse(text.as_bytes()).err().unwrap_or_default() {
                prop_assert!((1..=lines).contains(&error.line));
            }
        }
    }
}
