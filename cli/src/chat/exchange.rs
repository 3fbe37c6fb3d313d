//! One request and its answer, piece by piece.

use std::time::{Duration, Instant};

use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokenweir_llm::Usage;
use tokenweir_llm::conversation::{Event, Message, Named, Part, PartKind, PartStart, Request, Role};

use super::{ChatError, Speaks};
use crate::http::{HttpError, body, get, send};
use crate::reach::{Place, Trust};

/// An error, or a list of models, has a few kilobytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Whom to ask, and how.
pub struct Chat {
    pub place: Place,
    pub trust: Trust,
    pub key: String,
    pub speaks: Speaks,
    pub model: String,
    pub max_tokens: Option<u64>,
    /// What was said so far.
    pub messages: Vec<Message>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What the model says.
    Text(String),
    /// What it thinks.
    Thought(String),
    /// A function that it wants to call; there is none here.
    Call(String),
}

/// An answer, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// What the model said.
    pub text: String,
    /// From the request to the first piece; none without a piece.
    pub first: Option<Duration>,
    /// From the request to the end.
    pub total: Duration,
    pub usage: Usage,
    /// The provider that answered.
    pub provider: String,
    /// Tries that it took.
    pub attempts: u64,
    /// The gateway's id of the request.
    pub request_id: String,
    /// The model that answered, by the provider's name.
    pub model: String,
    /// Why the answer ended, where it was not that the model was done.
    pub ended: Option<String>,
}

/// A message of text.
fn message(role: Role, text: &str) -> Message {
    Message {
        role,
        parts: vec![Part::text(text, "")],
        name: None,
        at: "".into(),
    }
}

impl Chat {
    /// Adds what the operator, the user or the model said.
    pub fn say(&mut self, role: Role, text: &str) {
        self.messages.push(message(role, text));
    }

    fn request(&self) -> Request {
        Request {
            model: self.model.clone(),
            messages: self.messages.clone(),
            max_tokens: self.max_tokens.map(|n| Named::new("max_tokens", n)),
            stream: true,
            include_usage: true,
            ..Request::default()
        }
    }
}

/// Asks for an answer to what was said so far; `seen` gets its pieces as they come, and ends it
/// with false: the connection is closed then, so that nothing more is made for nobody.
pub async fn ask(chat: &Chat, mut seen: impl FnMut(&Piece) -> bool) -> Result<Told, ChatError> {
    let request = chat.speaks.request(&chat.request(), &chat.key)?;
    let stream = chat.place.open(&chat.trust).await?;
    let started = Instant::now();
    let answer = send(stream, &chat.place.host(), request).await?;
    let mut told = Told {
        provider: text(answer.headers(), "x-tokenweir-provider"),
        attempts: text(answer.headers(), "x-tokenweir-attempts").parse().unwrap_or(1),
        request_id: text(answer.headers(), "x-request-id"),
        ..Told::default()
    };
    if answer.status() != StatusCode::OK {
        return Err(refused(chat.speaks, answer).await?);
    }
    if text(answer.headers(), "content-type").starts_with("text/event-stream") {
        read_stream(chat.speaks, answer, started, &mut told, &mut seen).await?;
    } else {
        read_whole(chat.speaks, answer, started, &mut told, &mut seen).await?;
    }
    told.total = started.elapsed();
    Ok(told)
}

