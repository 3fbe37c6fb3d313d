//! What providers say about their limits in the headers of an answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::plan::{Provider, Target};

/// A provider that asks for more is asked again after this time all the same.
const LONGEST: Duration = Duration::from_hours(1);
/// What OpenAI, Azure and those that follow them count.
const OPENAI: [(&str, &str); 2] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];
/// What Anthropic counts.
const ANTHROPIC: [(&str, &str); 4] = [
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    (
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    (
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    (
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// Leaves a provider alone that says in an answer that it is exhausted. Of several answers the most restrictive one counts.
/// What one pod of a Service says is not about the others, and what is said to a request of an older configuration may not be
/// about the place or the account of now.
pub(super) fn heed(provider: &Provider, status: StatusCode, headers: &HeaderMap) {
    if !matches!(provider.target, Target::Endpoint { .. }) || !provider.live.is_served(provider.term) {
        return;
    }
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    let Some(wait) = exhausted_for(headers, refused, Timestamp::now) else {
        return;
    };
    if provider.live.rates.exhausted(Instant::now() + wait) {
        let (name, seconds) = (&*provider.name, wait.as_secs_f64());
        tracing::debug!(provider = name, seconds, "a provider says that it is exhausted");
    }
}

/// For how long the provider takes nothing more, by the headers of its answer; `None` if it takes more at once.
///
/// `refused`: the answer is a 429, so that its `retry-after` counts. `now` tells the time of the day, and is asked only where a header
/// names one.
fn exhausted_for(headers: &HeaderMap, refused: bool, now: impl Fn() -> Timestamp) -> Option<Duration> {
    // Nearly every answer says nothing of it, which a look at its few names tells sooner than a search for each name.
    if !refused && !headers.keys().any(speaks_of_limits) {
        return None;
    }
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let none_left = |name: &str| text(name).is_some_and(|left| left == "0");
    let by_openai = OPENAI
        .iter()
        .filter(|(remaining, _)| none_left(remaining))
        .filter_map(|(_, reset)| span(text(reset)?));
    let by_anthropic = ANTHROPIC
        .iter()
        .filter(|(remaining, _)| none_left(remaining))
        .filter_map(|(_, reset)| until(text(reset)?, now()));
    let asked = refused
        .then(|| {
            let millis = text("retry-after-ms").and_then(|ms| Some(ms.parse::<f64>().ok()? / 1e3));
            let seconds = || text(header::RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
            millis
                .or_else(seconds)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        })
        .flatten();
    by_openai
        .chain(by_anthropic)
        .chain(asked)
        .max()
        .filter(|wait| !wait.is_zero())
        .map(|wait| wait.min(LONGEST))
}

fn speaks_of_limits(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
}

/// A span as OpenAI writes it: `1s`, `6m0s`, `120ms`, `1h2m3.5s`; a plain number is seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let value: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += value
            * match &rest[..unit] {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The time to a moment as Anthropic writes it (RFC 3339). Clocks that do not agree make it longer or shorter.
fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let at: Timestamp = text.parse().ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(headers: &[(&'static str, &'static str)], refused: bool) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        exhausted_for(&headers, refused, || "2026-11-21T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn openai_says_how_long_until_there_is_more() {
        let headers = |remaining| {
            [
                ("x-ratelimit-remaining-requests", remaining),
                ("x-ratelimit-reset-requests", "120ms"),
                ("x-ratelimit-remaining-tokens", remaining),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ]
        };
        assert_eq!(wait(&headers("0"), false), Some(Duration::from_mins(6)));
        assert_eq!(wait(&headers("1"), false), None);
    }

    #[test]
    fn anthropic_says_when_there_is_more() {
        let headers = [
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T12:00:30Z"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T13:00:00Z"),
        ];
        assert_eq!(wait(&headers, false), Some(Duration::from_secs(30)));
        let past = [
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-21T11:00:00Z"),
        ];
        assert_eq!(wait(&past, false), None);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_nobody_is_left_alone_for_ever() {
        assert_eq!(wait(&[("retry-after", "2")], true), Some(Duration::from_secs(2)));
        assert_eq!(wait(&[("retry-after", "2")], false), None);
        let both = [("retry-after", "2"), ("retry-after-ms", "150")];
        assert_eq!(wait(&both, true), Some(Duration::from_millis(150)));
        assert_eq!(wait(&[("retry-after", "1000000")], true), Some(LONGEST));
        for nonsense in ["", "soon", "-5", "1x", "s", "..s", "1e400", "NaN"] {
            let headers = [
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", nonsense),
            ];
            assert_eq!(wait(&headers, true), None, "{nonsense}");
        }
    }

    #[test]
    fn spans_are_read_in_all_their_units() {
        assert_eq!(span("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
        assert_eq!(span("20"), Some(Duration::from_secs(20)));
        assert_eq!(span("1d"), Some(Duration::from_hours(24)));
    }
}
