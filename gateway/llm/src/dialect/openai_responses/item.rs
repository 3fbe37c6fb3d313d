//! What a response is made of, as it is written.

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::json::View;
use super::sealed::Sealed;
use crate::conversation::{Citation, Json, ToolCall};

/// An item of `output`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Vec<Summary>,
        encrypted_content: Option<String>,
    },
    Message {
        id: String,
        status: Status,
        role: &'static str,
        content: Vec<Content>,
    },
    FunctionCall {
        id: String,
        status: Status,
        call_id: String,
        name: String,
        arguments: String,
    },
    ImageGenerationCall {
        id: String,
        status: Status,
        result: String,
        output_format: String,
    },
}

/// How far an item or a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// What the model thought, in clear.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub(super) struct Summary {
    pub(super) text: String,
}

/// A part of a message.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    OutputText {
        annotations: Vec<Annotation>,
        logprobs: Vec<Json>,
        text: String,
    },
    Refusal {
        refusal: String,
    },
}

/// Where a text is from.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "url_citation")]
pub(super) struct Annotation {
    start_index: u64,
    end_index: u64,
    url: String,
    title: String,
}

impl Annotation {
    /// A source of a text with so many characters. `None` for a place in a document, which the dialect has no form for;
    /// its requests have no way to ask for one.
    pub(super) fn of(citation: &Citation, characters: u64) -> Option<Self> {
        match citation {
            Citation::Url { url, title, range, .. } => {
                let (start_index, end_index) = range.unwrap_or((0, characters));
                Some(Self {
                    start_index,
                    end_index,
                    url: url.clone(),
                    title: title.clone().unwrap_or_default(),
                })
            }
            Citation::Document(_) => None,
        }
    }
}

/// How many characters a text has.
pub(super) fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

impl Content {
    pub(super) const fn text(text: String) -> Self {
        Self::OutputText {
            annotations: Vec::new(),
            logprobs: Vec::new(),
            text,
        }
    }
}

impl Item {
    pub(super) const fn message(id: String, status: Status) -> Self {
        Self::Message {
            id,
            status,
            role: "assistant",
            content: Vec::new(),
        }
    }

    /// A call without its arguments. The provider may have left its id to us.
    pub(super) fn call(id: String, call: &ToolCall, status: Status) -> Self {
        let call_id = if call.id.is_empty() {
            id.clone()
        } else {
            call.id.clone()
        };
        Self::FunctionCall {
            id,
            status,
            call_id,
            name: call.name.clone(),
            arguments: String::new(),
        }
    }

    pub(super) const fn reasoning(id: String) -> Self {
        Self::Reasoning {
            id,
            summary: Vec::new(),
            encrypted_content: None,
        }
    }

    /// A thought of which only the proof is given.
    pub(super) fn sealed(id: String, content: Sealed<'_>) -> Self {
        Self::Reasoning {
            id,
            summary: Vec::new(),
            encrypted_content: Some(content.seal()),
        }
    }

    /// Thoughts have no status.
    pub(super) const fn set_status(&mut self, to: Status) {
        match self {
            Self::Message { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::ImageGenerationCall { status, .. } => *status = to,
            Self::Reasoning { .. } => {}
        }
    }

    /// Whether the model refuses in its own words.
    pub(super) fn refuses(&self) -> bool {
        match self {
            Self::Message { content, .. } => content.iter().any(|part| matches!(part, Content::Refusal { .. })),
            _ => false,
        }
    }

    /// Gives a call without arguments the empty object, which clients parse; one that was cut off is left as it is.
    /// Whether there was anything to give.
    pub(super) fn complete_arguments(&mut self) -> bool {
        match self {
            Self::FunctionCall { arguments, .. } if arguments.is_empty() => {
                "{}".clone_into(arguments);
                true
            }
            _ => false,
        }
    }
}

/// Ids of one response and of its items.
///
/// They are made of the provider's id for the answer, so that both sides can be found in logs. OpenAI takes ids of
/// items up to 64 characters, of letters, digits, `_` and `-`, that begin with the kind of the item; a conversation
/// may move there.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    stem: String,
}

const LONGEST_STEM: usize = 48;

impl Ids {
    pub(super) fn new(provider: &str, request: &str) -> Self {
        let given = if provider.is_empty() { request } else { provider };
        let given = given.strip_prefix("resp_").unwrap_or(given);
        let usable = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        // The end of an id differs more than its beginning.
        let skipped = given.chars().filter(usable).count().saturating_sub(LONGEST_STEM);
        Self {
            stem: given.chars().filter(usable).skip(skipped).collect(),
        }
    }

    pub(super) fn response(&self) -> String {
        format!("resp_{}", self.stem)
    }

    /// The id of an item of a kind (`msg`, `rs`, `fc`, `ig`) at its place in the output.
    pub(super) fn item(&self, kind: &str, place: usize) -> String {
        format!("{kind}_{}_{place}", self.stem)
    }
}

/// Log probabilities in this dialect's form: those of the text alone, as a list.
pub(super) fn logprobs(all: &RawValue) -> Vec<Json> {
    let list = match super::super::json::list(all) {
        Some(list) => list,
        None => View::of(all).map(|all| all.list("content")).unwrap_or_default(),
    };
    list.into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_the_letters_and_the_length_that_openai_takes() {
        let ids = Ids::new("chatcmpl-1", "r");
        assert_eq!(
            (ids.response().as_str(), ids.item("msg", 0).as_str()),
            ("resp_chatcmpl-1", "msg_chatcmpl-1_0")
        );
        assert_eq!(Ids::new("resp_1", "r").response(), "resp_1");
        assert_eq!(Ids::new("", "a b/c\u{e9}").response(), "resp_abc");
        let long = Ids::new(&"x".repeat(1000), "r").item("msg", 4_294_967_295);
        assert!(long.len() <= 64, "{long}");
    }
}
