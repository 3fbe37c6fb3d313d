//! Scalars of a request that are named by their paths, such as `metadata.team`.

use std::ops::Range;

use super::RequestError;
use super::fields;
use super::find::{Lost, find};
use super::pieces::Pieces;
use super::scan::Wanted;

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
    tree: Tree,
    /// Where each path ends in the tree.
    ends: Vec<usize>,
}

/// The names on all paths, each behind the one before it on its way.
#[derive(Debug, Clone, Default)]
struct Tree(Vec<Node>);

#[derive(Debug, Clone)]
struct Node {
    name: Box<str>,
    /// The name before it; `None`: it stands in the body itself.
    before: Option<usize>,
    /// Whether there are names behind it.
    is_entered: bool,
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
        let end = path
            .split('.')
            .fold(None, |before, name| Some(self.tree.add(before, name)));
        // Splitting gives one name at least.
        let end = end.unwrap_or_default();
        self.ends.iter().position(|known| *known == end).unwrap_or_else(|| {
            self.ends.push(end);
            self.ends.len() - 1
        })
    }

    /// What stands at each path, in the order of their numbers.
    ///
    /// An error if a name on the way is given twice, as client, gateway and provider could then read different values.
    pub fn read(&self, body: &Pieces) -> Result<Vec<FieldValue>, RequestError> {
        let found = find(body, &self.tree).map_err(|why| match why {
            Lost::Unreadable(why) => why,
            Lost::Twice(name) => twice(&self.tree.path(name)),
        })?;
        let value = |end: &usize| match found.values[*end].clone() {
            None => FieldValue::Absent,
            // Whatever it is, it is nothing to be compared with.
            Some(place) if place.len() > LONGEST_WRITTEN => FieldValue::Opaque,
            Some(place) => scalar(&body.get(place)),
        };
        Ok(self.ends.iter().map(value).collect())
    }
}

impl Tree {
    /// The number of a name behind another one.
    fn add(&mut self, before: Option<usize>, name: &str) -> usize {
        if let Some(known) = self.position(before, name.as_bytes()) {
            return known;
        }
        if let Some(node) = before.and_then(|before| self.0.get_mut(before)) {
            node.is_entered = true;
        }
        self.0.push(Node {
            name: name.into(),
            before,
            is_entered: false,
        });
        self.0.len() - 1
    }

    /// The path that leads to a name, as it is written.
    fn path(&self, number: usize) -> String {
        let mut path = self.0[number].name.to_string();
        let mut before = self.0[number].before;
        while let Some(number) = before {
            path = format!("{}.{path}", self.0[number].name);
            before = self.0[number].before;
        }
        path
    }
}

impl Wanted for Tree {
    type Places = Vec<Option<Range<usize>>>;

    fn places(&self) -> Self::Places {
        vec![None; self.0.len()]
    }

    fn position(&self, within: Option<usize>, name: &[u8]) -> Option<usize> {
        let mut nodes = self.0.iter();
        nodes.position(|node| node.before == within && node.name.as_bytes() == name)
    }

    fn is_entered(&self, number: usize) -> bool {
        self.0[number].is_entered
    }

    fn around(&self, number: usize) -> Option<usize> {
        self.0[number].before
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
    use crate::request::find::scan;

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
        let names: Vec<&str> = paths.tree.0.iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
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
        // What is looked into as a whole, and what follows it, is given once too.
        let twice = r#"{"metadata":{"team":"red"},"metadata":{"user":"a"}}"#;
        let error = read(&["metadata.x.y"], twice).unwrap_err();
        assert_eq!(error.param(), Some("metadata"));
    }

    #[test]
    fn sixteen_paths_cost_one_pass_over_the_body() {
        let fields = |name: &str| -> Value { (0..64).map(|n| (format!("{name}{n}"), json!(n))).collect() };
        let mut body = fields("top");
        body["metadata"] = fields("field");
        body["metadata"]["deep"] = fields("deep");
        let body = Pieces::from(Bytes::from(body.to_string()));
        let mut paths = FieldPaths::default();
        for n in 0..8 {
            paths.add(&format!("metadata.field{n}"));
            paths.add(&format!("metadata.deep.deep{n}"));
        }
        let mut visited = 0;
        let pieces = body
            .iter()
            .map(|piece| &**piece)
            .inspect(|piece| visited += piece.len());
        let found = scan(pieces, &paths.tree).unwrap();
        // What a scan has found has its place in the body already, so that nothing is looked at again but these values.
        assert_eq!(visited, body.len());
        assert!(found.values.iter().all(Option::is_some));
        let expected: Vec<FieldValue> = (0..16).map(|n| text(&(n / 2).to_string())).collect();
        assert_eq!(paths.read(&body).unwrap(), expected);
    }

    #[test]
    fn an_object_on_the_way_that_a_parser_must_judge_is_read_by_it_or_not_at_all() {
        let paths = ["a.b.c", "a.d", "a", "e"];
        // A name in disguise, in an object in an object.
        let escaped = r#"{"a":{"b":{"\u0063":1},"d":"x"},"e":2}"#;
        let expected = [text("1"), text("x"), FieldValue::Opaque, text("2")];
        assert_eq!(read(&paths, escaped).unwrap(), expected);
        // A name that is no text.
        let broken = r#"{"a":{"b":{"\ud800":1},"d":"x"},"e":2}"#;
        let expected = [FieldValue::Opaque, text("x"), FieldValue::Opaque, text("2")];
        assert_eq!(read(&paths, broken).unwrap(), expected);
        let broken = r#"{"a":{"\ud800":{},"b":{"c":1}},"e":2}"#;
        let expected = [FieldValue::Opaque, FieldValue::Opaque, FieldValue::Opaque, text("2")];
        assert_eq!(read(&paths, broken).unwrap(), expected);
        // Empty objects, and what is none where one is looked for.
        let none = [FieldValue::Absent, FieldValue::Absent, FieldValue::Opaque, text("2")];
        for a in [
            "{}",
            r#"{"b":{}}"#,
            r#"{"b":[{"c":1}]}"#,
            r#"[{"d":1}]"#,
            r#"{"x":{"d":1}}"#,
        ] {
            assert_eq!(read(&paths, &format!(r#"{{"a":{a},"e":2}}"#)).unwrap(), none, "{a}");
        }
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
