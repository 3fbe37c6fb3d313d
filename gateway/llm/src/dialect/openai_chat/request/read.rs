//! Reads a request of a client.

use serde_json::value::RawValue;

use super::{read_messages, read_options};
use crate::RequestError;
use crate::conversation::{Extra, Named, Request};
use crate::dialect::json::{Fields, list, text};

/// Reads a whole request.
pub(in crate::dialect::openai_chat) fn read(body: &[u8]) -> Result<Request, RequestError> {
    let mut top = Fields::of_body(body)?;
    let mut request = Request::default();
    read_common(&mut top, &mut request)?;
    let messages = top
        .list("messages")?
        .ok_or(RequestError::Missing { field: "messages" })?;
    read_messages::read(&messages, &mut request)?;
    read_options::tools(&mut top, &mut request)?;
    read_options::tool_choice(&mut top, &mut request)?;
    request.parallel_tool_calls = top
        .boolean("parallel_tool_calls")?
        .map(|value| Named::new("parallel_tool_calls", value));
    read_options::format(&mut top, &mut request)?;
    read_options::reasoning(&mut top, &mut request)?;
    // OpenAI documents the longer name as the one that replaces the other.
    if let Some(most) = top.count("max_completion_tokens")? {
        request.max_tokens = Some(Named::new("max_completion_tokens", most));
    }
    request.sampling.logprobs = top.boolean("logprobs")?.map(|value| Named::new("logprobs", value));
    request.sampling.top_logprobs = top
        .count("top_logprobs")?
        .map(|value| Named::new("top_logprobs", value));
    // OpenAI documents it as what replaces `user` where abuse is looked for. Of two that differ, both must have a place.
    if request.user.is_none() {
        request.user = top
            .string("safety_identifier")?
            .map(|user| Named::new("safety_identifier", user));
    }
    rest(top, &mut request.extras);
    Ok(request)
}

/// Reads what Chat Completions and Completions have in common.
pub(crate) fn read_common(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    request.model = top.string("model")?.ok_or(RequestError::Missing { field: "model" })?;
    let sampling = &mut request.sampling;
    sampling.temperature = top.number("temperature")?.map(|value| Named::new("temperature", value));
    sampling.top_p = top.number("top_p")?.map(|value| Named::new("top_p", value));
    // An extension of the servers that are compatible; zero and less turn it off there.
    sampling.top_k = (top.integer("top_k")?)
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0)
        .map(|value| Named::new("top_k", value));
    sampling.presence_penalty = top
        .number("presence_penalty")?
        .map(|value| Named::new("presence_penalty", value));
    sampling.frequency_penalty = top
        .number("frequency_penalty")?
        .map(|value| Named::new("frequency_penalty", value));
    sampling.seed = top.integer("seed")?.map(|value| Named::new("seed", value));
    request.max_tokens = top.count("max_tokens")?.map(|value| Named::new("max_tokens", value));
    request.stop = match top.take("stop")? {
        None => None,
        Some(raw) => {
            let stops = stops(raw).ok_or_else(|| top.wrong("stop", "a string or an array of strings"))?;
            (!stops.is_empty()).then(|| Named::new("stop", stops))
        }
    };
    request.n = top.count("n")?.map(|value| Named::new("n", value));
    request.user = top.string("user")?.map(|value| Named::new("user", value));
    request.stream = top.boolean("stream")?.unwrap_or(false);
    if let Some(mut options) = top.object("stream_options")? {
        request.include_usage = options.boolean("include_usage")?.unwrap_or(false);
        // Streams that are written here have none.
        if let Some(true) = options.boolean("include_obfuscation")? {
            request
                .extras
                .extend(extra("stream_options.include_obfuscation", "true"));
        }
        options.rest(&mut request.extras);
    }
    Ok(())
}

fn stops(raw: &RawValue) -> Option<Vec<String>> {
    match text(raw) {
        Some(one) => Some(vec![one]),
        None => list(raw)?.into_iter().map(text).collect(),
    }
}

fn extra(field: &str, json: &str) -> Option<Extra> {
    Some(Extra {
        field: field.into(),
        value: crate::dialect::json::raw(json)?,
    })
}

/// What is left becomes extras, unless it asks for what happens without it.
fn rest(mut top: Fields<'_>, extras: &mut Vec<Extra>) {
    // Hints about caching change no answer, and other providers cache in their own ways.
    const HINTS: [&str; 3] = ["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"];
    const IDLE: [(&str, &[&str]); 5] = [
        ("store", &["false"]),
        ("logit_bias", &["{}"]),
        ("metadata", &["{}"]),
        ("modalities", &[r#"["text"]"#]),
        ("service_tier", &[r#""auto""#, r#""default""#]),
    ];
    top.discard(|field, value| {
        let compact = || value.chars().filter(|c| !c.is_ascii_whitespace());
        HINTS.contains(&field)
            || IDLE
                .iter()
                .any(|(name, idle)| *name == field && idle.iter().any(|idle| idle.chars().eq(compact())))
    });
    top.rest(extras);
}
