//! Scalars of a request that are named by their paths, such as `metadata.team`.

use super::RequestError;
use super::fields;
use super::find::{Lost, find, find_in};
use super::pieces::Pieces;

/// Longest value that is read, in bytes: what it is compared with is no longer, and a pattern must not run over a
/// document that somebody put there.
pub const LONGEST_VALUE: usize = 4096;
/// The same as it may be written, with every character escaped and in quotes.
const LONGEST_WRITTEN: usize = LONGEST_VALUE * 6 + 2;

/// Paths of scalars in a request's body: names of fields joined by dots.
///
/// One pass over the body finds all of them. Objects on the way are looked into, lists are not.
#[derive(Debug, Clone, Default)]
pub struct FieldPaths {
    /// The different first names.
    heads: Vec<Box<str>>,
    paths: Vec<Path>,
}

#[derive(Debug, Clone)]
struct Path {
    written: Box<str>,
    head: usize,
    rest: Vec<Box<str>>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Nothing, or `null`.
    Absent,
    /// An object, a list, a text longer than [`LONGEST_VALUE`], or one that is none.
    Opaque,
    /// A string, without quotes and escapes; a number as it is written; `true` or `false`.
    Scalar(Box<str>),
}

impl FieldPaths {
    /// The number of a path, which is added if it is not there yet.
    pub fn add(&mut self, path: &str) -> usize {
        if let Some(known) = self.paths.iter().position(|known| &*known.written == path) {
            return known;
        }
        let mut names = path.split('.');
        let first = names.next().unwrap_or_default();
        let head = self.heads.iter().position(|head| &**head == first);
        let head = head.unwrap_or_else(|| {
            self.heads.push(first.into());
            self.heads.len() - 1
        });
        self.paths.push(Path {
            written: path.into(),
            head,
            rest: names.map(Into::into).collect(),
        });
        self.paths.len() - 1
    }

    /// What stands at each path, in the order of their numbers.
    ///
    /// An error if a name on the way is given twice, as client, gateway and provider could then read different values.
    pub fn read(&self, body: &Pieces) -> Result<Vec<FieldValue>, RequestError> {
        let top = find(body, self.heads.as_slice()).map_err(|why| match why {
            Lost::Unreadable(why) => why,
            Lost::Twice(head) => twice(&self.heads[head]),
        })?;
        let value = |path: &Path| match top.values[path.head].clone() {
            None => Ok(FieldValue::Absent),
            Some(range) => path.value(&body.get(range)),
        };
        self.paths.iter().map(value).collect()
    }
}

impl Path {
    fn value(&self, mut text: &[u8]) -> Result<FieldValue, RequestError> {
        for name in &self.rest {
            if text.first() != Some(&b'{') {
                return Ok(FieldValue::Absent);
            }
            let [place] = match find_in(text, &[&**name]) {
                Ok(fields) => fields.values,
                Err(Lost::Twice(_)) => return Err(twice(&self.written)),
                // The provider will say so too.
                Err(Lost::Unreadable(_)) => return Ok(FieldValue::Opaque),
            };
            match place.and_then(|place| text.get(place)) {
                Some(inner) => text = inner,
                None => return Ok(FieldValue::Absent),
            }
        }
        Ok(scalar(text))
    }
}

fn twice(at: &str) -> RequestError {
    RequestError::Malformed {
        at: at.into(),
        expected: "a field that is given once",
    }
}

