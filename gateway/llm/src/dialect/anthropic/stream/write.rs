//! Writes a stream as Anthropic does.

use serde::Serialize;

use super::blocks::{Blocks, Overlap, put};
use crate::conversation::{Event, Finish, StreamError};
use crate::dialect::anthropic::answer::{self, Message};
use crate::dialect::anthropic::error;
use crate::dialect::anthropic::usage::WireUsage;
use crate::dialect::openai_chat::model_of;
use crate::dialect::{Context, StreamWriter};
use crate::{ErrorKind, Usage, sse};

/// Writes a stream.
///
/// The reason of the end goes out with the counts, in one event before the last, so it is held until all events have
/// come. The dialect has one choice; events of others cannot have been asked for.
#[derive(Debug)]
pub(in crate::dialect::anthropic) struct Writer {
    context: Context,
    blocks: Blocks,
    usage: Usage,
    finish: Finish,
    /// The client was told of an error: nothing follows.
    failed: bool,
}

#[derive(Serialize)]
struct MessageStart<'a> {
    r#type: &'static str,
    message: Message<'a>,
}

#[derive(Serialize)]
struct MessageDelta<'a> {
    r#type: &'static str,
    delta: End<'a>,
    usage: WireUsage,
}

#[derive(Serialize)]
struct End<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

#[derive(Serialize)]
struct MessageStop {
    r#type: &'static str,
}

impl Writer {
    pub(in crate::dialect::anthropic) fn new(context: Context) -> Self {
        Self {
            blocks: Blocks::new(answer::hides_thoughts(&context)),
            context,
            usage: Usage::default(),
            finish: Finish::default(),
            failed: false,
        }
    }

    fn start(&self, id: &str, model: &str, out: &mut Vec<u8>) {
        let mut usage = WireUsage::from(&self.usage);
        usage.input_tokens = usage
            .input_tokens
            .or_else(|| Some(answer::input_estimate(&self.context)));
        usage.output_tokens = usage.output_tokens.or(Some(0));
        let start = MessageStart {
            r#type: "message_start",
            message: Message {
                id: answer::message_id(id, &self.context),
                r#type: "message",
                role: "assistant",
                model: model_of(model, &self.context),
                content: Vec::new(),
                stop_reason: None,
                stop_sequence: None,
                usage,
            },
        };
        put("message_start", &start, out);
    }

    /// Tells of an error of the gateway's own.
    fn fail(&mut self, why: &Overlap, out: &mut Vec<u8>) {
        self.failed = true;
        let error = StreamError {
            kind: ErrorKind::BadUpstream,
            message: why.to_string(),
        };
        out.extend_from_slice(&sse::encode(Some("error"), &error::write_event(&error)));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.blocks.finish(out);
        let mut usage = WireUsage::from(&self.usage);
        // Demanded here; the count of the input stands as it was said at the start if no other came.
        usage.output_tokens = usage.output_tokens.or(Some(self.blocks.tokens()));
        let (stop_reason, stop_sequence) = answer::stop_reason(&self.finish, self.blocks.refused());
        let delta = MessageDelta {
            r#type: "message_delta",
            delta: End {
                stop_reason,
                stop_sequence,
            },
            usage,
        };
        put("message_delta", &delta, out);
        put("message_stop", &MessageStop { r#type: "message_stop" }, out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        match event {
            Event::Start { id, model, .. } => self.start(id, model, out),
            Event::PartStart { choice, part, .. }
            | Event::Text { choice, part, .. }
            | Event::Thinking { choice, part, .. }
            | Event::Signature { choice, part, .. }
            | Event::Refusal { choice, part, .. }
            | Event::Arguments { choice, part, .. }
            | Event::Citation { choice, part, .. }
            | Event::PartEnd { choice, part } => {
                if *choice == 0
                    && let Err(overlap) = self.blocks.write(*part, event, out)
                {
                    self.fail(&overlap, out);
                }
            }
            Event::Finish { choice: 0, finish } => {
                self.blocks.finish(out);
                self.finish = finish.clone();
            }
            Event::Finish { .. } => {}
            Event::Usage(usage) => self.usage = *usage,
            Event::Error(error) => {
                out.extend_from_slice(&sse::encode(Some("error"), &error::write_event(error)));
            }
            Event::End => self.end(out),
        }
    }
}
