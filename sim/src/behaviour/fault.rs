//! Faults, and chains of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::millis;
use super::spec::{Spec, SpecError};
use crate::state::RateLimit;

/// One way to fail. Parameters are written behind it, for example `429;retry-after=2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// How often, from 0 to 1 (`p=0.1`); drawn anew for each request.
    pub probability: f64,
    text: String,
}

/// What happens in a fault. `after` counts generated tokens; an answer that is no stream breaks in its middle instead.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// `ok`: no fault; useful in chains.
    Ok,
    /// `500`, `429;retry-after=2`: an error answer with this status.
    Status {
        /// From 400 to 599.
        status: u16,
        /// The header `retry-after`, as it is.
        retry_after: Option<String>,
    },
    /// `delay;for=500`: waits so many milliseconds before it answers.
    Delay(Duration),
    /// `hang`: no answer at all; `hang;after=3`: silence in the middle. The connection stays open.
    Hang {
        /// Tokens before it; `None` is before the head of the answer.
        after: Option<u64>,
    },
    /// `stall;after=3;for=500`: silence in the middle for so many milliseconds.
    Stall {
        /// Tokens before it.
        after: u64,
        /// How long.
        pause: Duration,
    },
    /// `reset`, `reset;after=3`: a TCP reset.
    Reset {
        /// Tokens before it; `None` is before the head of the answer.
        after: Option<u64>,
    },
    /// `close`, `close;after=3`: the connection is closed in an orderly way, with the answer incomplete.
    Close {
        /// Tokens before it; `None` is before the head of the answer.
        after: Option<u64>,
    },
    /// `malformed;after=3`: a stream event with cut-off JSON, and the stream goes on; or a body of cut-off JSON.
    Malformed {
        /// Tokens before it.
        after: u64,
        /// What comes.
        form: Malformed,
    },
    /// `html`, `html;status=502`: a page as load balancers show it.
    Html {
        /// Status of the answer.
        status: u16,
    },
    /// `length;by=10`: `content-length` says so many bytes more than there are; `length;by=-10`: fewer.
    Length {
        /// The difference.
        by: i64,
    },
    /// `idle-close`: the answer is whole and its connection stays open, and is closed just as the next request comes.
    /// On HTTP/1.1 alone.
    IdleClose,
    /// `goaway`: the answer is whole, and the connection takes no further requests; `goaway;after=3`: the connection
    /// ends so, with the answer incomplete. On HTTP/2 with a GOAWAY.
    GoAway {
        /// Tokens before the end; `None`: the answer is whole.
        after: Option<u64>,
    },
    /// `limit;requests=10;tokens=1000;window=60000`: rate limits in headers that run down, and a 429 at their end.
    Limit(RateLimit),
    /// `error;after=3`: an error event, and the end of the stream.
    ErrorEvent {
        /// Tokens before it.
        after: u64,
    },
    /// `split;size=7`: the body goes out in writes of so many bytes.
    Split {
        /// Bytes a write, at least 1.
        size: usize,
    },
    /// `slow-loris;interval=100`: the body goes out a byte at a time, with so many milliseconds between.
    SlowLoris {
        /// Time between bytes.
        interval: Duration,
    },
    /// `no-usage`: usage is left out, asked for or not.
    NoUsage,
    /// `usage-twice`: a stream tells usage twice, where it tells it at all.
    UsageTwice,
    /// `no-done`: the stream ends without `[DONE]`, or its wire's other mark.
    NoDone,
}

/// What comes in place of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// `as=json`: an event with cut-off JSON.
    Json,
    /// `as=utf8`: an event with bytes that are no text.
    Utf8,
    /// `as=text`: lines that are no event.
    Text,
    /// `as=endless`: a mebibyte of one event without an end, and the end of the stream.
    Endless,
}

const KNOWN: &str = "ok, a status from 400 to 599, delay, hang, stall, reset, close, malformed, error, split, \
                     slow-loris, html, length, idle-close, goaway, limit, no-usage, usage-twice, no-done";

