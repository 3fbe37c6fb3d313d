//! Reads a request of a client.

use crate::RequestError;
use crate::conversation::{Extra, Message, Part, Request, Role};
use crate::dialect::json::{Fields, list, text};
use crate::dialect::openai_chat::read_common;

/// Reads a request. `echo`, `suffix`, `best_of` and `logprobs` become extras where they ask for something.
pub(super) fn read(body: &[u8]) -> Result<Request, RequestError> {
    const IDLE: [(&str, &str); 4] = [
        ("echo", "false"),
        ("suffix", "\"\""),
        ("best_of", "1"),
        ("logit_bias", "{}"),
    ];
    let mut top = Fields::of_body(body)?;
    let mut request = Request::default();
    read_common(&mut top, &mut request)?;
    let raw = top.take("prompt")?.ok_or(RequestError::Missing { field: "prompt" })?;
    let one = text(raw).or_else(|| match list(raw)?.as_slice() {
        [one] => text(one),
        _ => None,
    });
    match one {
        Some(prompt) => request.messages.push(Message {
            role: Role::User,
            parts: vec![Part::text(prompt, "prompt")],
            name: None,
            at: "prompt".into(),
        }),
        None => request.extras.push(Extra {
            field: "prompt".into(),
            value: raw.to_owned(),
        }),
    }
    top.discard(|field, value| IDLE.contains(&(field, value)));
    top.rest(&mut request.extras);
    Ok(request)
}