/// Names of the models that the key may ask for.
pub async fn models(chat: &Chat) -> Result<Vec<String>, ChatError> {
    let mut request = get("/v1/models", None)?;
    // In the form of OpenAI, which all of them are in there, whatever is spoken later.
    Speaks::Openai.sign(&mut request, &chat.key)?;
    let answer = send(chat.place.open(&chat.trust).await?, &chat.place.host(), request).await?;
    if answer.status() != StatusCode::OK {
        return Err(refused(Speaks::Openai, answer).await?);
    }
    let bytes = body(answer, MAX_BODY).await?;
    let list: Value =
        serde_json::from_slice(&bytes).map_err(|error| ChatError::Malformed(format!("no list of models: {error}")))?;
    let models = list.get("data").and_then(Value::as_array).into_iter().flatten();
    Ok(models
        .filter_map(|model| model.get("id")?.as_str().map(str::to_owned))
        .collect())
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

async fn refused(speaks: Speaks, answer: Response<Incoming>) -> Result<ChatError, HttpError> {
    let status = answer.status().as_u16();
    let request_id = text(answer.headers(), "x-request-id");
    let provider = text(answer.headers(), "x-tokenweir-provider");
    let retry_after = text(answer.headers(), "retry-after").parse().ok();
    let error = speaks.error(status, &body(answer, MAX_BODY).await?);
    Ok(ChatError::Refused {
        status,
        code: error.code.unwrap_or_else(|| format!("{:?}", error.kind)),
        message: error.message,
        request_id,
        provider,
        retry_after,
    })
}

async fn read_stream(
    speaks: Speaks,
    answer: Response<Incoming>,
    started: Instant,
    told: &mut Told,
    seen: &mut impl FnMut(&Piece) -> bool,
) -> Result<(), ChatError> {
    let mut reader = speaks.reader();
    let mut events = Vec::new();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(HttpError::from)?;
        if let Some(data) = frame.data_ref() {
            reader.push(data, &mut events);
            take(&mut events, started, told, seen)?;
        }
    }
    reader.finish(&mut events);
    take(&mut events, started, told, seen)
}

fn take(
    events: &mut Vec<Event>,
    started: Instant,
    told: &mut Told,
    seen: &mut impl FnMut(&Piece) -> bool,
) -> Result<(), ChatError> {
    for event in events.drain(..) {
        let piece = match event {
            Event::Start { model, .. } => {
                told.model = model;
                continue;
            }
            Event::Text { text, .. } | Event::Refusal { text, .. } => Piece::Text(text),
            Event::Thinking { text, .. } => Piece::Thought(text),
            Event::PartStart {
                start: PartStart::ToolCall { name, .. },
                ..
            } => Piece::Call(name),
            Event::Usage(usage) => {
                told.usage = usage;
                continue;
            }
            Event::Finish { finish, .. } => {
                told.ended = ended(&finish);
                continue;
            }
            Event::Error(error) => {
                return Err(ChatError::BrokenOff {
                    message: error.message,
                    request_id: told.request_id.clone(),
                    provider: told.provider.clone(),
                });
            }
            _ => continue,
        };
        told.first.get_or_insert_with(|| started.elapsed());
        if let Piece::Text(text) = &piece {
            told.text.push_str(text);
        }
        if !seen(&piece) {
            return Err(ChatError::Unread);
        }
    }
    Ok(())
}

async fn read_whole(
    speaks: Speaks,
    answer: Response<Incoming>,
    started: Instant,
    told: &mut Told,
    seen: &mut impl FnMut(&Piece) -> bool,
) -> Result<(), ChatError> {
    let bytes = body(answer, MAX_BODY).await?;
    let answer = speaks
        .answer(&bytes)
        .map_err(|error| ChatError::Malformed(error.to_string()))?;
    told.first = Some(started.elapsed());
    told.usage = answer.usage;
    told.model = answer.model;
    for choice in answer.choices.into_iter().take(1) {
        told.ended = ended(&choice.finish);
        for part in choice.parts {
            let piece = match part.kind {
                PartKind::Text { text, .. } | PartKind::Refusal { text } => Piece::Text(text),
                PartKind::Thinking { text, .. } => Piece::Thought(text),
                PartKind::ToolCall(call) => Piece::Call(call.name),
                _ => continue,
            };
            if let Piece::Text(text) = &piece {
                told.text.push_str(text);
            }
            if !seen(&piece) {
                return Err(ChatError::Unread);
            }
        }
    }
    Ok(())
}

/// Why an answer ended, if not because the model was done.
fn ended(finish: &tokenweir_llm::conversation::Finish) -> Option<String> {
    use tokenweir_llm::conversation::Finish;
    let text = match finish {
        Finish::Stop | Finish::StopSequence(_) => return None,
        Finish::Length => "the limit on tokens was met",
        Finish::ContextFull => "the context is full",
        Finish::ToolCalls => "the model wants to call a function",
        Finish::ContentFilter => "a filter cut in",
        Finish::Refusal => "the model refused",
        Finish::Pause => "the provider paused the turn",
    };
    Some(text.to_owned())
}
