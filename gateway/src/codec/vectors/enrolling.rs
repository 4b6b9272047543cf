//! Vectors of enrollment: request lines and their answers.

use serde_json::Value;

use super::{optional, section, text, vectors};
use crate::codec::enrollment::{Answer, EnrollmentRequest, RequestLine, Rules};

fn parse(vector: &Value) -> Result<EnrollmentRequest, String> {
    let rules = Rules {
        password: optional(vector, "configured_password"),
        manager_version: text(vector, "manager_version").parse().unwrap(),
        manager_name: "the-manager",
        use_source_ip: vector["use_source_ip"].as_bool().unwrap(),
        allow_higher_versions: vector["allow_higher_versions"].as_bool().unwrap(),
    };
    let peer = text(vector, "peer_ip").parse().unwrap();
    EnrollmentRequest::parse(text(vector, "request_line").as_bytes(), peer, &rules)
        .map_err(|rejection| String::from_utf8(rejection.answer()).unwrap())
}

#[test]
fn every_request_line_is_taken_or_answered_as_the_reference_does() {
    for vector in section("enrollment") {
        let name = text(&vector, "id");
        let request = parse(&vector);
        assert_eq!(request.is_ok(), vector["accepted"].as_bool().unwrap(), "{name}: {request:?}");
        match request {
            Err(answer) => assert_eq!(answer, text(&vector, "error_response"), "{name}"),
            Ok(request) => {
                let expected = &vector["parsed"];
                let groups =
                    request.groups.map(|groups| groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
                assert_eq!(request.name.as_str(), text(expected, "name"), "{name}");
                assert_eq!(groups.as_deref(), optional(expected, "groups"), "{name}");
                assert_eq!(request.address.to_string(), text(expected, "ip"), "{name}");
                assert_eq!(request.key_hash.as_deref(), optional(expected, "key_hash"), "{name}");
            }
        }
    }
}

#[test]
fn the_walk_through_enrolls_byte_for_byte() {
    let session = vectors()["session"].clone();
    let line = RequestLine { name: "web-01", version: Some("v4.14.9"), ..RequestLine::default() };
    assert_eq!(line.to_string(), text(&session["steps"][0], "text"));
    let answer = text(&session["steps"][1], "text");
    match Answer::parse(answer.as_bytes()) {
        Ok(Some(Answer::Enrolled(identity))) => assert_eq!(Answer::enrolled(&identity), answer.as_bytes()),
        other => panic!("{other:?}"),
    }
}
