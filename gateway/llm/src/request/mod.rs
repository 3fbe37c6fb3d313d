//! Partial parse of requests, and rewriting that leaves all other bytes alone.

mod fields;
mod find;
mod paths;
mod pieces;
mod rewrite;
pub(crate) mod scan;
mod text;

use std::ops::Range;

use crate::dialect::Client;
use crate::error::{ErrorKind, OpenAiError};
use fields::{Field, Options, TopLevel};
pub use paths::{FieldPaths, FieldValue, LONGEST_VALUE};
pub use pieces::Pieces;

/// Which endpoint a request was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    TextCompletion,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
}

impl Operation {
    /// All of them, each at the place of its discriminant.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::TextCompletion,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
    ];

    /// The path below the API's base, with a leading slash: `/chat/completions`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::TextCompletion => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// The value of OpenTelemetry's `gen_ai.operation.name`. The convention has names for chats, text completions and
    /// embeddings; what it does not tell apart has a name of its own.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
        }
    }

    /// The dialect of a request for an answer of a model; `None` for requests of another kind.
    pub const fn client(self) -> Option<Client> {
        match self {
            Self::Chat => Some(Client::ChatCompletions),
            Self::TextCompletion => Some(Client::Completions),
            Self::Responses => Some(Client::Responses),
            Self::Messages => Some(Client::Messages),
            Self::Embeddings | Self::CountTokens => None,
        }
    }

    /// Whether a stream of this operation says its usage only if the request asks for it by `stream_options`.
    pub const fn asks_for_usage(self) -> bool {
        matches!(self, Self::Chat | Self::TextCompletion)
    }
}

/// Why a request body is refused. Each is the client's mistake: a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body does not parse.
    #[error("the request body is not valid JSON: error at line {line}, column {column}")]
    NotJson {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 0 as `serde_json` counts.
        column: usize,
    },
    /// The body is not text. JSON is UTF-8 (RFC 8259), and what is none could be read differently by everybody.
    #[error("the request body is not valid UTF-8: error at byte {offset}")]
    NotUtf8 {
        /// The first byte with which no character begins, from 0; of a compressed body after decompression.
        offset: usize,
    },
    /// The body is JSON, but a list, a string or another scalar.
    #[error("the request body must be a JSON object")]
    NotAnObject,
    /// A required field is absent or null.
    #[error("missing required parameter: '{field}'")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has a value of another type than its own.
    #[error("invalid type for '{field}': expected {expected}")]
    WrongType {
        /// The field, dotted when nested.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that the gateway acts on is given twice, so client, gateway and provider could read it differently.
    #[error("duplicate parameter: '{field}'")]
    Duplicate {
        /// The field, dotted when nested.
        field: &'static str,
    },
    /// A value deep in the request is not what its dialect has there.
    #[error("invalid value for '{at}': expected {expected}")]
    Malformed {
        /// Where it stands: `messages[2].content[0].source`.
        at: Box<str>,
        /// What it must be.
        expected: &'static str,
    },
}

impl RequestError {
    /// Why a body is no object. Only for errors of readers that raise none of their own: then one about data can only
    /// be "not a map".
    pub(crate) fn of_parser(error: &serde_json::Error) -> Self {
        if error.is_data() {
            Self::NotAnObject
        } else {
            Self::NotJson {
                line: error.line(),
                column: error.column(),
            }
        }
    }

    /// The field at fault, where there is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::NotJson { .. } | Self::NotUtf8 { .. } | Self::NotAnObject => None,
            Self::Missing { field } | Self::WrongType { field, .. } | Self::Duplicate { field } => Some(field),
            Self::Malformed { at, .. } => Some(at),
        }
    }
}

impl From<&RequestError> for OpenAiError {
    fn from(error: &RequestError) -> Self {
        let answer = Self::new(ErrorKind::InvalidRequest, error.to_string());
        match error.param() {
            Some(field) => answer.with_param(field),
            None => answer,
        }
    }
}

/// What to change in a request on its way to a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edits<'a> {
    /// The provider's own name of the model, in place of what the client sent.
    pub model: Option<&'a str>,
    /// Set `stream_options.include_usage` to true, so that the stream ends with a usage chunk.
    pub include_usage: bool,
}

/// A request body of which the fields that a gateway acts on are known, and where they stand.
///
/// Holds the body itself (shared, not copied), so positions always fit the bytes.
#[derive(Debug, Clone)]
pub struct Peek {
    body: Pieces,
    model: Box<str>,
    stream: bool,
    include_usage: Option<bool>,
    max_tokens: Option<u64>,
    n: Option<u64>,
    /// Where the value of `model` stands, quotes included.
    model_at: Range<usize>,
    /// Just behind the opening brace of the body.
    inside: usize,
    options_at: OptionsAt,
}

