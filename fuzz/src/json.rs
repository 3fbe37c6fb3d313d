//! What must be JSON.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// An object none of whose own names is given twice. What lies deeper is read as JSON of any depth and not compared: schemas and
/// arguments are passed on as they came.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                unique::<IgnoredAny, A>(map).map(|()| Object)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A value that everybody reads alike: no object at any depth gives a name twice, and all text is Unicode. What a parser
/// with a limit of depth does not reach is none.
struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Plain;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_unit<E: Error>(self) -> Result<Plain, E> {
                Ok(Plain)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Plain, A::Error> {
                while list.next_element::<Plain>()?.is_some() {}
                Ok(Plain)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Plain, A::Error> {
                unique::<Plain, A>(map).map(|()| Plain)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn unique<'de, V: Deserialize<'de>, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    let mut names = HashSet::new();
    while let Some((name, _)) = map.next_entry::<String, V>()? {
        if !names.insert(name) {
            return Err(A::Error::custom("a name is given twice"));
        }
    }
    Ok(())
}

/// Panics unless a body is a JSON object.
pub fn object(what: &str, body: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Object>(body) {
        panic!("{what} is no object: {error}: {}", String::from_utf8_lossy(body));
    }
}

/// Panics unless a body that was made of another is a JSON object, and one that everybody reads alike if the other was.
///
/// Names that are given twice and halves of surrogates pass on inside of schemas, arguments and fields that a dialect does
/// not know: the gateway does not act on those, and they belong to the client and the provider. It makes none of its own.
pub fn made_of(source: &[u8], what: &str, body: &[u8]) {
    object(what, body);
    if serde_json::from_slice::<Plain>(source).is_err() {
        return;
    }
    if let Err(error) = serde_json::from_slice::<Plain>(body) {
        panic!("{what} is not plain: {error}: {}", String::from_utf8_lossy(body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(json: &str) -> bool {
        serde_json::from_str::<Plain>(json).is_ok()
    }

    #[test]
    fn what_readers_could_differ_about_is_not_plain() {
        assert!(plain(r#"{"a":[1,-1,1.5,true,null,"\ud83d\ude00"],"b":{"a":{}}}"#));
        for odd in [
            r#"{"a":[{"b":{"c":1,"c":2}}]}"#,
            r#"["\ud83d"]"#,
            r#"{"\udc00":1}"#,
            r#"{"a":{"x":1,"\u0078":2}}"#,
        ] {
            assert!(!plain(odd), "{odd}");
        }
    }

    #[test]
    #[should_panic(expected = "is not plain")]
    fn a_name_given_twice_deep_in_what_was_written_is_found() {
        made_of(b"{}", "a body", br#"{"messages":[{"role":"user","role":"user"}]}"#);
    }

    #[test]
    fn what_came_so_may_pass_on_so() {
        let odd = br#"{"schema":{"type":"object","type":"array"}}"#;
        made_of(odd, "a body", odd);
    }
}
