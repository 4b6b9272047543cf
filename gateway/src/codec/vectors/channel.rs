//! Vectors of the secure channel: keys, sealed messages, broken ones, a session, a capture.

use std::collections::BTreeMap;

use bytes::BytesMut;
use serde_json::Value;

use super::{hex, optional, section, text, vectors};
use crate::codec::cipher::Ciphers;
use crate::codec::compression::Inflater;
use crate::codec::envelope::{Envelope, PING, PONG, Sealed};
use crate::codec::{ClientKeyLine, FromAgent, Method, Numbering, SecureChannel, ToAgent, frame, inner};

fn identities() -> BTreeMap<String, ClientKeyLine> {
    let lines = section("keys");
    lines
        .iter()
        .map(|keys| (text(keys, "agent_id").to_owned(), text(keys, "client_keys_line").parse().unwrap()))
        .collect()
}

fn channel_of(identity: &ClientKeyLine) -> SecureChannel {
    SecureChannel::for_key(&identity.id, identity.name.as_str(), identity.key.as_str())
}

fn method(vector: &Value) -> Method {
    match text(vector, "method") {
        "aes" => Method::Aes,
        "blowfish" => Method::Blowfish,
        other => panic!("{other}"),
    }
}

fn numbering(vector: &Value) -> Numbering {
    let number = |key: &str| vector[key].as_u64().unwrap();
    Numbering {
        global: number("global_counter"),
        local: number("local_counter") as u16,
        noise: number("random") as u16,
    }
}

fn unframed(bytes: &[u8]) -> BytesMut {
    let mut buffer = BytesMut::from(bytes);
    let envelope = frame::take(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty());
    envelope
}

fn sealed(envelope: &[u8]) -> Sealed<'_> {
    match Envelope::parse(envelope) {
        Ok(Envelope::Sealed(sealed)) => sealed,
        other => panic!("{other:?}"),
    }
}

/// Opens the envelope and holds everything in it against the vector.
fn check_open(channel: &SecureChannel, vector: &Value, envelope: &[u8]) {
    let opened = channel.open(&sealed(envelope)).unwrap_or_else(|error| panic!("{error}: {vector}"));
    assert_eq!(opened.payload, text(vector, "payload").as_bytes());
    assert_eq!(opened.numbering, numbering(vector));
    assert_eq!(opened.method, method(vector));
    assert_eq!(FromAgent::decode(&opened.payload).encode(), opened.payload);
    assert_eq!(ToAgent::decode(&opened.payload).encode(), opened.payload);
}

/// Composes the message again, from the vector's own compressed text since deflate differs between libraries.
fn check_seal(channel: &SecureChannel, vector: &Value, id: &str) {
    let mut composed = Vec::new();
    inner::compose(numbering(vector), text(vector, "payload").as_bytes(), &mut composed);
    assert_eq!(composed, text(vector, "inner").as_bytes());
    let stream = hex(vector, "compressed_hex");
    assert_eq!(Inflater::new().inflate(&stream, &mut Vec::new()), Ok(&composed[..]));
    let envelope = channel.encrypt_stream(0, id, method(vector), &stream);
    assert_eq!(envelope, unframed(&hex(vector, "tcp_frame_hex")), "{vector}");
    let mut framed = Vec::new();
    frame::put(&envelope, &mut framed);
    assert_eq!(framed, hex(vector, "tcp_frame_hex"));

    let payload = text(vector, "payload").as_bytes();
    let ours = channel.seal_frame_as(id, method(vector), numbering(vector), payload).unwrap();
    check_open(channel, vector, &unframed(&ours));
}

