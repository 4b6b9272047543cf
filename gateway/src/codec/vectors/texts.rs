//! Vectors of what messages tell: keepalives and events.

use super::{optional, section, text};
use crate::codec::{Event, EventSource, Keepalive};

#[test]
fn every_keepalive_gives_the_fields_of_the_reference() {
    for vector in section("keepalive_parsing") {
        let name = text(&vector, "id");
        let keepalive = Keepalive::parse(text(&vector, "body_after_header").as_bytes()).unwrap();
        for (key, value) in [
            ("os_name", &keepalive.os.name),
            ("os_version", &keepalive.os.version),
            ("os_major", &keepalive.os.major),
            ("os_minor", &keepalive.os.minor),
            ("os_codename", &keepalive.os.codename),
            ("os_platform", &keepalive.os.platform),
            ("os_build", &keepalive.os.build),
            ("os_uname", &keepalive.os.uname),
            ("os_arch", &keepalive.os.arch),
            ("version", &keepalive.version),
            ("config_sum", &keepalive.config_sum),
            ("merged_sum", &keepalive.merged_sum),
            ("agent_ip", &keepalive.agent_ip),
            ("labels", &keepalive.labels),
        ] {
            assert_eq!(value.as_deref(), optional(&vector["fields"], key), "{key} of {name}");
        }
    }
}

#[test]
fn every_event_is_forwarded_as_the_reference_does() {
    for vector in section("event_forwarding") {
        let datagram = Event::parse(text(&vector, "agent_payload").as_bytes()).and_then(|event| {
            let [id, name, address] = ["agent_id", "agent_name", "registered_ip"].map(|key| text(&vector, key));
            event.to_datagram(&EventSource::new(id, name, address))
        });
        let expected = optional(&vector, "queue_datagram").map(|text| text.as_bytes().to_vec());
        assert_eq!(datagram, expected, "{}", text(&vector, "id"));
    }
}
