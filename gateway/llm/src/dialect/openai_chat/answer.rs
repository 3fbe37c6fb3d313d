//! Whole answers: read from providers, written for clients.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::value::RawValue;

use super::thoughts::{self, Block, CallExtra};
use crate::Usage;
use crate::conversation::{Answer, Choice, Citation, Finish, Part, PartKind, ToolCall};
use crate::dialect::json::{View, encode};
use crate::dialect::{AnswerError, Context, ProviderWire};
use crate::response::usage_of_body;

/// Reads a provider's answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, AnswerError> {
    let malformed = |why: &str| AnswerError::Malformed {
        wire: super::ChatCompletions::NAME,
        why: why.to_owned(),
    };
    let view = View::parse(body).ok_or_else(|| malformed("it is not a JSON object"))?;
    let id = view.text("id").unwrap_or_default();
    let choices: Vec<Choice> = (view.views("choices").zip(0..))
        .filter_map(|(choice, place)| read_choice(&choice, &id, place))
        .collect();
    if choices.is_empty() {
        return Err(malformed("it has no choices with a message"));
    }
    Ok(Answer {
        id,
        model: view.text("model").unwrap_or_default(),
        created: view.count("created"),
        choices,
        usage: usage_of_body(body).unwrap_or_default(),
    })
}

fn read_choice(choice: &View<'_>, answer: &str, place: u32) -> Option<Choice> {
    let message = choice.view("message")?;
    let mut parts: Vec<PartKind> = thoughts::of_message(&message);
    let before = parts.len();
    texts(&message, &mut parts);
    let citations = citations(&message.list("annotations"));
    if let Some(PartKind::Text { citations: of, .. }) = parts.get_mut(before) {
        *of = citations;
    }
    let refused = message.filled("refusal");
    let is_refused = refused.is_some();
    parts.extend(refused.map(|text| PartKind::Refusal { text }));
    let calls = read_calls(&message, answer, place);
    let finish = finish(
        choice.filled("finish_reason").as_deref(),
        choice.filled("stop_reason"),
        !calls.is_empty(),
        is_refused,
    );
    parts.extend(calls.into_iter().map(PartKind::ToolCall));
    Some(Choice {
        parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
        finish,
        logprobs: choice.raw("logprobs").map(ToOwned::to_owned),
    })
}

/// Reads `content`: a string, or Mistral's list of texts and thoughts.
fn texts(message: &View<'_>, parts: &mut Vec<PartKind>) {
    let text_part = |text| PartKind::Text {
        text,
        citations: Vec::new(),
    };
    if let Some(text) = message.filled("content") {
        parts.push(text_part(text));
        return;
    }
    for chunk in message.views("content") {
        if let Some(text) = chunk.filled("text") {
            parts.push(text_part(text));
        } else if chunk.raw("thinking").is_some() {
            let text: String = chunk.views("thinking").filter_map(|part| part.text("text")).collect();
            parts.push(PartKind::Thinking { text, signature: None });
        }
    }
}

fn read_calls(message: &View<'_>, answer: &str, choice: u32) -> Vec<ToolCall> {
    (message.views("tool_calls").enumerate())
        .filter_map(|(index, call)| {
            let function = call.view("function")?;
            Some(ToolCall {
                id: call.filled("id").unwrap_or_else(|| made_call_id(answer, choice, index)),
                name: function.filled("name")?,
                arguments: arguments(&function).unwrap_or_default(),
                signature: call.raw("extra_content").and_then(thoughts::signature_of_call),
            })
        })
        .collect()
}

/// An id for a call that its provider has given none, as a few servers do; a result must name one. It differs from
/// answer to answer, and has nothing but letters and digits and fewer than 40 of them, which all providers take back.
pub(super) fn made_call_id(answer: &str, choice: u32, index: usize) -> String {
    let mut hasher = DefaultHasher::new();
    (answer, choice, index).hash(&mut hasher);
    format!("call_{:016x}", hasher.finish())
}

/// The arguments as text. Some servers give the object itself.
pub(super) fn arguments(function: &View<'_>) -> Option<String> {
    let raw = function.raw("arguments")?;
    function
        .text("arguments")
        .or_else(|| raw.get().starts_with('{').then(|| raw.get().to_owned()))
}

/// Arguments as clients parse them: none are an empty object.
pub(super) const fn or_none(arguments: &str) -> &str {
    if arguments.is_empty() { "{}" } else { arguments }
}

/// Reads `annotations`; those of another kind than `url_citation` are unknown to everybody.
pub(crate) fn citations(annotations: &[&RawValue]) -> Vec<Citation> {
    (annotations.iter())
        .filter_map(|raw| {
            let citation = View::of(raw)?.view("url_citation")?;
            Some(Citation::Url {
                url: citation.filled("url")?,
                title: citation.filled("title"),
                range: citation.count("start_index").zip(citation.count("end_index")),
                cited_text: None,
            })
        })
        .collect()
}

/// Why an answer ended. `met` is vLLM's name of the stop text.
pub(super) fn finish(reason: Option<&str>, met: Option<String>, calls: bool, refused: bool) -> Finish {
    match reason {
        Some("length" | "max_tokens") => Finish::Length,
        // Mistral's.
        Some("model_length") => Finish::ContextFull,
        Some("content_filter") => Finish::ContentFilter,
        // With a forced choice OpenAI says `stop`, and some servers always do; but a call waits for its result.
        _ if calls => Finish::ToolCalls,
        _ if refused => Finish::Refusal,
        // TGI's.
        Some("stop_sequence") => Finish::StopSequence(met),
        _ if met.is_some() => Finish::StopSequence(met),
        _ => Finish::Stop,
    }
}