#[test]
fn keys_are_derived_as_the_reference_does() {
    for vector in section("keys") {
        let identity: ClientKeyLine = text(&vector, "client_keys_line").parse().unwrap();
        assert_eq!(identity.to_string(), text(&vector, "client_keys_line"));
        let ciphers = Ciphers::derive(&identity.id, identity.name.as_str(), identity.key.as_str());
        assert_eq!(ciphers.secret()[..], text(&vector, "secret_ascii_47").as_bytes()[..]);
        assert_eq!(ciphers.secret()[..], hex(&vector, "blowfish_key_hex")[..]);
        assert_eq!(ciphers.secret()[..32], hex(&vector, "aes256_key_hex")[..]);
        assert_eq!(identity.hash(), text(&vector, "enrollment_key_hash_sha1"));
        assert_eq!(identity.address.sends_id(), vector["agent_uses_id_prefix"].as_bool().unwrap());
    }
}

#[test]
fn every_message_opens_and_is_composed_byte_for_byte() {
    let identities = identities();
    for vector in section("messages") {
        let identity = &identities[text(&vector, "agent_id")];
        let channel = channel_of(identity);
        let from_agent = text(&vector, "direction") == "agent->manager";
        let id = if from_agent && identity.address.sends_id() { identity.id.as_str() } else { "" };
        let datagram = hex(&vector, "udp_datagram_hex");
        assert_eq!(sealed(&datagram).id, (!id.is_empty()).then_some(id));
        assert_eq!(sealed(&datagram).ciphertext, hex(&vector, "ciphertext_hex"));
        check_open(&channel, &vector, &datagram);
        check_open(&channel, &vector, &unframed(&hex(&vector, "tcp_frame_hex")));
        check_seal(&channel, &vector, id);
    }
}

#[test]
fn messages_are_what_their_names_say() {
    for vector in section("messages") {
        let payload = text(&vector, "payload").as_bytes();
        let name = text(&vector, "id");
        let is_right = match name {
            _ if name.starts_with("a2m-startup") => matches!(FromAgent::decode(payload), FromAgent::Startup(_)),
            _ if name.starts_with("a2m-keepalive") => matches!(FromAgent::decode(payload), FromAgent::Keepalive(_)),
            _ if name.starts_with("a2m-event") => match FromAgent::decode(payload) {
                FromAgent::Event(event) => event.is_agent_started() == name.contains("agent-started"),
                _ => false,
            },
            "a2m-req-response-aes" => matches!(FromAgent::decode(payload), FromAgent::Answer { body: b"ok ", .. }),
            "a2m-shutdown-aes" => FromAgent::decode(payload) == FromAgent::Shutdown,
            _ if name.starts_with("m2a-ack") => ToAgent::decode(payload) == ToAgent::Ack,
            "m2a-restart-json-aes" | "m2a-restart-json-blowfish" => ToAgent::decode(payload) == ToAgent::EXECD_RESTART,
            "m2a-restart-old-aes" | "m2a-restart-old-blowfish" => {
                ToAgent::decode(payload) == ToAgent::EXECD_RESTART_OLD
            }
            "m2a-restart-json-direct-aes" => matches!(ToAgent::decode(payload), ToAgent::Execd(_)),
            "m2a-force-reconnect-aes" => ToAgent::decode(payload) == ToAgent::ForceReconnect,
            "m2a-req-com-restart-aes" => {
                matches!(ToAgent::decode(payload), ToAgent::Request { component: "com", command: b"restart", .. })
            }
            "m2a-req-getconfig-aes" => matches!(
                ToAgent::decode(payload),
                ToAgent::Request { component: "agent", command: b"getconfig client", .. }
            ),
            "m2a-err-version-aes" => ToAgent::decode(payload) == ToAgent::refused_as_too_new(),
            "m2a-file-open-aes" => matches!(ToAgent::decode(payload), ToAgent::FileOpen { name: "merged.mg", .. }),
            "m2a-file-chunk-aes" => ToAgent::decode(payload) == ToAgent::Content(payload),
            "m2a-file-close-aes" => ToAgent::decode(payload) == ToAgent::FileClose,
            _ => false,
        };
        assert!(is_right, "{name}");
    }
}

