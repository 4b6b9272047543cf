//! Answers to requests (agent protocol, section 4.6), and which commands restart an agent (4.7).

use serde_json::Value;

use super::process::Process;

/// Whether a request asks for a restart.
pub(super) fn is_restart(component: &str, command: &[u8]) -> bool {
    component == "com" && command == b"restart"
}

/// Whether a command for active response restarts a 4.14 agent: its own command always, the manager's only if
/// `ar.conf` names it.
pub(super) fn is_execd_restart(command: &[u8], has_ar_conf: bool) -> bool {
    // What follows the object is left over from the text format; a stream reader stops behind the object.
    let Some(Ok(body)) = serde_json::Deserializer::from_slice(command).into_iter::<Value>().next() else {
        return false;
    };
    match body["command"].as_str() {
        Some("restart-wazuh" | "!restart-wazuh") => true,
        Some("restart-wazuh0") => {
            has_ar_conf && ["version", "origin", "parameters"].iter().all(|key| !body[key].is_null())
        }
        _ => false,
    }
}

/// The answer to any request but a restart.
pub(super) fn answer(process: &Process, name: &str, component: &str, command: &[u8]) -> Vec<u8> {
    match (component, command) {
        ("agent", b"getstate") => process.state().to_answer(),
        ("agent", b"getconfig client") => {
            let client =
                serde_json::json!({ "client": { "crypto_method": "aes", "enrollment": { "agent_name": name } } });
            format!("ok {client}").into_bytes()
        }
        ("agent" | "com", command) if command.starts_with(b"getconfig ") && command != b"getconfig active-response" => {
            b"err Could not get requested section".to_vec()
        }
        // Two spaces: every answer of this component with JSON has them.
        ("com", b"getconfig active-response") => br#"ok  {"active-response":{"disabled":"no"}}"#.to_vec(),
        ("com", b"reload") => b"ok ".to_vec(),
        ("agent" | "com", _) => b"err Unrecognized command".to_vec(),
        _ => b"err No such file or directory".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_gateway::codec::{AgentState, ToAgent};

    #[test]
    fn the_managers_form_of_a_restart_needs_ar_conf() {
        let ToAgent::Execd(manager) = ToAgent::EXECD_RESTART else { panic!("an execd command") };
        let ToAgent::Execd(old) = ToAgent::EXECD_RESTART_OLD else { panic!("an execd command") };
        assert!(is_execd_restart(manager, true));
        assert!(!is_execd_restart(manager, false));
        assert!(!is_execd_restart(old, true));
        let direct = br#"{"version":1,"origin":{},"command":"restart-wazuh","parameters":{}}"#;
        assert!(is_execd_restart(direct, false));
        assert!(!is_execd_restart(b"{", true));
    }

    #[test]
    fn a_new_process_has_no_keepalive_to_tell_of() {
        let mut process = Process::default();
        process.sent_message();
        let state = AgentState::from_answer(&answer(&process, "web-01", "agent", b"getstate")).unwrap();
        assert_eq!((state.msg_sent, state.has_sent_keepalive()), (1, false));
        process.sent_keepalive(std::time::Duration::ZERO);
        assert!(process.state().has_sent_keepalive());
    }

    #[test]
    fn unknown_requests_are_answered_with_err() {
        let process = Process::default();
        for (component, command) in [("com", "fly"), ("agent", "getconfig x"), ("nobody", "x y"), ("../com", "restart")]
        {
            assert!(
                answer(&process, "web-01", component, command.as_bytes()).starts_with(b"err "),
                "{component} {command}"
            );
        }
    }
}
