//! What the tests of several wires share.

use std::fmt::Write as _;

use tokenweir_llm::conversation::{Event, Json, Message, Part, PartKind, Report, Request, Role};
use tokenweir_llm::dialect::{ProviderWire, StreamReader, Target};

/// JSON that is passed on as it is.
pub fn raw(text: &str) -> Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

/// A message whose parts are numbered.
pub fn message(role: Role, at: &str, parts: Vec<PartKind>) -> Message {
    let parts = parts
        .into_iter()
        .enumerate()
        .map(|(n, kind)| Part::new(kind, format!("{at}.content[{n}]")))
        .collect();
    Message {
        role,
        parts,
        name: None,
        at: at.into(),
    }
}

/// Text without sources.
pub fn text(text: &str) -> PartKind {
    PartKind::Text {
        text: text.to_owned(),
        citations: Vec::new(),
    }
}

/// What a wire writes for a request, indented, and the fields that it reports.
pub fn written<W: ProviderWire>(request: &Request, model: &str) -> String {
    let mut report = Report::about(W::NAME);
    let target = Target {
        model,
        ..Target::default()
    };
    let body = W::write_request(request, &target, &mut report);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut text = serde_json::to_string_pretty(&body).unwrap();
    if let Err(unsupported) = report.finish() {
        write!(text, "\nreported: {}", unsupported.fields.join(", ")).unwrap();
    }
    text
}

/// The events of a stream that comes in these pieces.
pub fn events_of(mut reader: Box<dyn StreamReader>, pieces: &[&[u8]]) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut events);
    }
    reader.finish(&mut events);
    events
}

/// One event a line.
pub fn lines(events: &[Event]) -> String {
    events.iter().fold(String::new(), |mut text, event| {
        writeln!(text, "{event:?}").unwrap();
        text
    })
}

/// Cuts bytes at these places, in any order and with repetitions.
pub fn cut(bytes: &[u8], mut at: Vec<usize>) -> Vec<&[u8]> {
    for place in &mut at {
        *place %= bytes.len() + 1;
    }
    at.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in at {
        pieces.push(&bytes[start..place]);
        start = place;
    }
    pieces.push(&bytes[start..]);
    pieces
}

/// What may stand in the place of a few bytes: values of other types, and pieces that break what they stand in.
pub const DAMAGE: [&str; 10] = ["", "null", "1", "-1", "[]", "{}", "\"x\"", "\"", ",", "\u{fc}"];

/// A place, how many bytes it loses, and which [`DAMAGE`] it gets.
pub type Damage = (usize, usize, usize);

/// A text that was right, damaged in places. Deeper than random bytes into what a reader does.
pub fn damaged(text: &str, damage: &[Damage]) -> String {
    let mut text = text.to_owned();
    for &(at, length, with) in damage {
        let boundary = |mut at: usize| {
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(at % (text.len() + 1));
        let end = boundary((start + length).min(text.len())).max(start);
        text.replace_range(start..end, DAMAGE[with % DAMAGE.len()]);
    }
    text
}
