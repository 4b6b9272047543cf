//! Comparison of answers with those recorded of the reference: status, headers, and the shape of the body.

use std::path::Path;

use serde_json::Value;

use crate::server::Answer;

/// Fields that may be missing anywhere: sums of a group need files, which groups do not have yet.
const MAY_BE_MISSING: [&str; 2] = ["mergedSum", "configSum"];

/// Fails unless an answer is like the recorded one.
///
/// Objects have to have the same fields, but for those in `missing`; arrays have to have elements like one of the
/// recorded ones; numbered errors and titles have to be the same; of everything else the type has to be.
#[track_caller]
pub(crate) fn assert_like(name: &str, answer: &Answer, missing: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let sample: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sample["status"], answer.status.as_u16(), "{name}: {answer:?}");
    for (header, expected) in sample["headers"].as_object().unwrap() {
        let value = answer.header(header).unwrap_or_else(|| panic!("{name}: no header {header}: {answer:?}"));
        if header != "link" {
            assert_eq!(expected, value, "{name}: {header}");
        }
    }
    if sample["body"] == "<jwt>" {
        assert_eq!(answer.text.split('.').count(), 3, "{name}: {answer:?}");
        return;
    }
    if let Err(difference) = like(&sample["body"], &answer.json(), "", missing) {
        panic!("{name}: {difference}\n{}", answer.text);
    }
}

fn like(expected: &Value, found: &Value, at: &str, missing: &[&str]) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for key in found.keys() {
                if !expected.contains_key(key) {
                    return Err(format!("{at}.{key} is not in the sample"));
                }
            }
            for (key, value) in expected {
                match found.get(key) {
                    Some(other) => like(value, other, &format!("{at}.{key}"), missing)?,
                    None if missing.contains(&&**key) || MAY_BE_MISSING.contains(&&**key) => {}
                    None => return Err(format!("{at}.{key} is missing")),
                }
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(found)) => {
            if expected.is_empty() != found.is_empty() {
                return Err(format!("{at} has {} elements", found.len()));
            }
            found.iter().try_for_each(|element| {
                let results = expected.iter().map(|sample| like(sample, element, &format!("{at}[]"), missing));
                results.reduce(Result::or).unwrap_or(Ok(()))
            })
        }
        (Value::Number(expected), Value::Number(found)) if at == ".error" || at.ends_with(".error.code") => {
            if expected == found { Ok(()) } else { Err(format!("{at} is {found}, not {expected}")) }
        }
        (Value::String(expected), Value::String(found)) if at == ".title" => {
            if expected == found {
                Ok(())
            } else {
                Err(format!("{at} is {found:?}, not {expected:?}"))
            }
        }
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => Ok(()),
        _ => Err(format!("{at} is {found}, not like {expected}")),
    }
}
