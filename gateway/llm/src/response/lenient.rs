//! Field types that never fail on a value of another type: a provider's odd field must not hide the others.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A count of tokens; `None` for null and for anything that is not a whole number from zero up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) Option<u64>);

/// How much is in a value: bytes of a string (with the estimate of its tokens), entries of a list, 1 for an object with
/// entries; 0 for null, scalars and whatever is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) amount: usize,
    pub(super) tokens: u64,
}

/// A word from a closed list, recognised without a copy; the default for a value of another type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Word<T>(pub(super) T);

/// An object, or `None` for a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

macro_rules! ignore_scalars {
    ($value:expr, $($method:ident: $type:ty),* $(,)?) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok($value)
        })*
    };
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<usize, A::Error> {
    let mut entries = 0;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<usize, A::Error> {
    let mut entries = 0;
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            ignore_scalars!(Count(None), visit_bool: bool, visit_str: &str);

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(Some(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(value).ok()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Count, E> {
                // Some servers write 12.0. Above 2^53 a double is no exact count any more.
                let whole = (0.0..=9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0;
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be whole and in range"
                )]
                Ok(Count(whole.then_some(value as u64)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Count, A::Error> {
                drain_seq(seq).map(|_| Count(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Count, A::Error> {
                drain_map(map).map(|_| Count(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Filled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            ignore_scalars!(
                Filled::default(),
                visit_bool: bool,
                visit_u64: u64,
                visit_i64: i64,
                visit_f64: f64,
            );

            fn visit_unit<E>(self) -> Result<Filled, E> {
                Ok(Filled::default())
            }

            fn visit_str<E>(self, value: &str) -> Result<Filled, E> {
                Ok(Filled {
                    amount: value.len(),
                    tokens: crate::tokens::estimate(value),
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Filled, A::Error> {
                let amount = drain_seq(seq)?;
                let tokens = u64::from(amount > 0);
                Ok(Filled { amount, tokens })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Filled, A::Error> {
                let filled = drain_map(map)? > 0;
                Ok(Filled {
                    amount: usize::from(filled),
                    tokens: u64::from(filled),
                })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de, T: Default + for<'a> From<&'a str>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Default + for<'a> From<&'a str>> Visitor<'de> for Any<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            ignore_scalars!(
                Word(T::default()),
                visit_bool: bool,
                visit_u64: u64,
                visit_i64: i64,
                visit_f64: f64,
            );

            fn visit_unit<E>(self) -> Result<Word<T>, E> {
                Ok(Word(T::default()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Word<T>, E> {
                Ok(Word(T::from(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Word<T>, A::Error> {
                drain_seq(seq).map(|_| Word(T::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Word<T>, A::Error> {
                drain_map(map).map(|_| Word(T::default()))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            ignore_scalars!(
                Object(None),
                visit_bool: bool,
                visit_u64: u64,
                visit_i64: i64,
                visit_f64: f64,
                visit_str: &str,
            );

            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
                drain_seq(seq).map(|_| Object(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}