/// Where `stream_options.include_usage` stands or would stand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OptionsAt {
    /// There is no `stream_options`.
    Absent,
    /// `stream_options` is null; its value stands here.
    Null(Range<usize>),
    /// An object without the field; this is just behind its opening brace.
    Object { inside: usize, empty: bool },
    /// The field is there; its value stands here.
    Field(Range<usize>),
}

impl Peek {
    /// Reads a request body of one operation.
    ///
    /// Checks only what the gateway acts on; fields it does not know may hold anything. A field given as `null` counts
    /// as absent, as it does for OpenAI.
    pub fn parse(operation: Operation, body: impl Into<Pieces>) -> Result<Self, RequestError> {
        Self::read(operation, body.into())
    }

    fn read(operation: Operation, body: Pieces) -> Result<Self, RequestError> {
        text::check(&body)?;
        let top = TopLevel::find(&body)?;
        let text = |field| top.text(field, &body);
        let missing = |field| RequestError::Missing { field };
        let model_at = top.at(Field::Model).ok_or(missing("model"))?;
        let model_raw = text(Field::Model)?.ok_or(missing("model"))?;
        let model: Box<str> = match fields::string(&model_raw) {
            Some(name) if !name.is_empty() => name.into(),
            Some(_) => return Err(wrong("model", "a string that is not empty")),
            None if &*model_raw == "null" => return Err(missing("model")),
            None => return Err(wrong("model", "a string")),
        };
        match operation {
            Operation::Chat | Operation::Messages | Operation::CountTokens => {
                match top.first_byte(Field::Messages, &body) {
                    None | Some(b'n') => return Err(missing("messages")),
                    Some(b'[') => {}
                    Some(_) => return Err(wrong("messages", "an array of objects")),
                }
            }
            Operation::Embeddings => match top.first_byte(Field::Input, &body) {
                None | Some(b'n') => return Err(missing("input")),
                Some(b'[' | b'"') => {}
                Some(_) => return Err(wrong("input", "a string or an array")),
            },
            // The APIs have defaults or other fields in the place of `prompt` and `input`.
            Operation::TextCompletion | Operation::Responses => {}
        }
        let stream = fields::boolean(text(Field::Stream)?.as_deref(), "stream")?.unwrap_or(false);
        let count = |field, name| fields::count(text(field)?.as_deref(), name);
        let max_tokens = count(Field::MaxTokens, "max_tokens")?;
        let max_completion_tokens = count(Field::MaxCompletionTokens, "max_completion_tokens")?;
        let max_output_tokens = count(Field::MaxOutputTokens, "max_output_tokens")?;
        let n = count(Field::N, "n")?;
        let (include_usage, options_at) = match top.at(Field::StreamOptions).zip(text(Field::StreamOptions)?) {
            None => (None, OptionsAt::Absent),
            Some((range, text)) if text == "null" => (None, OptionsAt::Null(range)),
            Some((range, text)) => stream_options(range.start, &text)?,
        };
        let inside = top.inside();
        Ok(Self {
            model,
            stream,
            include_usage,
            max_tokens: match operation {
                Operation::Responses => max_output_tokens,
                // OpenAI documents the longer name as the one that replaces the other.
                _ => max_completion_tokens.or(max_tokens),
            },
            n,
            model_at,
            inside,
            options_at,
            body,
        })
    }

    /// The model that the client asks for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the client asks for a stream.
    pub const fn stream(&self) -> bool {
        self.stream
    }

    /// `stream_options.include_usage` as the client gave it. `None` when absent or null.
    pub const fn include_usage(&self) -> Option<bool> {
        self.include_usage
    }

    /// Most tokens the client wants generated per choice: `max_completion_tokens`, else `max_tokens`; of a request for
    /// a response `max_output_tokens`.
    pub const fn max_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    /// How many choices the client asks for. `None` when not given; the API's default is 1.
    pub const fn n(&self) -> Option<u64> {
        self.n
    }

    /// The body as it came.
    pub const fn body(&self) -> &Pieces {
        &self.body
    }

    /// The body with edits, byte for byte the client's elsewhere: key order, number formats, white space, unknown
    /// fields. Without a change it is the same shared memory.
    pub fn rewrite(&self, edits: &Edits<'_>) -> Pieces {
        rewrite::apply(self, edits)
    }
}

/// `stream_options.include_usage`, and where it stands or would stand, of an object that begins at `start` of the body.
fn stream_options(start: usize, text: &str) -> Result<(Option<bool>, OptionsAt), RequestError> {
    let options = Options::parse(text)?;
    match options.include_usage.map(serde_json::value::RawValue::get) {
        None => Ok((
            None,
            OptionsAt::Object {
                inside: start + 1,
                empty: options.empty,
            },
        )),
        Some(value) => {
            let given = fields::boolean(Some(value), "stream_options.include_usage")?;
            let at = fields::position(text.as_bytes(), value);
            Ok((given, OptionsAt::Field(start + at.start..start + at.end)))
        }
    }
}

const fn wrong(field: &'static str, expected: &'static str) -> RequestError {
    RequestError::WrongType { field, expected }
}
