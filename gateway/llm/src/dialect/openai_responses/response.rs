//! Writes the response object, and whole answers.

use serde::Serialize;

use super::super::Context;
use super::super::json::encode;
use super::echo::Echo;
use super::item::{Annotation, Content, Ids, Item, Status, Summary, characters, logprobs};
use super::sealed::Sealed;
use crate::conversation::{Answer, Choice, Citation, Finish, Json, Media, Part, PartKind, Request, Source, ToolCall};
use crate::{ErrorKind, Usage};

/// The response object, whole or on its way.
#[derive(Debug, Serialize)]
pub(super) struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: Status,
    error: Option<Failure<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: &'a [Item],
    usage: Option<WrittenUsage>,
    #[serde(flatten)]
    echo: Echo<'a>,
}

/// Why a response failed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Failure<'a> {
    pub(super) code: &'static str,
    pub(super) message: &'a str,
}

/// Why a response is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Incomplete {
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct WrittenUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

/// The API has all of its counts or none.
fn usage(usage: &Usage) -> Option<WrittenUsage> {
    if usage.is_empty() {
        return None;
    }
    let input_tokens = usage.prompt_tokens.unwrap_or(0);
    let output_tokens = usage.completion_tokens.unwrap_or(0);
    Some(WrittenUsage {
        input_tokens,
        input_tokens_details: InputDetails {
            cached_tokens: usage.cached_tokens.unwrap_or(0),
            cache_write_tokens: usage.cache_write_tokens.unwrap_or(0),
        },
        output_tokens,
        output_tokens_details: OutputDetails {
            reasoning_tokens: usage.reasoning_tokens.unwrap_or(0),
        },
        total_tokens: usage
            .total_tokens
            .unwrap_or_else(|| input_tokens.saturating_add(output_tokens)),
    })
}

/// The dialect's code for a failure; the others are all of the provider's kind.
pub(super) const fn failure_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => "invalid_prompt",
        _ => "server_error",
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) status: Status,
    pub(super) incomplete: Option<Incomplete>,
}

impl Ending {
    /// The dialect knows two reasons for which an answer stops short, and no pause; a full context is a limit on tokens,
    /// and who is paused goes on as after one. A refusal in the model's words is a complete answer; without words, a
    /// filter has cut in.
    pub(super) const fn of(finish: &Finish, refuses: bool) -> Self {
        match finish {
            Finish::Length | Finish::ContextFull | Finish::Pause => Self::cut("max_output_tokens"),
            Finish::ContentFilter => Self::cut("content_filter"),
            Finish::Refusal if !refuses => Self::cut("content_filter"),
            Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Refusal => {
                Self::with(Status::Completed)
            }
        }
    }

    /// A status that needs no reason.
    pub(super) const fn with(status: Status) -> Self {
        Self {
            status,
            incomplete: None,
        }
    }

    const fn cut(reason: &'static str) -> Self {
        Self {
            status: Status::Incomplete,
            incomplete: Some(Incomplete { reason }),
        }
    }
}

/// What a response object is made of, apart from its request.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) id: &'a str,
    pub(super) created_at: u64,
    pub(super) model: &'a str,
    pub(super) ending: Ending,
    pub(super) error: Option<Failure<'a>>,
    pub(super) output: &'a [Item],
    pub(super) usage: &'a Usage,
}

