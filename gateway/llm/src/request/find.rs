//! Fields of an object and of objects in it, found by a scan, or by a parser where the scan gives up.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RequestError;
use super::fields::position;
use super::pieces::Pieces;
use super::scan::{Fields, Scanner, Unusual, Wanted};

/// Why fields cannot be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The text is no JSON, or no object.
    Unreadable(RequestError),
    /// The wanted field of this number is given twice.
    Twice(usize),
}

/// Finds the wanted fields of a body, in one pass unless the scan gives up.
///
/// What is wanted in an object that cannot be read is said to stand where that object does.
pub(super) fn find<W: Wanted + ?Sized>(body: &Pieces, wanted: &W) -> Result<Fields<W::Places>, Lost> {
    match scan(body.iter().map(|piece| &**piece), wanted) {
        Ok(fields) => Ok(fields),
        Err(Unusual) => parse(&body.to_bytes(), wanted),
    }
}

/// The same by the scan alone.
pub(super) fn scan<'a, W: Wanted + ?Sized>(
    pieces: impl Iterator<Item = &'a [u8]>,
    wanted: &W,
) -> Result<Fields<W::Places>, Unusual> {
    let mut scanner = Scanner::new(wanted);
    for piece in pieces {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

/// The same by a parser, which knows escapes in names and says what is wrong with JSON that is none. One pass for the body,
/// and one for each object in which something is wanted.
fn parse<W: Wanted + ?Sized>(body: &[u8], wanted: &W) -> Result<Fields<W::Places>, Lost> {
    let mut values = wanted.places();
    let places = values.as_mut();
    parse_object(body, 0..body.len(), None, wanted, places)?;
    for number in 0..places.len() {
        let place = places[number].clone().filter(|_| wanted.is_entered(number));
        let Some(place) = place.filter(|place| body.get(place.start) == Some(&b'{')) else {
            continue;
        };
        match parse_object(body, place.clone(), Some(number), wanted, places) {
            Ok(()) => {}
            Err(Lost::Unreadable(_)) => {
                for (inner, unread) in places.iter_mut().enumerate() {
                    if wanted.around(inner) == Some(number) {
                        *unread = Some(place.clone());
                    }
                }
            }
            Err(twice) => return Err(twice),
        }
    }
    // The body parsed as an object, so its first byte that is not white space is the brace.
    let inside = body.iter().take_while(|byte| byte.is_ascii_whitespace()).count() + 1;
    Ok(Fields { values, inside })
}

/// Notes where what is wanted in one object of the body stands: in that of a number, or in the body itself.
fn parse_object<W: Wanted + ?Sized>(
    body: &[u8],
    place: Range<usize>,
    within: Option<usize>,
    wanted: &W,
    places: &mut [Option<Range<usize>>],
) -> Result<(), Lost> {
    let mut json = serde_json::Deserializer::from_slice(body.get(place).unwrap_or_default());
    let name = Name { within, wanted };
    let object = Object { body, name, places };
    let twice = object.deserialize(&mut json).and_then(|twice| {
        json.end()?;
        Ok(twice)
    });
    let twice = twice.map_err(|error| Lost::Unreadable(RequestError::of_parser(&error)))?;
    twice.map_or(Ok(()), |field| Err(Lost::Twice(field)))
}

/// An object of which the places of the wanted fields are noted. Gives the first field that is given twice.
struct Object<'s, W: ?Sized> {
    /// To which the places refer.
    body: &'s [u8],
    name: Name<'s, W>,
    places: &'s mut [Option<Range<usize>>],
}

impl<'de, W: Wanted + ?Sized> DeserializeSeed<'de> for Object<'_, W> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, W: Wanted + ?Sized> Visitor<'de> for Object<'_, W> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut twice = None;
        while let Some(name) = map.next_key_seed(self.name)? {
            let Some((number, place)) = name.and_then(|name| Some((name, self.places.get_mut(name)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&RawValue>()?;
            if place.replace(position(self.body, value.get())).is_some() {
                twice = twice.or(Some(number));
            }
        }
        Ok(twice)
    }
}

/// The number of a wanted name. Names are matched after JSON unescaping, so `"mod\u0065l"` is `model` here as it is for
/// the provider.
struct Name<'s, W: ?Sized> {
    /// The object that has it.
    within: Option<usize>,
    wanted: &'s W,
}

impl<W: ?Sized> Clone for Name<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: ?Sized> Copy for Name<'_, W> {}

impl<'de, W: Wanted + ?Sized> DeserializeSeed<'de> for Name<'_, W> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<W: Wanted + ?Sized> Visitor<'_> for Name<'_, W> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.wanted.position(self.within, name.as_bytes()))
    }
}
