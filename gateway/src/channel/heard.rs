//! From the protocol's words to those of the session.

use muster_control::{Label, OperatingSystem, ProcessState, Report, Shared, Stamp};

use super::since_epoch;
use crate::codec::{AgentState, Keepalive, RequestNumber};
use crate::session::{Heard, Purpose, RequestTag};

/// The time of this node.
pub(crate) fn now() -> Stamp {
    Stamp::from_millis(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
}

/// What a keepalive reports.
pub(crate) fn report(keepalive: &Keepalive) -> Report {
    let label = |text: &Option<String>| text.as_deref().map(Label::truncated);
    let os = &keepalive.os;
    Report {
        version: label(&keepalive.version),
        os: Shared::new(OperatingSystem {
            name: label(&os.name),
            version: label(&os.version),
            major: label(&os.major),
            minor: label(&os.minor),
            codename: label(&os.codename),
            build: label(&os.build),
            platform: label(&os.platform),
            arch: label(&os.arch),
        }),
        config_sum: label(&keepalive.config_sum),
        merged_sum: label(&keepalive.merged_sum),
        address: label(&keepalive.agent_ip),
        labels: label(&keepalive.labels),
        uname: label(&os.uname),
    }
}

/// A version as reports have it, from what a startup says.
pub(crate) fn product_version(version: &str) -> Label {
    let number = version.strip_prefix('v').unwrap_or(version);
    Label::truncated(&format!("Wazuh v{number}"))
}

/// What an answer says about a command; of answers to numbers that are not ours, only that the agent is there.
pub(crate) fn answer(number: RequestNumber<'_>, body: &[u8]) -> Heard {
    let Ok(RequestTag { purpose, command, .. }) = number.as_str().parse() else { return Heard::Spoke };
    match purpose {
        Purpose::AskState => AgentState::from_answer(body).map_or(Heard::Spoke, |state| {
            Heard::State(command, ProcessState { has_sent_keepalive: state.has_sent_keepalive() })
        }),
        Purpose::Deliver if body.starts_with(b"err") => {
            let text = String::from_utf8_lossy(body[3..].trim_ascii());
            Heard::Refused(command, Label::truncated(&text))
        }
        Purpose::Deliver if body.starts_with(b"ok") => Heard::Answered(command),
        Purpose::Deliver => Heard::Spoke,
    }
}

#[cfg(test)]
mod tests {
    use muster_control::CommandId;

    use super::*;

    fn heard(tag: RequestTag, body: &[u8]) -> Heard {
        answer(RequestNumber::new(&tag.to_string()).unwrap(), body)
    }

    #[test]
    fn answers_find_their_command_by_the_number_alone() {
        let command = CommandId::new(0x1f);
        let deliver = RequestTag::new(Purpose::Deliver, command);
        assert_eq!(heard(deliver, b"ok "), Heard::Answered(command));
        let refused = Heard::Refused(command, Label::truncated("Connection refused"));
        assert_eq!(heard(deliver, b"err Connection refused"), refused);
        assert_eq!(heard(deliver, b"{}"), Heard::Spoke);
        assert_eq!(answer(RequestNumber::new("5f3a9c01").unwrap(), b"ok "), Heard::Spoke);
    }

    #[test]
    fn a_state_tells_whether_the_process_is_new() {
        let command = CommandId::new(7);
        let ask = RequestTag::new(Purpose::AskState, command);
        for (last_keepalive, has_sent_keepalive) in [("", false), ("2026-11-22 08:15:55", true)] {
            let state = AgentState { last_keepalive: last_keepalive.into(), ..AgentState::default() };
            assert_eq!(heard(ask, &state.to_answer()), Heard::State(command, ProcessState { has_sent_keepalive }));
        }
        assert_eq!(heard(ask, b"err Too many requests"), Heard::Spoke);
    }

    #[test]
    fn versions_carry_the_product_in_front() {
        for text in ["v4.14.9", "4.14.9"] {
            assert_eq!(product_version(text).as_str(), "Wazuh v4.14.9");
        }
    }
}
