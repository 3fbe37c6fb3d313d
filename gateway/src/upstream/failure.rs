//! How a try at a provider fails, and what may follow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokenweir_config::RetryOn;
use tokenweir_llm::OpenAiError;
use tokenweir_llm::dialect::overflows_context;

use super::outgoing::Pair;
use crate::health::Loss;
use crate::meter::UpstreamErrorKind;

/// A try that gave no answer for the client, or one that says no.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub kind: UpstreamErrorKind,
    /// What the provider answered, if it did.
    pub answer: Option<ErrorAnswer>,
    /// What the gateway itself has against the request; boxed, as almost no failure has it.
    pub refusal: Option<Box<OpenAiError>>,
    /// The loss of a connection that carried other requests too; `None`: it hit this one alone.
    pub lost: Option<Arc<Loss>>,
}

/// A provider's answer with an error status.
#[derive(Debug)]
pub struct ErrorAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, in the provider's words.
    pub body: Bytes,
    /// Between whose words it is to be translated; `None`: both are the same.
    pub translated: Option<Pair>,
}

impl From<UpstreamErrorKind> for Failure {
    fn from(kind: UpstreamErrorKind) -> Self {
        Self {
            kind,
            answer: None,
            refusal: None,
            lost: None,
        }
    }
}

impl Failure {
    /// The provider cannot be asked for what the client wants.
    pub(super) fn unsupported(refusal: Box<OpenAiError>) -> Self {
        Self {
            kind: UpstreamErrorKind::Unsupported,
            answer: None,
            refusal: Some(refusal),
            lost: None,
        }
    }

    /// An answer that broke off, perhaps with the connection that carried it.
    pub(super) fn broken_off(lost: Option<Arc<Loss>>) -> Self {
        Self {
            lost,
            ..UpstreamErrorKind::Interrupted.into()
        }
    }

    /// Whether the provider was not even asked, as it has no words for the request.
    pub fn is_unsupported(&self) -> bool {
        self.kind == UpstreamErrorKind::Unsupported
    }

    /// The failure that an answer with an error status is.
    pub(super) fn of_answer(answer: ErrorAnswer) -> Self {
        let kind = match answer.status.as_u16() {
            429 => UpstreamErrorKind::RateLimited,
            status if overflows_context(status, &answer.body) => UpstreamErrorKind::ContextOverflow,
            400..=499 => UpstreamErrorKind::ClientStatus,
            500..=599 => UpstreamErrorKind::ServerStatus,
            // A redirect would have to be followed with the client's prompt to wherever it points.
            _ => UpstreamErrorKind::Malformed,
        };
        let shown = kind != UpstreamErrorKind::Malformed;
        Self {
            kind,
            answer: shown.then_some(answer),
            refusal: None,
            lost: None,
        }
    }

    /// The class by which a route says whether it is worth another try; `None`: never.
    fn class(&self) -> Option<RetryOn> {
        use UpstreamErrorKind as Kind;
        match self.kind {
            Kind::RateLimited => Some(RetryOn::TooManyRequests),
            Kind::ServerStatus => Some(RetryOn::ServerError),
            Kind::Connect | Kind::Reset | Kind::Interrupted | Kind::Malformed | Kind::NoEndpoint | Kind::Credential => {
                Some(RetryOn::Connect)
            }
            Kind::FirstTokenTimeout => Some(RetryOn::FirstTokenTimeout),
            // The same request would fail in the same way, or has no time left; or nothing was tried.
            Kind::ClientStatus
            | Kind::TotalTimeout
            | Kind::IdleTimeout
            | Kind::Unhealthy
            | Kind::Unsupported
            | Kind::ContextOverflow => None,
        }
    }

    /// Whether the route wants another try at its backends.
    pub fn is_retried(&self, on: &[RetryOn]) -> bool {
        self.class().is_some_and(|class| on.contains(&class))
    }

    /// Whether another provider may do better: all but the client's own mistakes and the end of its time.
    pub fn falls_back(&self) -> bool {
        !matches!(
            self.kind,
            UpstreamErrorKind::ClientStatus | UpstreamErrorKind::TotalTimeout
        )
    }