fn scalar(text: &[u8]) -> FieldValue {
    let value = match text.first() {
        None => return FieldValue::Absent,
        Some(b'[' | b'{') => None,
        _ if text.len() > LONGEST_WRITTEN => None,
        _ if text == b"null" => return FieldValue::Absent,
        Some(b'"') => std::str::from_utf8(text).ok().and_then(fields::string),
        Some(_) => std::str::from_utf8(text).ok().map(Into::into),
    };
    value
        .filter(|value| value.len() <= LONGEST_VALUE)
        .map_or(FieldValue::Opaque, |value| FieldValue::Scalar(value.into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(paths: &[&str], body: &str) -> Result<Vec<FieldValue>, RequestError> {
        read_cut(paths, body, &[])
    }

    /// Reads a body that comes in pieces of these sizes, and what is left.
    fn read_cut(paths: &[&str], body: &str, sizes: &[usize]) -> Result<Vec<FieldValue>, RequestError> {
        let mut all = FieldPaths::default();
        for (number, path) in paths.iter().enumerate() {
            assert_eq!(all.add(path), number);
        }
        let mut pieces = Pieces::default();
        let mut rest = body.as_bytes();
        for size in sizes {
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = more;
        }
        pieces.push(Bytes::copy_from_slice(rest));
        all.read(&pieces)
    }

    fn text(value: &str) -> FieldValue {
        FieldValue::Scalar(value.into())
    }

    #[test]
    fn scalars_are_found_at_any_depth_and_all_else_is_told_apart() {
        let body = r#"{"messages":[{"team":"no"}],"user":"a\u0062","metadata":{"team":"red","deep":{"n":-1.50}},
            "stream":true,"none":null,"list":[1],"ob\u006aect":{}}"#;
        let paths = [
            "user",
            "metadata.team",
            "metadata.deep.n",
            "stream",
            "none",
            "list",
            "object",
            "metadata",
            "messages.team",
            "user.x",
            "metadata.deep.m",
            "other",
        ];
        let found = read(&paths, body).unwrap();
        let expected = [
            text("ab"),
            text("red"),
            text("-1.50"),
            text("true"),
            FieldValue::Absent,
            FieldValue::Opaque,
            FieldValue::Opaque,
            FieldValue::Opaque,
            FieldValue::Absent,
            FieldValue::Absent,
            FieldValue::Absent,
            FieldValue::Absent,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_path_is_looked_for_once_however_often_it_is_wanted() {
        let mut paths = FieldPaths::default();
        assert_eq!(["a.b", "a.c", "a.b", "d"].map(|path| paths.add(path)), [0, 1, 0, 2]);
        assert_eq!(paths.heads, ["a".into(), "d".into()]);
    }

    #[test]
    fn a_field_that_is_given_twice_is_a_mistake_where_it_is_looked_at_and_nowhere_else() {
        let body = r#"{"user":"a","metadata":{"team":"red","te\u0061m":"blue","x":1,"x":2},"user":"b"}"#;
        let error = |path: &str| read(&[path], body).unwrap_err().to_string();
        assert_eq!(
            error("user"),
            "invalid value for 'user': expected a field that is given once"
        );
        assert_eq!(
            error("metadata.team"),
            "invalid value for 'metadata.team': expected a field that is given once"
        );
        assert_eq!(read(&["metadata.y"], body).unwrap(), [FieldValue::Absent]);
    }

    #[test]
    fn long_values_are_there_and_not_read() {
        let of = |length: usize| read(&["user"], &json!({"user": "é".repeat(length)}).to_string()).unwrap();
        assert_eq!(of(LONGEST_VALUE / 2), [text(&"é".repeat(LONGEST_VALUE / 2))]);
        assert_eq!(of(LONGEST_VALUE / 2 + 1), [FieldValue::Opaque]);
        assert_eq!(of(LONGEST_WRITTEN), [FieldValue::Opaque]);
        let escaped = format!(r#"{{"user":"{}"}}"#, r"\u0061".repeat(LONGEST_VALUE));
        assert_eq!(read(&["user"], &escaped).unwrap(), [text(&"a".repeat(LONGEST_VALUE))]);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(
            r#"{{"a":{}1{},"b":2}}"#,
            r#"{"a":"#.repeat(100_000),
            "}".repeat(100_000)
        );
        assert_eq!(read(&["a.a.a.a", "b"], &deep).unwrap(), [FieldValue::Opaque, text("2")]);
    }

    fn body() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::hash_map("[abc]", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        });
        proptest::collection::hash_map("[abc]", value, 0..4)
            .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into())
    }

    proptest! {
        #[test]
        fn paths_lead_where_a_parser_finds_them(
            body in body(),
            paths in proptest::collection::hash_set("[abc](\\.[abc]){0,2}", 1..4),
            sizes in proptest::collection::vec(0..40_usize, 0..8),
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let found = read_cut(&paths, &body.to_string(), &sizes).unwrap();
            for (path, found) in paths.iter().zip(found) {
                let mut value = Some(&body);
                for name in path.split('.') {
                    value = value.and_then(Value::as_object).and_then(|object| object.get(name));
                }
                let expected = match value {
                    None | Some(Value::Null) => FieldValue::Absent,
                    Some(Value::String(string)) => text(string),
                    Some(Value::Array(_) | Value::Object(_)) => FieldValue::Opaque,
                    Some(other) => text(&other.to_string()),
                };
                prop_assert_eq!(found, expected, "{}", path);
            }
        }
    }
}
