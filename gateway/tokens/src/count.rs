//! Counting a conversation.

use bpe_openai::Tokenizer;
use tokenweir_llm::conversation::{Format, Message, Part, PartKind, Request, Role, Source};
use tokenweir_llm::tokens::{estimate, estimate_input, image_size};

use crate::chat::{self, Functions};
use crate::encoding::Encoding;
use crate::functions;
use crate::image::Vision;

/// How many tokens an input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// So many.
    pub tokens: u64,
    /// Whether it is what the provider will count, by all that it has published.
    pub exact: bool,
    /// What it was counted with; without one by the estimate for models whose vocabulary is not public.
    pub encoding: Option<Encoding>,
}

/// Counts the input of a conversation for a model, by the provider's name for it.
pub fn count(request: &Request, model: &str) -> Counted {
    let tokenizer = Encoding::of_model(model).and_then(|encoding| Some((encoding, encoding.ready()?)));
    let Some((encoding, tokenizer)) = tokenizer else {
        return Counted {
            tokens: estimate_input(request),
            exact: false,
            encoding: None,
        };
    };
    let mut tally = Tally {
        tokenizer,
        vision: Vision::of(model),
        tokens: chat::PRIMING,
        exact: chat::is_published(model),
    };
    if let Some(Format::JsonSchema(format)) = request.format.as_ref().map(|format| &format.value) {
        // It is shown to the model in a form that is not published.
        tally.estimated();
        tally.text(format.schema.get());
    }
    for message in &request.messages {
        tally.message(message);
    }
    functions::add(&mut tally, &request.tools, Functions::of(encoding));
    Counted {
        tokens: tally.tokens,
        exact: tally.exact,
        encoding: Some(encoding),
    }
}

/// Counts a text alone, as models for embeddings and text completions do.
pub fn count_text(text: &str, model: &str) -> Counted {
    let tokenizer = Encoding::of_model(model).and_then(|encoding| Some((encoding, encoding.ready()?)));
    match tokenizer {
        Some((encoding, tokenizer)) => Counted {
            tokens: tokens(tokenizer, text),
            exact: true,
            encoding: Some(encoding),
        },
        None => Counted {
            tokens: estimate(text),
            exact: false,
            encoding: None,
        },
    }
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> u64 {
    u64::try_from(tokenizer.count(text)).unwrap_or(u64::MAX)
}

/// A count so far.
pub(crate) struct Tally {
    tokenizer: &'static Tokenizer,
    vision: Option<Vision>,
    tokens: u64,
    exact: bool,
}

impl Tally {
    pub(crate) const fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    pub(crate) const fn subtract(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_sub(tokens);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.add(tokens(self.tokenizer, text));
    }

    /// What was added last is not what the provider is known to count.
    pub(crate) const fn estimated(&mut self) {
        self.exact = false;
    }

    fn message(&mut self, message: &Message) {
        self.add(chat::MESSAGE);
        self.text(match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        if let Some(name) = &message.name {
            self.add(chat::NAME);
            self.text(&name.value);
        }
        let plain = matches!(
            message.parts.as_slice(),
            [] | [Part {
                kind: PartKind::Text { .. },
                ..
            }]
        );
        self.exact &= plain;
        for part in &message.parts {
            self.part(part);
        }
    }

    fn part(&mut self, part: &Part) {
        match &part.kind {
            PartKind::ToolResult(result) => {
                for part in &result.parts {
                    // Results hold no results: readers do not nest them.
                    if !matches!(part.kind, PartKind::ToolResult(_)) {
                        self.simple(part);
                    }
                }
            }
            _ => self.simple(part),
        }
    }

    fn simple(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Text { text, .. }
            | PartKind::Refusal { text }
            | PartKind::Document {
                source: Source::Text(text),
                ..
            } => self.text(text),
            PartKind::Image { source, detail } => {
                let low = detail.as_ref().is_some_and(|detail| detail.value == "low");
                let tokens = match self.vision {
                    Some(vision) => vision.tokens(image_size(source), low),
                    None => 0,
                };
                self.add(tokens);
            }
            PartKind::ToolCall(call) => {
                self.add(chat::MESSAGE);
                self.text(&call.name);
                self.text(&call.arguments);
            }
            // Of these the estimate knows as much as anybody.
            PartKind::Document { .. } | PartKind::Audio { .. } => {
                let alone = Request {
                    messages: vec![Message {
                        role: Role::User,
                        parts: vec![part.clone()],
                        name: None,
                        at: Box::default(),
                    }],
                    ..Request::default()
                };
                self.add(estimate_input(&alone));
            }
            // Earlier thoughts are not shown to these models again.
            PartKind::Thinking { .. } | PartKind::RedactedThinking { .. } | PartKind::ToolResult(_) => {}
        }
    }
}