#[test]
fn messages_of_the_simulators_open_and_are_composed_byte_for_byte() {
    let identities = identities();
    for vector in section("simulator_messages") {
        let channel = channel_of(&identities[text(&vector, "agent_id")]);
        let datagram = hex(&vector, "udp_datagram_hex");
        let id = sealed(&datagram).id.unwrap_or_default();
        check_open(&channel, &vector, &datagram);
        check_seal(&channel, &vector, id);
    }
}

#[test]
fn broken_messages_are_refused() {
    let identities = identities();
    for vector in section("negative") {
        let channel = channel_of(&identities[text(&vector, "agent_id")]);
        for envelope in [hex(&vector, "udp_datagram_hex"), unframed(&hex(&vector, "tcp_frame_hex")).to_vec()] {
            let opened = match Envelope::parse(&envelope) {
                Ok(Envelope::Sealed(sealed)) => channel.open(&sealed),
                Ok(Envelope::Ping) => panic!("{vector}"),
                Err(error) => Err(error),
            };
            assert!(opened.is_err(), "{}: {opened:?}", text(&vector, "id"));
        }
    }
}

#[test]
fn a_pushed_group_opens_message_by_message() {
    let push = vectors()["group_push"].clone();
    let channel = channel_of(&identities()[text(&push, "agent_id")]);
    let mut content = Vec::new();
    for message in push["messages"].as_array().unwrap() {
        let opened = channel.open(&sealed(&unframed(&hex(message, "tcp_frame_hex")))).unwrap();
        assert_eq!(opened.payload, text(message, "payload").as_bytes());
        match ToAgent::decode(&opened.payload) {
            ToAgent::FileOpen { md5, name } => assert_eq!((md5, name), (text(&push, "merged_mg_md5"), "merged.mg")),
            ToAgent::Content(bytes) => content.extend_from_slice(bytes),
            ToAgent::FileClose => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(content, text(&push, "merged_mg").as_bytes());
}

#[test]
fn a_whole_session_is_composed_byte_for_byte() {
    let session = vectors()["session"].clone();
    let identity = &identities()[text(&session, "agent_id")];
    let channel = channel_of(identity);
    for step in session["steps"].as_array().unwrap() {
        if step.get("tcp_frame_hex").is_none() {
            continue;
        }
        let mut step = step.clone();
        step["method"] = "aes".into();
        let id = if text(&step, "direction") == "agent->manager" { identity.id.as_str() } else { "" };
        check_open(&channel, &step, &unframed(&hex(&step, "tcp_frame_hex")));
        check_seal(&channel, &step, id);
    }
}

#[test]
fn what_a_real_agent_sent_and_took_opens() {
    let captured = vectors()["captured"].clone();
    let identities: BTreeMap<&str, ClientKeyLine> = captured["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| (text(session, "session"), text(session, "client_keys_line").parse().unwrap()))
        .collect();
    for vector in captured["frames"].as_array().unwrap() {
        let identity = &identities[text(vector, "session")];
        let envelope = match optional(vector, "tcp_frame_hex") {
            Some(_) => unframed(&hex(vector, "tcp_frame_hex")).to_vec(),
            None => hex(vector, "udp_datagram_hex"),
        };
        let names_itself = text(vector, "direction") == "agent->manager" && identity.address.sends_id();
        assert_eq!(sealed(&envelope).id, names_itself.then_some(identity.id.as_str()));
        check_open(&channel_of(identity), vector, &envelope);
    }
}

#[test]
fn probes_are_answered_in_the_framing_they_came_in() {
    for vector in section("plaintext_exchanges") {
        let request = hex(&vector, "request_hex");
        if text(&vector, "id") == "ping-udp" {
            assert_eq!((&request[..], hex(&vector, "response_hex")), (PING, PONG.to_vec()));
            continue;
        }
        assert_eq!(Envelope::parse(&unframed(&request)), Ok(Envelope::Ping));
        let mut response = Vec::new();
        frame::put(PONG, &mut response);
        assert_eq!(response, hex(&vector, "response_hex"));
    }
}
