//! Finds a field of an answer from its end, where providers put the usage: text before it, most of the answer, is only
//! searched for the field's name, which takes a small part of the time of reading it.
//!
//! In valid JSON the bytes `"name"` are a whole string, since a quote in a string is escaped. A string before a colon is the
//! name of a field, and the number of closing brackets behind the field's value tells how deep it stands. So on valid JSON
//! this finds what a parser finds, or says that it does not know.

use std::ops::Range;

use memchr::{memchr2, memmem};

/// An escape that could spell a name in other letters.
const UNICODE: &[u8] = b"\\u";

/// Where the object stands that is the value of a field of the outermost object. `quoted` is the field's name with its
/// quotes. `None`: there may be none, or more than one, or something that only a parser can tell.
pub(super) fn object(body: &[u8], quoted: &[u8]) -> Option<Range<usize>> {
    let name = memmem::find(body, quoted)?;
    let behind = name + quoted.len();
    let more = memmem::find(&body[behind..], quoted).or_else(|| memmem::find(body, UNICODE));
    if more.is_some() {
        return None;
    }
    let start = value(body, behind)?;
    let end = close(body, start + 1)?;
    let over = close(body, end)?;
    let rest = body[over..].trim_ascii();
    (body[over - 1] == b'}' && rest.is_empty()).then_some(start..end)
}

/// The brace with which the value of a field begins whose name ends at `at`.
fn value(body: &[u8], at: usize) -> Option<usize> {
    let colon = at + blanks(&body[at..]);
    let start = colon + 1 + blanks(body.get(colon + 1..)?);
    (body.get(colon) == Some(&b':') && body.get(start) == Some(&b'{')).then_some(start)
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.len() - bytes.trim_ascii_start().len()
}

/// Just behind the bracket that closes what is open at `at`, outside a string.
fn close(body: &[u8], mut at: usize) -> Option<usize> {
    let mut open = 0_usize;
    loop {
        match body.get(at)? {
            b'"' => at = string_end(body, at + 1)?,
            b'{' | b'[' => open += 1,
            b'}' | b']' => match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Some(at + 1),
            },
            _ => {}
        }
        at += 1;
    }
}

/// The quote that ends a string.
fn string_end(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', body.get(at..)?)?;
        if body[at] == b'"' {
            return Some(at);
        }
        // The escaped sign, whatever it is.
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn found(body: &str) -> Option<&str> {
        object(body.as_bytes(), b"\"usage\"").map(|range| &body[range])
    }

    #[test]
    fn the_field_of_the_outermost_object_alone_is_found() {
        assert_eq!(
            found(r#"{"a":[{"b":"}"}],"usage" : {"n":{"x":"\"}"}} , "z":[1]} "#),
            Some(r#"{"n":{"x":"\"}"}}"#)
        );
        assert_eq!(found(r#"{"usage":{}}"#), Some("{}"));
        for unknown in [
            r#"{"a":{"usage":{}}}"#,
            r#"{"a":[{"usage":{}}]}"#,
            r#"[{"usage":{}}]"#,
            r#"{"usage":{},"usage":{}}"#,
            r#"{"usage":{},"us\u0061ge":{}}"#,
            r#"{"usage":null}"#,
            r#"{"usage":[]}"#,
            r#"{"a":"usage"}"#,
            r#"{"a":"\"usage\":{}"}"#,
            r#"{"usage":{}"#,
            r#"{"usage":{}}}"#,
            r#"{"usage":{}} x"#,
            r#"{"usage"#,
            r#"{"usage":"#,
            r#"{"usage":{"x":"\"#,
            "",
        ] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let name = prop_oneof![Just("usage".to_owned()), "[a-c\"\\\\{}\\[\\]:,\u{e9}]{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            name.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_parser_finds(value in json(), pretty in any::<bool>()) {
            let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            if let Some(found) = found(&body) {
                let parsed: Value = serde_json::from_str(found).unwrap();
                prop_assert_eq!(value.get("usage"), Some(&parsed));
            }
        }

        #[test]
        fn no_bytes_bring_it_out_of_bounds(body in "[\"\\\\{}\\[\\]:, usage]{0,40}") {
            let _ = found(&body);
        }
    }
}
