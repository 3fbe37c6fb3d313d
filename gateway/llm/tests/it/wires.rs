//! What the tests of several wires share.

use std::fmt::Write as _;

use tokenweir_llm::conversation::{Event, Json, Report, Request};
use tokenweir_llm::dialect::{ProviderWire, StreamReader, Target};

/// JSON that is passed on as it is.
pub fn raw(text: &str) -> Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
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

/// Checks what every reader of streams promises of its events; see [`Event`].
pub fn keeps_its_promises(events: &[Event]) -> Result<(), String> {
    use std::collections::BTreeMap;
    /// Of a choice: parts begun, the open ones with whether they are calls, and whether it has finished.
    #[derive(Default)]
    struct Choice {
        begun: u32,
        open: BTreeMap<u32, bool>,
        finished: bool,
    }
    let mut choices: BTreeMap<u32, Choice> = BTreeMap::new();
    let mut over = false;
    for (n, event) in events.iter().enumerate() {
        let wrong = |what: &str| Err(format!("event {n} {event:?}: {what}"));
        if over {
            return wrong("comes after the end");
        }
        if matches!(event, Event::Start { .. }) && n > 0 {
            return wrong("a start that is not the first");
        }
        if n == 0 && !matches!(event, Event::Start { .. } | Event::Error(_)) {
            return wrong("comes before the start");
        }
        match event {
            Event::PartStart { choice, part, start } => {
                let choice = choices.entry(*choice).or_default();
                let is_call = matches!(start, tokenweir_llm::conversation::PartStart::ToolCall { .. });
                if choice.finished || *part != choice.begun {
                    return wrong("a part out of its turn");
                }
                if !is_call && choice.open.values().any(|call| !call) {
                    return wrong("begins while another part is open");
                }
                choice.begun += 1;
                choice.open.insert(*part, is_call);
            }
            Event::Text { choice, part, .. }
            | Event::Thinking { choice, part, .. }
            | Event::Signature { choice, part, .. }
            | Event::Refusal { choice, part, .. }
            | Event::Arguments { choice, part, .. }
            | Event::Citation { choice, part, .. } => {
                if !choices.get(choice).is_some_and(|choice| choice.open.contains_key(part)) {
                    return wrong("is of a part that is not open");
                }
            }
            Event::PartEnd { choice, part } => {
                let choice = choices.entry(*choice).or_default();
                if choice.open.remove(part).is_none() {
                    return wrong("ends a part that is not open");
                }
            }
            Event::Finish { choice, .. } => {
                let choice = choices.entry(*choice).or_default();
                if choice.finished || !choice.open.is_empty() {
                    return wrong("finishes twice or with open parts");
                }
                choice.finished = true;
            }
            Event::Error(_) => over = true,
            Event::End => {
                over = true;
                if choices.values().any(|choice| !choice.finished) {
                    return wrong("ends before all choices have finished");
                }
            }
            Event::Start { .. } | Event::Usage(_) => {}
        }
    }
    if over { Ok(()) } else { Err("has no end".to_owned()) }
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
