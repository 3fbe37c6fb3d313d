//! Requests for messages, and for the count of their tokens.

mod content;
mod controls;
mod tools;

use serde_json::value::RawValue;

use crate::RequestError;
use crate::conversation::{Extra, Message, Named, Part, PartKind, Request, Role};
use crate::dialect::json::{Fields, invalid, list, text};

/// Which endpoint a body was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An answer is asked for.
    Answer,
    /// Only the count of tokens. There is no limit on tokens then.
    Count,
}

/// Reads a body.
pub(super) fn read(body: &[u8], purpose: Purpose) -> Result<Request, RequestError> {
    let mut top = Fields::of_body(body)?;
    let mut extras = Vec::new();
    let model = match top.string("model")? {
        Some(model) if !model.is_empty() => model,
        Some(_) => return Err(invalid("model", "a string that is not empty")),
        None => return Err(RequestError::Missing { field: "model" }),
    };
    let max_tokens = top.count("max_tokens")?;
    if max_tokens.is_none() && purpose == Purpose::Answer {
        return Err(RequestError::Missing { field: "max_tokens" });
    }
    let mut request = Request {
        model,
        messages: messages(&mut top, &mut extras)?,
        max_tokens: max_tokens.map(|value| Named::new("max_tokens", value)),
        stop: stop_sequences(&mut top)?,
        stream: top.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        user: user(&mut top, &mut extras)?,
        sampling: controls::sampling(&mut top)?,
        tools: tools::tools(&mut top, &mut extras)?,
        ..Request::default()
    };
    tools::choice(&mut top, &mut request, &mut extras)?;
    controls::output(&mut top, &mut request, &mut extras)?;
    cache_last_block(&mut top, &mut request, &mut extras)?;
    unless(&mut top, "service_tier", r#""auto""#, &mut extras)?;
    unless(&mut top, "speed", r#""standard""#, &mut extras)?;
    top.rest(&mut extras);
    request.extras = extras;
    Ok(request)
}

/// Takes a field whose value means nothing if it is the default, and is an extra otherwise.
fn unless(top: &mut Fields<'_>, key: &str, default: &str, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    match top.take(key)? {
        Some(value) if value.get() != default => extras.push(extra(top.place(key), value)),
        _ => {}
    }
    Ok(())
}

fn extra(field: impl Into<Box<str>>, value: &RawValue) -> Extra {
    Extra {
        field: field.into(),
        value: value.to_owned(),
    }
}

fn messages(top: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Vec<Message>, RequestError> {
    let mut messages = Vec::new();
    if let Some(system) = top.take("system")? {
        messages.push(Message {
            role: Role::System,
            parts: content::parts(system, "system", extras)?,
            name: None,
            at: "system".into(),
        });
    }
    let turns = top
        .list("messages")?
        .ok_or(RequestError::Missing { field: "messages" })?;
    for (index, raw) in turns.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let mut fields = Fields::of(raw, at.as_str())?;
        let role = match fields.required_string("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(fields.wrong("role", "'user', 'assistant' or 'system'")),
        };
        let raw = fields.require("content")?;
        let parts = content::parts(raw, &fields.place("content"), extras)?;
        fields.rest(extras);
        messages.push(Message {
            role,
            parts,
            name: None,
            at: at.into(),
        });
    }
    Ok(messages)
}

fn stop_sequences(top: &mut Fields<'_>) -> Result<Option<Named<Vec<String>>>, RequestError> {
    let Some(sequences) = top.list("stop_sequences")? else {
        return Ok(None);
    };
    let sequences: Option<Vec<String>> = sequences.into_iter().map(text).collect();
    match sequences {
        Some(sequences) if sequences.is_empty() => Ok(None),
        Some(sequences) => Ok(Some(Named::new("stop_sequences", sequences))),
        None => Err(invalid("stop_sequences", "an array of strings")),
    }
}

fn user(top: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<Named<String>>, RequestError> {
    let Some(mut metadata) = top.object("metadata")? else {
        return Ok(None);
    };
    let user = metadata.string("user_id")?;
    metadata.rest(extras);
    Ok(user.map(|user| Named::new("metadata.user_id", user)))
}

/// A cache mark at the top stands for one on the last block that can bear it.
fn cache_last_block(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    let Some(cache) = content::cache(top, extras)? else {
        return Ok(());
    };
    let bears = |part: &&mut Part| !matches!(part.kind, PartKind::Thinking { .. } | PartKind::RedactedThinking { .. });
    let mut parts = request
        .messages
        .iter_mut()
        .rev()
        .flat_map(|message| message.parts.iter_mut().rev());
    if let Some(last) = parts.find(bears) {
        last.cache.get_or_insert(cache);
    } else if let Some(last) = request.tools.last_mut() {
        last.cache.get_or_insert(cache);
    }
    Ok(())
}

/// The elements of a list, or the mistake.
fn elements<'a>(raw: &'a RawValue, at: &str, problem: &'static str) -> Result<Vec<&'a RawValue>, RequestError> {
    list(raw).ok_or_else(|| invalid(at, problem))
}
