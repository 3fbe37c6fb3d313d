//! What a client asks for.

use super::{CacheControl, Json, Part};

/// A request for one answer of a model.
///
/// `None` and empty lists mean that the client did not say, which is not the same as a default: a writer then says
/// nothing either, unless its dialect demands a value.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// What was said so far, in the client's order. Instructions stand in it as messages of the system or the developer.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may or must call them.
    pub tool_choice: Option<Named<ToolChoice>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<Named<bool>>,
    /// Most tokens to generate, those of reasoning included.
    pub max_tokens: Option<Named<u64>>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts at which the answer ends.
    pub stop: Option<Named<Vec<String>>>,
    /// How many answers.
    pub n: Option<Named<u64>>,
    /// The form of the answer.
    pub format: Option<Named<Format>>,
    /// How much the model thinks first.
    pub reasoning: Option<Named<Reasoning>>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// Whether a stream says its usage. Dialects that always do ignore it.
    pub include_usage: bool,
    /// The client's own name for its user.
    pub user: Option<Named<String>>,
    /// What only the client's dialect knows, by field. Never holds a field that has a place above.
    pub extras: Vec<Extra>,
    /// What only the answer in the client's own dialect shows again, by field: labels of the client's, and hints that
    /// change no answer. No target is asked for it.
    pub echo: Vec<Extra>,
}

/// A value with the field in which the client gave it, so that an error can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<T> {
    /// The client's field, such as `max_completion_tokens`.
    pub field: &'static str,
    /// Its value.
    pub value: T,
}

impl<T> Named<T> {
    /// A value with its field.
    pub const fn new(field: &'static str, value: T) -> Self {
        Self { field, value }
    }
}

/// Something that the shared terms do not have.
#[derive(Debug, Clone)]
pub struct Extra {
    /// Where the client wrote it: `logit_bias`, `messages[2].content[0].video`.
    pub field: Box<str>,
    /// Its value as it was written.
    pub value: Json,
}

/// How tokens are drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// 0 and up; dialects differ in the bound.
    pub temperature: Option<Named<f64>>,
    /// From the most probable tokens with this sum of probability, 0 to 1.
    pub top_p: Option<Named<f64>>,
    /// From so many most probable tokens.
    pub top_k: Option<Named<u64>>,
    /// Against tokens that have occurred, -2 to 2.
    pub presence_penalty: Option<Named<f64>>,
    /// Against tokens that occur often, -2 to 2.
    pub frequency_penalty: Option<Named<f64>>,
    /// For answers that repeat.
    pub seed: Option<Named<i64>>,
    /// Whether to give log probabilities of the answer's tokens.
    pub logprobs: Option<Named<bool>>,
    /// Of how many alternatives for each token.
    pub top_logprobs: Option<Named<u64>>,
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. May be empty.
    pub parts: Vec<Part>,
    /// A name for the speaker.
    pub name: Option<Named<String>>,
    /// Where the client wrote it: `messages[2]`.
    pub at: Box<str>,
}

/// Who speaks. Results of tools are parts of a user's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// Instructions of the developer; where a dialect knows only one kind, they are the system's.
    Developer,
    /// The user, and the tools that ran.
    User,
    /// The model.
    Assistant,
}

/// A function that the model may call.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// JSON schema of its arguments; `None`: it takes none.
    pub parameters: Option<Json>,
    /// Whether arguments must follow the schema.
    pub strict: Option<bool>,
    /// A cache mark behind it.
    pub cache: Option<CacheControl>,
    /// Where the client wrote it: `tools[0]`.
    pub at: Box<str>,
}

/// Whether the model may or must call functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// It may.
    Auto,
    /// It must not.
    None,
    /// It must call at least one.
    Required,
    /// It must call this one.
    Function(String),
}

/// The form of the answer.
#[derive(Debug, Clone)]
pub enum Format {
    /// Text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema(JsonSchema),
}

/// A schema for answers.
#[derive(Debug, Clone)]
pub struct JsonSchema {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The schema.
    pub schema: Json,
    /// Whether the answer must follow it exactly.
    pub strict: Option<bool>,
}

/// How much the model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// As much as the model likes.
    Adaptive,
    /// By degree.
    Effort(Effort),
    /// With at most so many tokens.
    Budget(u64),
}

/// A degree of reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// More than that.
    ExtraHigh,
    /// As much as can be.
    Max,
}