impl Fault {
    /// How the fault was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Fault {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut spec = Spec::parse(text)?;
        let status = spec
            .name
            .parse::<u16>()
            .ok()
            .filter(|status| (400..600).contains(status));
        let kind = match (spec.name, status) {
            (_, Some(status)) => FaultKind::Status {
                status,
                retry_after: spec.text("retry-after").map(str::to_owned),
            },
            ("ok", _) => FaultKind::Ok,
            ("delay", _) => FaultKind::Delay(millis(spec.number("for")?.unwrap_or(1000.0))),
            ("hang", _) => FaultKind::Hang {
                after: spec.whole("after")?,
            },
            ("stall", _) => FaultKind::Stall {
                after: spec.whole("after")?.unwrap_or(0),
                pause: millis(spec.number("for")?.unwrap_or(1000.0)),
            },
            ("reset", _) => FaultKind::Reset {
                after: spec.whole("after")?,
            },
            ("close", _) => FaultKind::Close {
                after: spec.whole("after")?,
            },
            ("malformed", _) => FaultKind::Malformed {
                after: spec.whole("after")?.unwrap_or(0),
                form: Malformed::parse(spec.text("as"))?,
            },
            ("html", _) => FaultKind::Html {
                status: http_status(spec.whole("status")?)?,
            },
            ("length", _) => FaultKind::Length {
                by: by(spec.text("by"))?,
            },
            ("idle-close", _) => FaultKind::IdleClose,
            ("goaway", _) => FaultKind::GoAway {
                after: spec.whole("after")?,
            },
            ("limit", _) => FaultKind::Limit(RateLimit {
                requests: spec.whole("requests")?.unwrap_or(u64::from(u32::MAX)),
                tokens: spec.whole("tokens")?.unwrap_or(u64::from(u32::MAX)),
                window: millis(spec.number("window")?.unwrap_or(60_000.0)),
            }),
            ("error", _) => FaultKind::ErrorEvent {
                after: spec.whole("after")?.unwrap_or(0),
            },
            ("split", _) => FaultKind::Split {
                size: usize::try_from(spec.whole("size")?.unwrap_or(1).max(1)).unwrap_or(usize::MAX),
            },
            ("slow-loris", _) => FaultKind::SlowLoris {
                interval: millis(spec.number("interval")?.unwrap_or(100.0)),
            },
            ("no-usage", _) => FaultKind::NoUsage,
            ("usage-twice", _) => FaultKind::UsageTwice,
            ("no-done", _) => FaultKind::NoDone,
            (other, _) => {
                return Err(SpecError::Name {
                    what: "fault",
                    given: other.into(),
                    known: KNOWN,
                });
            }
        };
        let probability = spec.number("p")?.unwrap_or(1.0);
        if probability > 1.0 {
            return Err(SpecError::Value {
                name: "p".into(),
                given: probability.to_string(),
                expected: "from 0 to 1",
            });
        }
        spec.finish()?;
        Ok(Self {
            kind,
            probability,
            text: text.trim().into(),
        })
    }
}

impl Malformed {
    fn parse(text: Option<&str>) -> Result<Self, SpecError> {
        match text {
            None | Some("json") => Ok(Self::Json),
            Some("utf8") => Ok(Self::Utf8),
            Some("text") => Ok(Self::Text),
            Some("endless") => Ok(Self::Endless),
            Some(other) => Err(SpecError::Value {
                name: "as".into(),
                given: other.into(),
                expected: "json, utf8, text or endless",
            }),
        }
    }
}

fn http_status(given: Option<u64>) -> Result<u16, SpecError> {
    let status = given.unwrap_or(200);
    match u16::try_from(status) {
        Ok(status) if (200..600).contains(&status) => Ok(status),
        _ => Err(SpecError::Value {
            name: "status".into(),
            given: status.to_string(),
            expected: "from 200 to 599",
        }),
    }
}

fn by(given: Option<&str>) -> Result<i64, SpecError> {
    let given = given.unwrap_or("10");
    given.parse::<i32>().map(i64::from).map_err(|_| SpecError::Value {
        name: "by".into(),
        given: given.into(),
        expected: "a whole number of bytes",
    })
}

/// Faults for one request after the other, separated by commas: `500,500,ok`. The last one repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultChain(Vec<Fault>);

impl FaultChain {
    /// The fault of the request with this number, counted from 0.
    pub fn at(&self, number: u64) -> Option<&Fault> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get(usize::try_from(number).unwrap_or(usize::MAX).min(last))
    }

    /// Whether requests must be counted to know which fault is next.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.len() > 1
    }
}

impl FromStr for FaultChain {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        text.split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for FaultChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "," })?;
            f.write_str(&fault.text)?;
        }
        Ok(())
    }
}

impl From<FaultChain> for String {
    fn from(chain: FaultChain) -> Self {
        chain.to_string()
    }
}

impl TryFrom<String> for FaultChain {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_counts_up_and_repeats_its_last_fault() {
        let chain: FaultChain = "500, 429;retry-after=2 ,ok".parse().unwrap();
        let texts: Vec<&str> = (0..5).map(|n| chain.at(n).unwrap().as_str()).collect();
        assert_eq!(texts, ["500", "429;retry-after=2", "ok", "ok", "ok"]);
        assert_eq!(chain.to_string(), "500,429;retry-after=2,ok");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("200", "\"200\" is not a fault"),
            ("", "\"\" is not a fault"),
            ("hang;after=x", "after = \"x\" must be a whole number"),
            ("500;p=2", "p = \"2\" must be from 0 to 1"),
            ("ok;after=1", "\"ok\" takes no parameter \"after\""),
            ("malformed;as=x", "as = \"x\" must be json, utf8"),
            ("html;status=99", "status = \"99\" must be from 200 to 599"),
            ("length;by=x", "by = \"x\" must be a whole number of bytes"),
        ] {
            let error = text.parse::<FaultChain>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
