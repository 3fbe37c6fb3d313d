//! Answers for a client: whole, and as a stream. Both have the same shape.

use serde::Serialize;

use crate::Usage;
use crate::conversation::{Answer, Choice, Event, Finish, PartKind};
use crate::dialect::json::encode;
use crate::dialect::openai_chat::{UsageField, WireUsage, model_of, write_stream_error};
use crate::dialect::{Context, StreamWriter};
use crate::sse;

#[derive(Serialize)]
struct WireAnswer<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [WireChoice<'a>],
    #[serde(skip_serializing_if = "UsageField::is_absent")]
    usage: UsageField,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    text: std::borrow::Cow<'a, str>,
    index: u64,
    /// The form of this dialect's log probabilities no other has, so they cannot be asked for.
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

const fn reason(finish: &Finish) -> &'static str {
    match finish {
        // Without tools there are no calls to wait for.
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "stop",
        Finish::Length | Finish::ContextFull | Finish::Pause => "length",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
    }
}

fn id(id: &str, context: &Context) -> String {
    if id.is_empty() {
        format!("cmpl-{}", context.id)
    } else {
        id.to_owned()
    }
}

/// Writes a whole answer.
pub(super) fn write(answer: &Answer, context: &Context) -> Vec<u8> {
    let choices: Vec<WireChoice<'_>> = answer.choices.iter().zip(0..).map(write_choice).collect();
    encode(&WireAnswer {
        id: &id(&answer.id, context),
        object: "text_completion",
        created: answer.created.unwrap_or(context.now_unix),
        model: model_of(&answer.model, context),
        choices: &choices,
        usage: WireUsage::of(&answer.usage).map_or(UsageField::Absent, UsageField::Counts),
    })
}

fn write_choice((choice, index): (&Choice, u64)) -> WireChoice<'_> {
    let text: String = (choice.parts.iter())
        .filter_map(|part| match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    WireChoice {
        text: text.into(),
        index,
        logprobs: None,
        finish_reason: Some(reason(&choice.finish)),
    }
}

/// Writes a stream.
pub(super) struct Writer {
    context: Context,
    id: String,
    model: String,
    created: u64,
    usage: Usage,
}

impl Writer {
    pub(super) fn new(context: Context) -> Self {
        Self {
            id: id("", &context),
            model: context.request.model.clone(),
            created: context.now_unix,
            usage: Usage::default(),
            context,
        }
    }

    fn chunk(&self, choices: &[WireChoice<'_>], usage: Option<WireUsage>, out: &mut Vec<u8>) {
        let chunk = WireAnswer {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage: UsageField::of(usage, self.context.request.include_usage),
        };
        out.extend_from_slice(&sse::encode(None, &encode(&chunk)));
    }

    fn text(&self, index: u32, text: &str, finish: Option<&Finish>, out: &mut Vec<u8>) {
        let choice = WireChoice {
            text: text.into(),
            index: index.into(),
            logprobs: None,
            finish_reason: finish.map(reason),
        };
        self.chunk(&[choice], None, out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start {
                id: given,
                model,
                created,
            } => {
                self.id = id(given, &self.context);
                model_of(model, &self.context).clone_into(&mut self.model);
                self.created = created.unwrap_or(self.context.now_unix);
            }
            Event::Text { choice, text, .. } | Event::Refusal { choice, text, .. } => {
                self.text(*choice, text, None, out);
            }
            Event::Finish { choice, finish } => self.text(*choice, "", Some(finish), out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Error(error) => write_stream_error(error, out),
            Event::End => {
                if self.context.request.include_usage
                    && let Some(usage) = WireUsage::of(&self.usage)
                {
                    self.chunk(&[], Some(usage), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            // Without tools and thoughts all that is left is text.
            Event::PartStart { .. }
            | Event::PartEnd { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::Arguments { .. }
            | Event::Citation { .. } => {}
        }
    }
}
