//! What was spent: questions, their answers, and the forms that answers leave in.

mod export;
mod focus;
mod forecast;
mod sql;
mod store;

use serde::Serialize;
use tokenweir_config::money::NanoUsd;

pub use export::{ExportError, to_csv};
pub use focus::{question_for_focus, to_focus_csv};
pub use forecast::{Confidence, Forecast, forecast};
pub use store::{Answers, QueryError};

/// What sums can be by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The path of the tenant.
    Tenant,
    /// What it was for.
    Operation,
    /// Who was asked.
    Provider,
    /// Which model.
    Model,
    /// Which route.
    Route,
    /// Which API key.
    Key,
    /// Which end user, or their pseudonym.
    EndUser,
    /// Which workflow.
    Workflow,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Tenant,
        Self::Operation,
        Self::Provider,
        Self::Model,
        Self::Route,
        Self::Key,
        Self::EndUser,
        Self::Workflow,
    ];

    /// Its name in exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Operation => "operation",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Route => "route",
            Self::Key => "key",
            Self::EndUser => "end_user",
            Self::Workflow => "workflow",
        }
    }

    /// Its column.
    const fn column(self) -> &'static str {
        match self {
            Self::Key => "key_name",
            other => other.name(),
        }
    }
}

/// How time is divided: in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// By hour.
    Hour,
    /// By day.
    Day,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Rows in which this is exactly this; empty for rows that do not say.
    Is(Dimension, String),
    /// Rows that say this at all.
    Known(Dimension),
    /// Rows of this tenant and of all below it.
    Under(String),
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The earliest, and within a time the names in their order.
    #[default]
    Time,
    /// The most expensive.
    Cost,
}

/// Lines of an answer at most, so that no question fills the memory.
pub const MAX_LINES: u32 = 100_000;

/// A question about a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The first microsecond since 1970 that counts.
    pub from_us: i64,
    /// The first one that counts no more.
    pub to_us: i64,
    /// What the sums are by.
    pub by: Vec<Dimension>,
    /// How time is divided; without it not at all.
    pub bucket: Option<Bucket>,
    /// What is counted: what all of these say.
    pub only: Vec<Filter>,
    /// What comes first.
    pub order: Order,
    /// Lines at most; [`MAX_LINES`] without it.
    pub limit: Option<u32>,
}

/// Sums over attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Attempts.
    pub attempts: i64,
    /// Requests: first attempts.
    pub requests: i64,
    /// Attempts that ended with an error.
    pub errors: i64,
    /// Attempts that the client cut.
    pub cuts: i64,
    /// Attempts without a price. The cost does not have them.
    pub unpriced: i64,
    /// Attempts whose tokens are estimated.
    pub estimated: i64,
    /// Tokens of input.
    pub prompt_tokens: i64,
    /// Tokens generated.
    pub completion_tokens: i64,
    /// Of the input, read from the provider's cache.
    pub cached_tokens: i64,
    /// Of the input, written to the provider's cache.
    pub cache_write_tokens: i64,
    /// Of the generated tokens, hidden reasoning.
    pub reasoning_tokens: i64,
    /// What was paid.
    pub cost: NanoUsd,
    /// What caches and coalescing saved.
    pub saved: NanoUsd,
    /// The time that attempts took, in microseconds.
    pub latency_us: i64,
}

/// Sums of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The bucket's start, if there are buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_us: Option<i64>,
    /// The names, in the question's order; empty where rows do not say.
    pub names: Vec<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The first microsecond that was counted: the start of the hour, or of the day for workflows, that was asked for.
    pub from_us: i64,
    /// The first one that was not: the end of the hour or day.
    pub to_us: i64,
    /// What the names are.
    pub by: Vec<Dimension>,
    /// The sums.
    pub lines: Vec<Line>,
    /// Whether there are more lines than were asked for.
    pub cut: bool,
}

/// A group's sums in two periods of the same length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// The names, in the question's order.
    pub names: Vec<String>,
    /// In the period that was asked for.
    pub now: Sums,
    /// In the period of the same length before it.
    pub before: Sums,
    /// By how many thousandths of what it was the cost has grown; none where there was none before.
    pub growth_permille: Option<i64>,
}

/// What workflows cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workflows {
    /// How many there were.
    pub count: i64,
    /// What they cost together.
    pub cost: NanoUsd,
    /// What one cost in the mean, rounded towards zero.
    pub mean: NanoUsd,
    /// The most expensive ones, by tenant and workflow.
    pub lines: Vec<Line>,
}