impl<'a> Frame<'a> {
    pub(super) fn response(self, request: &'a Request) -> Response<'a> {
        Response {
            id: self.id,
            object: "response",
            created_at: self.created_at,
            status: self.ending.status,
            error: self.error,
            incomplete_details: self.ending.incomplete,
            // The client's own name, where the provider gives none.
            model: if self.model.is_empty() {
                &request.model
            } else {
                self.model
            },
            output: self.output,
            usage: usage(self.usage),
            echo: Echo::of(request),
        }
    }
}

/// Writes a whole answer. The dialect asks for one answer, so there is never another to show.
pub(super) fn whole(answer: &Answer, context: &Context) -> Vec<u8> {
    let ids = Ids::new(&answer.id, &context.id);
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let mut output = Output {
        ids: &ids,
        items: Vec::new(),
    };
    for part in &choice.parts {
        output.add(part, choice.logprobs.as_ref());
    }
    let mut items = output.items;
    let ending = Ending::of(&choice.finish, items.iter().any(Item::refuses));
    finish_items(&mut items, ending);
    let frame = Frame {
        id: &ids.response(),
        created_at: answer.created.unwrap_or(context.now_unix),
        model: &answer.model,
        ending,
        error: None,
        output: &items,
        usage: &answer.usage,
    };
    encode(&frame.response(&context.request))
}

/// The last item is where an answer was cut.
fn finish_items(items: &mut [Item], ending: Ending) {
    let Some((last, others)) = items.split_last_mut() else {
        return;
    };
    for item in others {
        item.complete_arguments();
    }
    last.set_status(ending.status);
    if ending.status == Status::Completed {
        last.complete_arguments();
    }
}

struct Output<'a> {
    ids: &'a Ids,
    items: Vec<Item>,
}

impl Output<'_> {
    fn next_id(&self, kind: &str) -> String {
        self.ids.item(kind, self.items.len())
    }

    fn add(&mut self, part: &Part, probabilities: Option<&Json>) {
        match &part.kind {
            PartKind::Text { text, citations } => self.text(text, citations, probabilities),
            PartKind::Refusal { text } => self.content(Content::Refusal { refusal: text.clone() }),
            PartKind::Thinking { text, signature } => self.thought(text, signature.as_deref()),
            PartKind::RedactedThinking { data } => {
                let id = self.next_id("rs");
                self.items.push(Item::sealed(id, Sealed::Redacted(data)));
            }
            PartKind::ToolCall(call) => self.call(call),
            PartKind::Image {
                source: Source::Inline(media),
                ..
            } => self.image(media),
            // No model answers with these to what this dialect can ask.
            PartKind::Image { .. } | PartKind::Document { .. } | PartKind::Audio { .. } | PartKind::ToolResult(_) => {}
        }
    }

    fn text(&mut self, text: &str, citations: &[Citation], probabilities: Option<&Json>) {
        if text.is_empty() && citations.is_empty() {
            return;
        }
        let length = characters(text);
        // They are of the whole answer, and stand with its first text.
        let first = !self.items.iter().any(|item| matches!(item, Item::Message { .. }));
        let probabilities = probabilities.filter(|_| first);
        self.content(Content::OutputText {
            annotations: citations
                .iter()
                .filter_map(|citation| Annotation::of(citation, length))
                .collect(),
            logprobs: probabilities.map(|all| logprobs(all)).unwrap_or_default(),
            text: text.to_owned(),
        });
    }

    fn content(&mut self, part: Content) {
        if let Some(Item::Message { content, .. }) = self.items.last_mut() {
            content.push(part);
            return;
        }
        let mut message = Item::message(self.next_id("msg"), Status::Completed);
        if let Item::Message { content, .. } = &mut message {
            content.push(part);
        }
        self.items.push(message);
    }

    fn thought(&mut self, text: &str, signature: Option<&str>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let mut summary = Vec::new();
        if !text.is_empty() {
            summary.push(Summary { text: text.to_owned() });
        }
        self.items.push(Item::Reasoning {
            id: self.next_id("rs"),
            summary,
            encrypted_content: signature.map(|proof| Sealed::Thought(proof).seal()),
        });
    }

    fn call(&mut self, call: &ToolCall) {
        if let Some(proof) = &call.signature {
            let id = self.next_id("rs");
            self.items.push(Item::sealed(id, Sealed::Call(proof)));
        }
        let mut item = Item::call(self.next_id("fc"), call, Status::Completed);
        if let Item::FunctionCall { arguments, .. } = &mut item {
            arguments.clone_from(&call.arguments);
        }
        self.items.push(item);
    }

    fn image(&mut self, media: &Media) {
        let format = media.media_type.strip_prefix("image/").unwrap_or(&media.media_type);
        self.items.push(Item::ImageGenerationCall {
            id: self.next_id("ig"),
            status: Status::Completed,
            result: media.base64.clone(),
            output_format: format.to_owned(),
        });
    }
}
