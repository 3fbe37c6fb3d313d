//! Heads of answers.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::route::{Api, Operation, Route};
use crate::state::{Left, RateLimit, unix_seconds};

/// The head of an answer that succeeds.
pub(super) fn of(route: &Route, stream: bool, hash: u64) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    let content_type = match (&route.operation, stream) {
        (_, false) | (Operation::Content { list: true, .. }, _) => "application/json",
        (Operation::Converse { .. }, true) => "application/vnd.amazon.eventstream",
        (_, true) => "text/event-stream; charset=utf-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if stream {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    let name = match route.api {
        Api::OpenAi | Api::Google | Api::Vertex => "x-request-id",
        Api::Bedrock => "x-amzn-requestid",
        Api::Azure => "apim-request-id",
        Api::Anthropic => "request-id",
    };
    insert(&mut headers, name, &format!("req_{hash:016x}"));
    headers
}

/// The headers that tell what is left of a rate limit.
pub(super) fn limits(api: Api, limit: RateLimit, left: Left, headers: &mut HeaderMap) {
    // Google and Amazon do not tell.
    if matches!(api, Api::Google | Api::Vertex | Api::Bedrock) {
        return;
    }
    let kinds = [
        ("requests", limit.requests, left.requests),
        ("tokens", limit.tokens, left.tokens),
    ];
    for (kind, most, left_over) in kinds {
        if api == Api::Anthropic {
            let until = unix_seconds().saturating_add(seconds(left.reset));
            insert(headers, &format!("anthropic-ratelimit-{kind}-limit"), &most.to_string());
            insert(
                headers,
                &format!("anthropic-ratelimit-{kind}-remaining"),
                &left_over.to_string(),
            );
            insert(headers, &format!("anthropic-ratelimit-{kind}-reset"), &rfc3339(until));
        } else {
            insert(headers, &format!("x-ratelimit-limit-{kind}"), &most.to_string());
            insert(
                headers,
                &format!("x-ratelimit-remaining-{kind}"),
                &left_over.to_string(),
            );
            insert(headers, &format!("x-ratelimit-reset-{kind}"), &duration(left.reset));
        }
    }
}

/// Whole seconds, rounded up: who waits so long has waited enough.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// As OpenAI writes times: `6m0s`, `1s`, `20ms`.
fn duration(time: Duration) -> String {
    match seconds(time) {
        0 | 1 if time < Duration::from_secs(1) => format!("{}ms", time.as_millis()),
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

fn rfc3339(unix: u64) -> String {
    let seconds = i64::try_from(unix).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_providers_write_them() {
        for (millis, text) in [
            (20, "20ms"),
            (1000, "1s"),
            (1001, "2s"),
            (360_000, "6m0s"),
            (59_999, "1m0s"),
            (61_000, "1m1s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(rfc3339(1_767_225_600), "2026-01-01T00:00:00Z");
    }
}
