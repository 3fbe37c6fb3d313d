//! YAML with the place of every node.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::schema::{Path, Step};

/// A place in a file, counted from 1. Line 0: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub line: u64,
    pub column: u64,
}

/// A node and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub tree: Tree,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Place, String, Node)>),
}

impl Node {
    /// The node as JSON. Nulls in maps are left out, as the API server does with fields that are not nullable.
    pub(crate) fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Tree::Map(entries) => {
                let entries = entries.iter().map(|(_, key, node)| (key.clone(), node.to_json()));
                Value::Object(entries.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
            }
        }
    }

    /// The node under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(_, name, _)| name == key).map(|(_, _, node)| node),
            Tree::Scalar(_) | Tree::List(_) => None,
        }
    }

    /// The text under a key of a map.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.tree {
            Tree::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The place of what a path leads to, or of the last thing on the way that is there.
    ///
    /// For a field that is the place of its name: it is on the line that a person looks for.
    pub(crate) fn place_of(&self, path: &Path) -> Place {
        let mut place = self.place;
        let mut node = self;
        for step in &path.0 {
            match (step, &node.tree) {
                (Step::Key(key), Tree::Map(entries)) => {
                    let Some((at, _, next)) = entries.iter().find(|(_, name, _)| name == key) else {
                        return place;
                    };
                    (place, node) = (*at, next);
                }
                (Step::Index(index), Tree::List(nodes)) => {
                    let Some(next) = nodes.get(*index) else {
                        return place;
                    };
                    (place, node) = (next.place, next);
                }
                _ => return place,
            }
        }
        place
    }
}

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub place: Place,
    pub message: String,
}

/// Stack for reading. The library nests up to 64 levels, and one takes up to 45 kB in a build without optimisation: more than
/// the 2 MiB of a thread that a caller may be on.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Reads all documents of a text. Empty ones are skipped.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let failed = |message: &str| YamlError {
        place: Place::default(),
        message: message.to_owned(),
    };
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new()
            .name("yaml".to_owned())
            .stack_size(STACK_BYTES);
        let reader = reader
            .spawn_scoped(scope, || read(text))
            .map_err(|error| failed(&error.to_string()))?;
        reader.join().map_err(|_| failed("the YAML reader failed"))?
    })
}

fn read(text: &str) -> Result<Vec<Node>, YamlError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Located> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(Place::default(), |at| Place {
            line: at.line(),
            column: at.column(),
        });
        YamlError {
            place,
            message: error.to_string(),
        }
    })?;
    Ok(documents.into_iter().map(|located| located.0).collect())
}

struct Located(Node);

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Inner>::deserialize(deserializer)?;
        let place = place(&spanned.referenced);
        Ok(Self(Node {
            place,
            tree: spanned.value.0,
        }))
    }
}

fn place(location: &serde_saphyr::Location) -> Place {
    Place {
        line: location.line(),
        column: location.column(),
    }
}

struct Inner(Tree);

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        // JSON has no NaN and no infinity; as text they fail where a number is wanted.
        let number = Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number);
        Ok(Tree::Scalar(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut nodes = Vec::new();
        while let Some(Located(node)) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Tree::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let Located(node) = access.next_value()?;
            entries.push((place(&key.referenced), key.value, node));
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
# a comment
a: 1
b:
  - name: x
    when: [429, 5xx, connect]
    none:
---
---
c: {d: \"1\", e: 0.5, f: true}
";

    #[test]
    fn documents_keep_types_and_drop_nulls() {
        let documents = documents(TEXT).unwrap();
        let values: Vec<Value> = documents.iter().map(Node::to_json).collect();
        assert_eq!(
            values,
            [
                json!({"a": 1, "b": [{"name": "x", "when": [429, "5xx", "connect"]}]}),
                json!({"c": {"d": "1", "e": 0.5, "f": true}}),
            ]
        );
    }

    #[test]
    fn places_are_those_in_the_file() {
        let documents = documents(TEXT).unwrap();
        let at = |document: usize, path: &str| {
            let place = documents[document].place_of(&Path::parse(path));
            (place.line, place.column)
        };
        assert_eq!(at(0, "a"), (2, 1));
        assert_eq!(at(0, "b[0].name"), (4, 5));
        assert_eq!(at(0, "b[0].when"), (5, 5));
        assert_eq!(at(0, "b[0].when[1]"), (5, 17));
        assert_eq!(at(0, "b[0].missing.deeper"), (4, 5));
        assert_eq!(at(1, "c.e"), (9, 13));
    }

    #[test]
    fn anchors_are_followed_and_point_to_where_they_are_used() {
        let documents = documents("a: &x {b: 1}\nc: *x\n").unwrap();
        assert_eq!(documents[0].to_json(), json!({"a": {"b": 1}, "c": {"b": 1}}));
        assert_eq!(documents[0].place_of(&Path::parse("c")).line, 2);
    }

    #[test]
    fn broken_yaml_says_where() {
        let error = documents("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.place.line >= 2, "{error:?}");
        assert!(!error.message.contains('\n'), "{error:?}");
        let error = documents("a: 1\na: 2\n").unwrap_err();
        assert_eq!(error.place.line, 2, "{error:?}");
    }

    #[test]
    fn hostile_text_is_an_error_and_not_a_crash() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            "a: &a [*a]".to_owned(),
        ] {
            assert!(documents(&text).is_err());
        }
        let bomb = (0..40).fold("a0: &a0 x\n".to_owned(), |text, i| {
            format!("{text}a{}: &a{} [*a{i}, *a{i}, *a{i}, *a{i}]\n", i + 1, i + 1)
        });
        assert!(documents(&bomb).is_err());
        let chain = (0..5_000).fold("a0: &a0 x\n".to_owned(), |text, i| {
            format!("{text}a{}: &a{} [*a{i}]\n", i + 1, i + 1)
        });
        assert!(documents(&chain).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-a-z0-9:{}\\[\\]&*!|>'\"# \n]{0,200}") {
            let _ = documents(&text).map(|documents| documents.iter().map(Node::to_json).count());
        }
    }
}