    /// How long the provider asks to be left alone: `retry-after` in seconds. Its form as a date is not used by model
    /// providers, and would need clocks that agree.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.answer.as_ref()?.headers.get(header::RETRY_AFTER)?;
        let seconds: f64 = value.to_str().ok()?.trim().parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// How long to wait before try number `again` (1 for the first further one): exponential with full jitter, and at least
/// what the provider asks for. `None`: it asks for more than the route's longest wait, so trying again is pointless.
///
/// `random` is from 0 to 1.
pub(super) fn backoff(
    base: Duration,
    max: Duration,
    again: u32,
    asked: Option<Duration>,
    random: f64,
) -> Option<Duration> {
    if asked.is_some_and(|asked| asked > max) {
        return None;
    }
    let bound = base
        .saturating_mul(2_u32.saturating_pow(again.saturating_sub(1)))
        .min(max);
    Some(bound.mul_f64(random.clamp(0.0, 1.0)).max(asked.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, retry_after: Option<&'static str>) -> Failure {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
        }
        Failure::of_answer(ErrorAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::new(),
            translated: None,
        })
    }

    #[test]
    fn the_route_decides_what_is_tried_again_and_mistakes_of_the_client_never_are() {
        let all = [
            RetryOn::TooManyRequests,
            RetryOn::ServerError,
            RetryOn::Connect,
            RetryOn::FirstTokenTimeout,
        ];
        assert!(answer(429, None).is_retried(&all));
        assert!(answer(503, None).is_retried(&[RetryOn::ServerError]));
        assert!(!answer(503, None).is_retried(&[RetryOn::TooManyRequests]));
        assert!(Failure::from(UpstreamErrorKind::Connect).is_retried(&[RetryOn::Connect]));
        for status in [400, 401, 404, 422] {
            assert!(!answer(status, None).is_retried(&all) && !answer(status, None).falls_back());
        }
        assert!(!Failure::from(UpstreamErrorKind::TotalTimeout).is_retried(&all));
    }

    #[test]
    fn a_conversation_that_is_too_long_goes_to_the_fallbacks_and_is_not_tried_again() {
        let failure = Failure::of_answer(ErrorAnswer {
            status: StatusCode::BAD_REQUEST,
            headers: HeaderMap::new(),
            body: Bytes::from_static(br#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#),
            translated: None,
        });
        assert_eq!(failure.kind, UpstreamErrorKind::ContextOverflow);
        assert!(failure.falls_back() && !failure.is_retried(&[RetryOn::ServerError]));
        assert!(failure.answer.is_some(), "without a fallback the client is told");
    }

    #[test]
    fn a_redirect_is_a_failure_and_not_passed_on() {
        let failure = answer(302, None);
        assert_eq!(failure.kind, UpstreamErrorKind::Malformed);
        assert!(failure.answer.is_none());
    }

    #[test]
    fn waits_double_up_to_the_bound_and_are_spread() {
        let wait = |again, random| {
            backoff(
                Duration::from_millis(100),
                Duration::from_millis(350),
                again,
                None,
                random,
            )
            .unwrap()
            .as_millis()
        };
        assert_eq!(
            [wait(1, 1.0), wait(2, 1.0), wait(3, 1.0), wait(99, 1.0)],
            [100, 200, 350, 350]
        );
        assert_eq!([wait(2, 0.0), wait(2, 0.5)], [0, 100]);
    }

    #[test]
    fn the_provider_is_left_alone_as_long_as_it_asks_within_the_bound() {
        let (base, max) = (Duration::from_millis(100), Duration::from_secs(2));
        assert_eq!(answer(429, Some("1")).retry_after(), Some(Duration::from_secs(1)));
        assert_eq!(
            backoff(base, max, 1, Some(Duration::from_secs(1)), 0.0),
            Some(Duration::from_secs(1))
        );
        assert_eq!(backoff(base, max, 1, Some(Duration::from_mins(1)), 0.0), None);
        for nonsense in ["soon", "-1", "1e300", "NaN", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(answer(429, Some(nonsense)).retry_after(), None, "{nonsense}");
        }
    }
}
