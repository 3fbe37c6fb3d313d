//! Errors: of OpenAI, Azure and the servers that are compatible with them.

use serde::Serialize;

use crate::ErrorKind;
use crate::conversation::StreamError;
use crate::dialect::ProviderError;
use crate::dialect::json::{View, encode, text};
use crate::sse;

/// Most bytes of an answer that is no JSON which are told to the client.
const MOST_PLAIN_TEXT: usize = 500;

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'a str>,
}

/// Writes an error in OpenAI's form.
pub(crate) fn write(error: &ProviderError) -> Vec<u8> {
    let code = if error.context_overflow {
        // What clients of OpenAI look at, whatever the provider calls it.
        Some("context_length_exceeded")
    } else {
        error.code.as_deref().or(error.kind.code())
    };
    envelope(error.kind, &error.message, code)
}

/// Appends an error as an event of a stream.
pub(crate) fn write_stream(error: &StreamError, out: &mut Vec<u8>) {
    let body = envelope(error.kind, &error.message, error.kind.code());
    out.extend_from_slice(&sse::encode(None, &body));
}

fn envelope(kind: ErrorKind, message: &str, code: Option<&str>) -> Vec<u8> {
    encode(&Envelope {
        error: Body {
            message,
            r#type: kind.error_type(),
            param: None,
            code,
        },
    })
}

/// What an error object says, in whichever of the known forms.
struct Said {
    message: String,
    /// The code or the type, whichever is a word.
    code: Option<String>,
    /// All words that name it.
    words: Vec<String>,
    /// A status that it names: vLLM and OpenRouter give it as the code.
    status: Option<u16>,
}

/// Reads an answer with an error status.
pub(crate) fn read(status: u16, body: &[u8]) -> ProviderError {
    let Some(said) = View::parse(body).and_then(|view| said(&view)) else {
        return ProviderError {
            kind: kind(status, &[]),
            message: plain(status, body),
            code: None,
            context_overflow: false,
        };
    };
    let context_overflow = matches!(status, 400 | 413 | 422) && is_overflow(&said);
    ProviderError {
        kind: kind(status, &said.words),
        message: said.message,
        code: said.code,
        context_overflow,
    }
}

/// Reads an error event of a stream, if it is one.
pub(super) fn read_event(event: &View<'_>) -> Option<StreamError> {
    let is_error = event.raw("error").is_some() || event.text("object").as_deref() == Some("error");
    if !is_error {
        return None;
    }
    let said = said(event)?;
    Some(StreamError {
        // The answer has begun, so it is the provider who fails, unless it says otherwise.
        kind: said
            .status
            .map_or(ErrorKind::BadUpstream, |status| kind(status, &said.words)),
        message: said.message,
    })
}

fn said(view: &View<'_>) -> Option<Said> {
    // FastAPI's form, and that of API management in front of Azure.
    let bare = || {
        view.text("message")
            .or_else(|| view.text("detail"))
            .or_else(|| view.views("detail").find_map(|one| one.text("msg")))
    };
    let (message, object) = match view.raw("error") {
        // Ollama's own form and TGI's.
        Some(raw) if raw.get().starts_with('"') => (text(raw)?, None),
        Some(raw) => {
            let object = View::of(raw)?;
            let message = object.text("message").or_else(bare);
            (message.unwrap_or_default(), Some(object))
        }
        None => (bare()?, None),
    };
    let object = object.as_ref().unwrap_or(view);
    let inner = object.view("inner_error").or_else(|| object.view("innererror"));
    let words: Vec<String> = [
        object.filled("code"),
        object.filled("type"),
        object.filled("error_type"),
        inner.and_then(|inner| inner.filled("code")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let numbers = [object.count("code"), object.count("status"), view.count("statusCode")];
    let status = numbers
        .into_iter()
        .flatten()
        .find_map(|number| u16::try_from(number).ok());
    let code = words.first().cloned();
    let message = if message.is_empty() {
        code.clone().unwrap_or_else(|| "the provider gave no reason".to_owned())
    } else {
        message
    };
    Some(Said {
        message,
        code,
        words,
        status: status.filter(|status| (400..600).contains(status)),
    })
}

fn kind(status: u16, words: &[String]) -> ErrorKind {
    let says = |word: &str| words.iter().any(|said| said.eq_ignore_ascii_case(word));
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        404 if says("model_not_found") || says("DeploymentNotFound") || says("not_found_error") => {
            ErrorKind::ModelNotFound
        }
        404 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 => ErrorKind::RequestTimeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Unavailable,
        504 => ErrorKind::UpstreamTimeout,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::BadUpstream,
    }
}

/// Whether it says that the conversation is longer than the model's context. OpenAI and llama.cpp have a word for it;
/// the others have sentences, of which these parts have been stable over versions.
fn is_overflow(said: &Said) -> bool {
    const WORDS: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
    const SENTENCES: [&str; 8] = [
        // OpenAI, Azure, vLLM.
        "maximum context length",
        // vLLM.
        "maximum model length",
        "too long to fit into the model",
        // llama.cpp.
        "exceeds the available context size",
        // TGI.
        "`inputs` tokens + `max_new_tokens` must be",
        // Ollama, SGLang, Together, Groq and others.
        "exceeds the context length",
        "longer than the model's context length",
        "exceeds the model's context window",
    ];
    let message = said.message.to_ascii_lowercase();
    said.words.iter().any(|word| WORDS.contains(&word.as_str()))
        || SENTENCES.iter().any(|sentence| message.contains(sentence))
}

/// What can be told of an answer that is no JSON: short text as it is, and of a page of HTML only that there was one.
fn plain(status: u16, body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let printable = !text.is_empty() && text.len() <= MOST_PLAIN_TEXT && !text.starts_with(['<', '{', '[']);
    if printable {
        text.to_owned()
    } else {
        format!("the provider answered with status {status} and no reason that can be read")
    }
}
