//! What every reader of streams promises. The fuzz targets check it too.

use std::collections::BTreeMap;

use tokenweir_llm::conversation::{Event, PartStart};

/// Checks what every reader of streams promises of its events; see [`Event`].
pub fn keeps_its_promises(events: &[Event]) -> Result<(), String> {
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
                let is_call = matches!(start, PartStart::ToolCall { .. });
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
