//! Which agent a message is from (agent protocol, section 3.2).

use std::net::IpAddr;
use std::sync::Arc;

use muster_control::{Agent, AgentId, Control};

use super::ending::Ending;
use crate::codec::{AddressPattern, wire_address};

/// Finds the agent that a message claims to be from, by the id in front of it or else by its address.
///
/// # Errors
/// [`Ending::UnknownAgent`], [`Ending::ForeignAddress`].
pub(crate) fn identify<'a>(control: &'a Control, id: Option<&str>, peer: IpAddr) -> Result<&'a Arc<Agent>, Ending> {
    let found = match id {
        Some(id) => by_id(control, id),
        None => by_address(control, peer),
    };
    let agent = found.ok_or(Ending::UnknownAgent)?;
    let pattern = agent.address.as_str().parse().unwrap_or(AddressPattern::Any);
    if pattern.admits(peer) { Ok(agent) } else { Err(Ending::ForeignAddress) }
}

/// Ids are compared as text: `1` is not `001`.
fn by_id<'a>(control: &'a Control, id: &str) -> Option<&'a Arc<Agent>> {
    let number: AgentId = id.parse().ok()?;
    control.agents().get(number).filter(|agent| agent.id.to_string() == id)
}

fn by_address(control: &Control, peer: IpAddr) -> Option<&Arc<Agent>> {
    control.agents().at_address(&wire_address(peer).parse().ok()?)
}

#[cfg(test)]
mod tests {
    use muster_control::{Change, ChangeId, EnrollAgent, Entry, LogIndex, Stamp};

    use super::*;

    fn enrolled(addresses: &[&str]) -> Control {
        let mut control = Control::default();
        for (index, address) in (1..).zip(addresses) {
            let change = Change::EnrollAgent(EnrollAgent {
                address: address.parse().unwrap(),
                ..EnrollAgent::new(format!("agent-{index}").parse().unwrap(), "0f".repeat(32).parse().unwrap())
            });
            let (stamp, change_id) = (Stamp::from_millis(index), ChangeId::new([index as u8; 16]));
            control.apply(&Entry { index: LogIndex::new(index), stamp, change_id, fingerprint: 0, change });
        }
        control
    }

    fn found(control: &Control, id: Option<&str>, peer: &str) -> Result<u32, Ending> {
        identify(control, id, peer.parse().unwrap()).map(|agent| agent.id.get())
    }

    #[test]
    fn an_id_is_looked_up_as_text() {
        let control = enrolled(&["any"]);
        assert_eq!(found(&control, Some("001"), "10.0.0.1"), Ok(1));
        for unknown in ["1", "0001", "002", "000"] {
            assert_eq!(found(&control, Some(unknown), "10.0.0.1"), Err(Ending::UnknownAgent), "{unknown}");
        }
    }

    #[test]
    fn an_agent_may_come_only_from_where_it_is_registered() {
        let control = enrolled(&["10.0.0.0/8", "10.1.0.1"]);
        assert_eq!(found(&control, Some("001"), "10.9.9.9"), Ok(1));
        assert_eq!(found(&control, Some("001"), "11.0.0.1"), Err(Ending::ForeignAddress));
        assert_eq!(found(&control, Some("002"), "10.1.0.2"), Err(Ending::ForeignAddress));
    }

    #[test]
    fn an_agent_of_one_address_is_known_by_it() {
        let control = enrolled(&["10.1.0.1"]);
        assert_eq!(found(&control, None, "::ffff:10.1.0.1"), Ok(1));
        assert_eq!(found(&control, None, "10.1.0.2"), Err(Ending::UnknownAgent));
    }
}
