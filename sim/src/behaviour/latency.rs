//! Latency models: how long to the first token, and between tokens.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::random::Random;
use super::spec::{Spec, SpecError};

/// How long an answer takes. All times are milliseconds.
///
/// Written `fixed;first=50;token=10`, `log-normal;first-median=200;first-p99=900;token-median=20;token-p99=60` or
/// `loaded;max-batch=32;max-waiting=1000;prefill=8000;step=12;step-per-sequence=0.4`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Latency {
    /// The same for every request.
    Fixed {
        /// To the first token.
        first: f64,
        /// From one token to the next.
        token: f64,
    },
    /// Drawn per request (first token) and per token, from log-normal distributions with these medians and 99th
    /// percentiles.
    LogNormal {
        /// Median time to the first token.
        first_median: f64,
        /// 99th percentile of the time to the first token.
        first_p99: f64,
        /// Median time between tokens.
        token_median: f64,
        /// 99th percentile of the time between tokens.
        token_p99: f64,
    },
    /// Continuous batching: one engine decodes all running requests step by step. A step takes
    /// `step + step_per_sequence × running + 1000 × prompt tokens admitted in it / prefill` and gives every running
    /// request one token. Requests beyond `max_batch` wait in line; beyond `max_waiting` they are refused.
    Loaded {
        /// Requests that run at once.
        max_batch: usize,
        /// Requests that may wait.
        max_waiting: usize,
        /// Prompt tokens prefilled per second.
        prefill: f64,
        /// Time of a step with an empty batch.
        step: f64,
        /// Time that each running request adds to a step.
        step_per_sequence: f64,
    },
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed { first: 0.0, token: 0.0 }
    }
}

impl Latency {
    /// The model `loaded` with its defaults: about those of a mid-size model on one accelerator.
    pub const LOADED: Self = Self::Loaded {
        max_batch: 32,
        max_waiting: 10_000,
        prefill: 8000.0,
        step: 12.0,
        step_per_sequence: 0.4,
    };

    /// Time to the first token; zero for `loaded`, which has an engine instead.
    pub(crate) fn first(&self, random: &mut Random) -> Duration {
        match *self {
            Self::Fixed { first, .. } => millis(first),
            Self::LogNormal {
                first_median,
                first_p99,
                ..
            } => log_normal(first_median, first_p99, random),
            Self::Loaded { .. } => Duration::ZERO,
        }
    }

    /// Time from one token to the next; zero for `loaded`.
    pub(crate) fn token(&self, random: &mut Random) -> Duration {
        match *self {
            Self::Fixed { token, .. } => millis(token),
            Self::LogNormal {
                token_median,
                token_p99,
                ..
            } => log_normal(token_median, token_p99, random),
            Self::Loaded { .. } => Duration::ZERO,
        }
    }
}

/// A day in milliseconds. Nothing takes longer, so that no sum of durations leaves the range of an instant.
pub(super) const MAX_MILLIS: f64 = 86_400_000.0;

/// Milliseconds as a duration, at most a day.
pub(super) fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.min(MAX_MILLIS) / 1000.0).unwrap_or(Duration::ZERO)
}

fn log_normal(median: f64, p99: f64, random: &mut Random) -> Duration {
    if median <= 0.0 {
        return Duration::ZERO;
    }
    // The 99th percentile of the standard normal distribution.
    let sigma = (p99.max(median) / median).ln() / 2.326_347_874;
    millis(median * (sigma * random.normal()).exp())
}

impl FromStr for Latency {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut spec = Spec::parse(text)?;
        let latency = match spec.name {
            "fixed" => Self::Fixed {
                first: spec.number("first")?.unwrap_or(0.0),
                token: spec.number("token")?.unwrap_or(0.0),
            },
            "log-normal" => {
                let first_median = spec.number("first-median")?.unwrap_or(200.0);
                let token_median = spec.number("token-median")?.unwrap_or(20.0);
                Self::LogNormal {
                    first_median,
                    first_p99: spec.number("first-p99")?.unwrap_or(first_median * 4.0),
                    token_median,
                    token_p99: spec.number("token-p99")?.unwrap_or(token_median * 3.0),
                }
            }
            "loaded" => loaded(&mut spec)?,
            other => {
                return Err(SpecError::Name {
                    what: "latency model",
                    given: other.into(),
                    known: "fixed, log-normal, loaded",
                });
            }
        };
        spec.finish()?;
        Ok(latency)
    }
}

fn loaded(spec: &mut Spec<'_>) -> Result<Latency, SpecError> {
    let max_batch = spec.whole("max-batch")?.unwrap_or(32);
    let prefill = spec.number("prefill")?.unwrap_or(8000.0);
    for (name, zero) in [("max-batch", max_batch == 0), ("prefill", prefill <= 0.0)] {
        if zero {
            return Err(SpecError::Value {
                name: name.into(),
                given: "0".into(),
                expected: "more than 0",
            });
        }
    }
    Ok(Latency::Loaded {
        max_batch: usize::try_from(max_batch).unwrap_or(usize::MAX),
        max_waiting: usize::try_from(spec.whole("max-waiting")?.unwrap_or(10_000)).unwrap_or(usize::MAX),
        prefill,
        step: spec.number("step")?.unwrap_or(12.0),
        step_per_sequence: spec.number("step-per-sequence")?.unwrap_or(0.4),
    })
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { first, token } => write!(f, "fixed;first={first};token={token}"),
            Self::LogNormal {
                first_median,
                first_p99,
                token_median,
                token_p99,
            } => write!(
                f,
                "log-normal;first-median={first_median};first-p99={first_p99};token-median={token_median};token-p99={token_p99}"
            ),
            Self::Loaded {
                max_batch,
                max_waiting,
                prefill,
                step,
                step_per_sequence,
            } => write!(
                f,
                "loaded;max-batch={max_batch};max-waiting={max_waiting};prefill={prefill};step={step};step-per-sequence={step_per_sequence}"
            ),
        }
    }
}

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.to_string()
    }
}

impl TryFrom<String> for Latency {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_reads_back_what_it_prints() {
        for text in [
            "fixed;first=50;token=10.5",
            "log-normal;first-median=200;first-p99=900;token-median=20;token-p99=60",
            "loaded;max-batch=4;max-waiting=7;prefill=8000;step=12;step-per-sequence=0.4",
        ] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
        assert_eq!("loaded".parse::<Latency>().unwrap(), Latency::LOADED);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            (
                "quick",
                "\"quick\" is not a latency model; known are fixed, log-normal, loaded",
            ),
            ("fixed;first=-1", "first = \"-1\" must be a number from 0 to 86400000"),
            ("fixed;first=NaN", "first = \"NaN\" must be a number from 0 to 86400000"),
            ("fixed;last=1", "\"fixed\" takes no parameter \"last\""),
            ("fixed;first", "fixed = \"first\" must be parameters written name=value"),
            ("loaded;max-batch=0", "max-batch = \"0\" must be more than 0"),
        ] {
            assert_eq!(text.parse::<Latency>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn drawn_latencies_have_the_median_and_the_percentile_asked_for() {
        let latency: Latency = "log-normal;first-median=100;first-p99=400".parse().unwrap();
        let mut random = Random::new(3);
        let mut drawn: Vec<Duration> = (0..20_001).map(|_| latency.first(&mut random)).collect();
        drawn.sort_unstable();
        let (median, p99) = (drawn[10_000].as_secs_f64(), drawn[19_800].as_secs_f64());
        assert!((0.097..0.103).contains(&median), "{median}");
        assert!((0.37..0.43).contains(&p99), "{p99}");
    }
}
