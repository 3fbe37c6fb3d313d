//! The calls of one of the answers, put together from deltas that may lack what ties them.

use crate::conversation::{Event, PartStart};
use crate::dialect::json::View;
use crate::dialect::openai_chat::{answer, thoughts};

/// Most calls in one answer. OpenAI documents 128; beyond this the search for a call would be what costs.
const MOST_CALLS: usize = 1024;

/// There are more calls than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    /// How many have not ended.
    open: usize,
}

#[derive(Debug, Default)]
struct Call {
    /// Its place as the provider counts.
    index: Option<u64>,
    id: Option<String>,
    signature: Option<String>,
    /// Arguments that came before the name.
    waiting: String,
    braces: Braces,
    stage: Stage,
}

/// Follows the braces of a JSON object, so that its end is known without parsing it again and again.
#[derive(Debug, Default, Clone, Copy)]
struct Braces {
    depth: u64,
    in_string: bool,
    escaped: bool,
    closed: bool,
}

impl Braces {
    fn follow(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    // One that closes nothing is no JSON, and so no end of it.
                    self.closed |= self.depth == 1;
                    self.depth = self.depth.saturating_sub(1);
                }
                _ => {}
            }
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its name has not come yet; arguments wait.
    #[default]
    Nameless,
    /// It is the part of that index.
    Open(u32),
    /// It is complete.
    Ended,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes one entry of `tool_calls`.
    pub(super) fn take(
        &mut self,
        entry: &View<'_>,
        function: Option<&View<'_>>,
        choice: u32,
        answer: &str,
        next: &mut u32,
        events: &mut Vec<Event>,
    ) -> Result<(), TooMany> {
        let (index, id) = (entry.count("index"), entry.filled("id"));
        let name = function.and_then(|function| function.filled("name"));
        let arguments = function.and_then(answer::arguments).unwrap_or_default();
        let position = if let Some(position) = self.position(index, id.as_deref(), name.is_some()) {
            position
        } else {
            if self.all.len() == MOST_CALLS {
                return Err(TooMany);
            }
            self.all.push(Call::default());
            self.open += 1;
            self.all.len() - 1
        };
        if name.is_some() && self.all.get(position).is_some_and(|call| call.stage == Stage::Nameless) {
            // The one before is most likely complete, and then need not wait for the end.
            self.settle(choice, events);
        }
        let Some(call) = self.all.get_mut(position) else {
            return Ok(());
        };
        call.index = call.index.or(index);
        if call.id.is_none() {
            call.id = id;
        }
        if call.signature.is_none() {
            call.signature = entry.raw("extra_content").and_then(thoughts::signature_of_call);
        }
        match call.stage {
            Stage::Ended => {}
            Stage::Open(part) => {
                if !arguments.is_empty() {
                    call.braces.follow(&arguments);
                    events.push(Event::Arguments {
                        choice,
                        part,
                        json: arguments,
                    });
                }
            }
            Stage::Nameless => {
                call.waiting.push_str(&arguments);
                if let Some(name) = name {
                    call.open(name, position, choice, answer, next, events);
                }
            }
        }
        Ok(())
    }

    /// Which call a delta goes on with; `None` for a new one.
    fn position(&self, index: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        match (index, id) {
            (Some(index), id) => {
                let found = self.all.iter().rposition(|call| call.index == Some(index))?;
                // Another id together with a name is another call: some servers number all of them 0. An id that
                // changes without a name is one that is drawn anew for each delta.
                let other = named && id.is_some_and(|id| self.all[found].id.as_deref().is_some_and(|own| own != id));
                (!other).then_some(found)
            }
            (None, Some(id)) => self.all.iter().rposition(|call| call.id.as_deref() == Some(id)),
            (None, None) if named => None,
            (None, None) => self.all.len().checked_sub(1),
        }
    }

    /// Ends the calls whose arguments are whole; whether none is open any more.
    pub(super) fn settle(&mut self, choice: u32, events: &mut Vec<Event>) -> bool {
        if self.open == 0 {
            return true;
        }
        for call in &mut self.all {
            if let Stage::Open(part) = call.stage
                && call.braces.closed
            {
                call.stage = Stage::Ended;
                self.open -= 1;
                events.push(Event::PartEnd { choice, part });
            }
        }
        self.open == 0
    }

    /// Ends all calls.
    pub(super) fn end(&mut self, choice: u32, answer: &str, next: &mut u32, events: &mut Vec<Event>) {
        // An entry without name and arguments was nothing.
        self.all
            .retain(|call| call.stage != Stage::Nameless || !call.waiting.trim().is_empty());
        for (position, call) in self.all.iter_mut().enumerate() {
            if call.stage == Stage::Nameless {
                call.open(String::new(), position, choice, answer, next, events);
            }
        }
        for call in &mut self.all {
            if let Stage::Open(part) = call.stage {
                call.stage = Stage::Ended;
                events.push(Event::PartEnd { choice, part });
            }
        }
        self.open = 0;
    }
}

impl Call {
    fn open(
        &mut self,
        name: String,
        position: usize,
        choice: u32,
        answer: &str,
        next: &mut u32,
        events: &mut Vec<Event>,
    ) {
        let part = *next;
        *next += 1;
        self.stage = Stage::Open(part);
        let id = self.id.clone();
        events.push(Event::PartStart {
            choice,
            part,
            start: PartStart::ToolCall {
                id: id.unwrap_or_else(|| answer::made_call_id(answer, choice, position)),
                name,
                signature: self.signature.clone(),
            },
        });
        if !self.waiting.is_empty() {
            let json = std::mem::take(&mut self.waiting);
            self.braces.follow(&json);
            events.push(Event::Arguments { choice, part, json });
        }
    }
}
