//! What must be JSON.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

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

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("a name is given twice"));
                    }
                }
                Ok(Object)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Panics unless a body is a JSON object.
pub fn object(what: &str, body: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Object>(body) {
        panic!("{what} is no object: {error}: {}", String::from_utf8_lossy(body));
    }
}
