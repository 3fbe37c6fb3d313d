//! What a request asks for, whatever wire it came on.

use serde_json::{Map, Value};

use crate::answer::Directives;
use crate::behaviour::hash;

/// A request, read and found right by its wire.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the request"
)]
pub(crate) struct Ask {
    /// The model's name, without the suffix of a fault once that was taken off.
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// Tell usage in a stream, on wires where that is asked for.
    pub(crate) include_usage: bool,
    pub(crate) choices: u64,
    pub(crate) max_tokens: Option<u64>,
    /// vLLM's extension: the answer has as many tokens as the request allows.
    pub(crate) ignore_eos: bool,
    /// Hash of all that determines the answer beside seed and model.
    pub(crate) hash: u64,
    pub(crate) prompt: Prompt,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    /// The model may call several functions at once.
    pub(crate) parallel: bool,
    pub(crate) format: Format,
    pub(crate) thinking: Thinking,
    pub(crate) stops: Vec<String>,
    /// Tell so many alternatives of each token.
    pub(crate) logprobs: Option<u64>,
    pub(crate) directives: Directives,
    /// The wire can show thoughts encrypted.
    pub(crate) redacts: bool,
    /// What an answer of OpenAI's Responses repeats.
    pub(crate) echo: Option<Box<Echo>>,
}

impl Ask {
    /// A request for one answer of a model.
    pub(crate) fn of(model: String) -> Self {
        Self {
            model,
            choices: 1,
            parallel: true,
            ..Self::default()
        }
    }
}

/// What an answer repeats of its request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Echo {
    pub(crate) fields: Map<String, Value>,
    /// Thoughts are shown.
    pub(crate) summary: bool,
    /// Thoughts are given encrypted, to come back.
    pub(crate) encrypted: bool,
}

/// A function that the model may call.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// JSON schema of its arguments.
    pub(crate) schema: Value,
}

/// Whether the model may or must call functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    #[default]
    Auto,
    None,
    Required,
    Function(String),
}

/// The form of the answer's text.
#[derive(Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    Object,
    Schema(Value),
}

/// Whether the model thinks first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It cannot.
    #[default]
    Never,
    /// Only if a directive says so, as models that reason unasked.
    IfTold,
    /// With at most so many tokens.
    UpTo(u64),
}

/// What the model reads, part by part, as the prompt cache sees it.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    chain: u64,
    /// Tokens so far.
    pub(crate) tokens: u64,
    /// Hash of all parts up to a boundary, and their tokens.
    pub(crate) prefixes: Vec<(u64, u64)>,
    /// Only marked boundaries are cached.
    pub(crate) marked: bool,
}

impl Prompt {
    /// The next part: its bytes as they came, and its tokens.
    pub(crate) fn add(&mut self, raw: &[u8], tokens: u64) {
        self.chain = hash(self.chain, raw);
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Everything up to here can be cached.
    pub(crate) fn boundary(&mut self) {
        self.prefixes.push((self.chain, self.tokens));
    }
}