/// Why an answer ended, in the words of the dialect.
pub(super) const fn reason(finish: &Finish, refused: bool) -> &'static str {
    match finish {
        Finish::Refusal if !refused => "content_filter",
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        // An answer that its provider pauses is not complete.
        Finish::Length | Finish::ContextFull | Finish::Pause => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

#[derive(Serialize)]
struct WireAnswer<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    index: usize,
    message: WireMessage<'a>,
    logprobs: Option<&'a RawValue>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<Block<'a>>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<CallExtra<'a>>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// A source of the text.
#[derive(Serialize)]
pub(super) struct Annotation<'a> {
    r#type: &'static str,
    url_citation: UrlCitation<'a>,
}

#[derive(Serialize)]
struct UrlCitation<'a> {
    url: &'a str,
    title: &'a str,
    start_index: u64,
    end_index: u64,
}

impl<'a> Annotation<'a> {
    /// A source, as far as the dialect has a form for it. Its text begins at `start` of all text, and ends at `end`, in
    /// characters.
    pub(super) fn of(citation: &'a Citation, start: u64, end: u64) -> Option<Self> {
        let Citation::Url { url, title, range, .. } = citation else {
            return None;
        };
        let (start_index, end_index) = range.map_or((start, end), |(from, to)| {
            (start.saturating_add(from), start.saturating_add(to))
        });
        Some(Self {
            r#type: "url_citation",
            url_citation: UrlCitation {
                url,
                title: title.as_deref().unwrap_or_default(),
                start_index,
                end_index,
            },
        })
    }
}

/// Tokens in the form of the dialect.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the wire's")]
struct PromptDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct CompletionDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

impl WireUsage {
    /// `None` when nothing was counted: the dialect has numbers alone, and a zero would be one.
    pub(crate) fn of(usage: &Usage) -> Option<Self> {
        if usage.is_empty() {
            return None;
        }
        let prompt = usage.prompt_tokens.unwrap_or_default();
        let completion = usage.completion_tokens.unwrap_or_default();
        let (cached, written) = (usage.cached_tokens, usage.cache_write_tokens);
        let (audio_in, audio_out) = (usage.input_audio_tokens, usage.output_audio_tokens);
        Some(Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: usage.total_tokens.unwrap_or_else(|| prompt.saturating_add(completion)),
            prompt_tokens_details: (cached.or(written).or(audio_in).is_some()).then_some(PromptDetails {
                cached_tokens: cached,
                cache_write_tokens: written,
                audio_tokens: audio_in,
            }),
            completion_tokens_details: (usage.reasoning_tokens.or(audio_out).is_some()).then_some(CompletionDetails {
                reasoning_tokens: usage.reasoning_tokens,
                audio_tokens: audio_out,
            }),
        })
    }
}

/// The field `usage` of a chunk.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum UsageField {
    /// The client did not ask.
    Absent,
    /// It asked, and this is not the last chunk.
    Null,
    /// The last chunk.
    Counts(WireUsage),
}

impl UsageField {
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The field of a chunk that may hold counts, for a client that asked or did not.
    pub(crate) fn of(usage: Option<WireUsage>, asked: bool) -> Self {
        match usage {
            _ if !asked => Self::Absent,
            None => Self::Null,
            Some(usage) => Self::Counts(usage),
        }
    }
}

/// Writes an answer for a client.
pub(super) fn write(answer: &Answer, context: &Context) -> Vec<u8> {
    encode(&WireAnswer {
        id: &answer_id(&answer.id, context),
        object: "chat.completion",
        created: answer.created.unwrap_or(context.now_unix),
        model: model(&answer.model, context),
        choices: answer.choices.iter().enumerate().map(write_choice).collect(),
        usage: WireUsage::of(&answer.usage),
    })
}

/// The provider's id, else one of the request's own.
pub(super) fn answer_id(id: &str, context: &Context) -> String {
    if id.is_empty() {
        format!("chatcmpl-{}", context.id)
    } else {
        id.to_owned()
    }
}

/// The provider's name of the model, else the client's.
pub(crate) fn model<'a>(model: &'a str, context: &'a Context) -> &'a str {
    if model.is_empty() {
        &context.request.model
    } else {
        model
    }
}

fn write_choice((index, choice): (usize, &Choice)) -> WireChoice<'_> {
    let mut content: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut annotations = Vec::new();
    let mut calls = Vec::new();
    let mut length: u64 = 0;
    for part in &choice.parts {
        match &part.kind {
            PartKind::Text { text, citations } => {
                let start = length;
                length += text.chars().count() as u64;
                annotations.extend(citations.iter().filter_map(|one| Annotation::of(one, start, length)));
                content.get_or_insert_default().push_str(text);
            }
            PartKind::Refusal { text } => refusal.get_or_insert_default().push_str(text),
            PartKind::ToolCall(call) => calls.push(WireCall {
                id: &call.id,
                r#type: "function",
                function: WireFunction {
                    name: &call.name,
                    arguments: or_none(&call.arguments),
                },
                extra_content: call.signature.as_deref().map(CallExtra::new),
            }),
            // Thoughts are gathered below; media and results are nothing that a model answers here.
            _ => {}
        }
    }
    WireChoice {
        index,
        finish_reason: reason(&choice.finish, refusal.is_some()),
        message: WireMessage {
            role: "assistant",
            content,
            reasoning_content: thoughts::in_clear(&choice.parts),
            thinking_blocks: thoughts::blocks(&choice.parts),
            refusal,
            annotations,
            tool_calls: calls,
        },
        logprobs: choice.logprobs.as_deref(),
    }
}
