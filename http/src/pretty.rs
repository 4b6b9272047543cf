//! JSON for people: three spaces a level, one value a line.

/// Lays out valid, compact JSON. Works on the bytes, so that it serves every answer without knowing any.
pub(crate) fn pretty(json: &[u8]) -> Vec<u8> {
    let mut laid_out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            laid_out.push(byte);
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                laid_out.push(byte);
            }
            b'{' | b'[' => {
                laid_out.push(byte);
                if bytes.peek().is_some_and(|next| matches!(next, b'}' | b']')) {
                    laid_out.extend(bytes.next());
                } else {
                    depth += 1;
                    new_line(&mut laid_out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut laid_out, depth);
                laid_out.push(byte);
            }
            b',' => {
                laid_out.push(byte);
                new_line(&mut laid_out, depth);
            }
            b':' => laid_out.extend_from_slice(b": "),
            byte => laid_out.push(byte),
        }
    }
    laid_out
}

fn new_line(laid_out: &mut Vec<u8>, depth: usize) {
    laid_out.push(b'\n');
    laid_out.resize(laid_out.len() + depth * 3, b' ');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_level_is_indented_by_three_spaces() {
        let laid_out = pretty(br#"{"a":[1,{}],"b":"x,\"{"}"#);
        let expected = "{\n   \"a\": [\n      1,\n      {}\n   ],\n   \"b\": \"x,\\\"{\"\n}";
        assert_eq!(String::from_utf8(laid_out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn layout_changes_no_value(texts in prop::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..6)) {
            let value = serde_json::json!({"map": texts, "list": [texts], "none": null});
            let laid_out = pretty(&serde_json::to_vec(&value).unwrap());
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&laid_out).unwrap(), value);
        }
    }
}
