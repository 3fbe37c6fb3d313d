//! `POST /v1/embeddings`.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::count::texts;
use super::super::refusal::Refusal;
use crate::answer::vector;
use crate::behaviour::hash;

/// As many inputs as OpenAI takes.
const MAX_INPUTS: usize = 2048;
/// More than any model known has; keeps one request from holding gigabytes.
const MAX_DIMENSIONS: usize = 16_384;

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default)]
    encoding_format: Option<String>,
}

/// Answers a request. `model` is a JSON string, quotes included.
pub(in super::super) fn answer(
    body: &[u8],
    model: &str,
    seed: u64,
    dimensions: usize,
    usage: bool,
) -> Result<Bytes, Refusal> {
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string(), None))?;
    let dimensions = wire.dimensions.unwrap_or(dimensions);
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let message = format!("dimensions must be from 1 to {MAX_DIMENSIONS}, not {dimensions}");
        return Err(Refusal::bad_request(&message, Some("dimensions")));
    }
    let base64 = match wire.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format must be \"float\" or \"base64\", not {other:?}");
            return Err(Refusal::bad_request(&message, Some("encoding_format")));
        }
    };
    let inputs = inputs(wire.input)?;
    // Writing to a String cannot fail.
    let mut out = String::from("{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        let vector = vector(input.get(), seed ^ hash(0, model.as_bytes()), dimensions);
        let value = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            format!("\"{}\"", STANDARD.encode(bytes))
        } else {
            // Numbers of a unit vector are finite, so they always serialise.
            serde_json::to_string(&vector).unwrap_or_default()
        };
        out.push_str(if index == 0 { "" } else { "," });
        let _ = write!(
            out,
            "{{\"object\":\"embedding\",\"index\":{index},\"embedding\":{value}}}"
        );
    }
    let _ = write!(out, "],\"model\":{model}");
    if usage {
        let tokens = texts(wire.input);
        let _ = write!(
            out,
            ",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}"
        );
    }
    out.push('}');
    Ok(out.into())
}

/// One raw value per vector that is asked for.
fn inputs(input: &RawValue) -> Result<Vec<&RawValue>, Refusal> {
    let refuse = |message: &str| Refusal::bad_request(message, Some("input"));
    if input.get().starts_with('"') {
        return Ok(vec![input]);
    }
    let items: Vec<&RawValue> =
        serde_json::from_str(input.get()).map_err(|_| refuse("input must be a string or an array"))?;
    match items.first().map(|first| first.get().as_bytes()) {
        None => Err(refuse("input must not be empty")),
        // One text as token numbers.
        Some([b'0'..=b'9', ..]) => Ok(vec![input]),
        Some([b'"' | b'[', ..]) if items.len() <= MAX_INPUTS => Ok(items),
        Some([b'"' | b'[', ..]) => Err(refuse("input must have at most 2048 entries")),
        Some(_) => Err(refuse("input must hold strings or token numbers")),
    }
}
