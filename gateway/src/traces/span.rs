//! One request as an OpenTelemetry span, by the semantic conventions for generative AI.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::Span;

use crate::meter::{RequestLabels, UpstreamErrorKind};

/// The recorded span of one request. Ends when it is dropped, if not before.
#[derive(Debug)]
pub struct RequestSpan {
    span: Box<Span>,
}

/// What is known once a request has ended.
#[derive(Debug, Clone, Copy)]
pub struct SpanEnd {
    /// HTTP status that the client saw.
    pub status: u16,
    /// Kind of failure; `None` for success.
    pub error_type: Option<&'static str>,
    /// Prompt tokens, if the provider said.
    pub input_tokens: Option<u64>,
    /// Completion tokens, if known.
    pub output_tokens: Option<u64>,
    /// From the request's head to the first byte of the answer's body.
    pub first_byte_after: Option<Duration>,
}

/// The client's context, taken from its `traceparent` and `tracestate`; empty where they are missing or wrong.
pub(super) fn parent(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

pub(super) fn builder(labels: &RequestLabels, request_id: &str) -> SpanBuilder {
    let operation = labels.operation.name();
    SpanBuilder::from_name(format!("{operation} {}", labels.route))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("gen_ai.operation.name", operation),
            KeyValue::new("tokenweir.route", labels.route.to_string()),
            KeyValue::new("tokenweir.tenant", labels.tenant.to_string()),
            KeyValue::new("tokenweir.stream", labels.stream),
            KeyValue::new("tokenweir.request.id", request_id.to_owned()),
        ])
}

impl RequestSpan {
    pub(super) fn new(span: Span) -> Self {
        Self { span: Box::new(span) }
    }

    /// The header that makes a provider's spans children of this one.
    pub fn traceparent(&self) -> HeaderValue {
        let context = self.span.span_context();
        let mut text = String::with_capacity(55);
        let _ = write!(
            text,
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8() & 1
        );
        // Hex digits and dashes are always a valid header value; an empty one is ignored by every reader.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// A try at a provider begins.
    pub fn forwarded(&mut self, provider: &str, model: &str) {
        self.span
            .set_attribute(KeyValue::new("gen_ai.provider.name", provider.to_owned()));
        self.span
            .set_attribute(KeyValue::new("gen_ai.request.model", model.to_owned()));
    }

    /// A try at a provider failed.
    pub fn upstream_error(&mut self, provider: &str, kind: UpstreamErrorKind) {
        self.span.add_event(
            "upstream error",
            vec![
                KeyValue::new("gen_ai.provider.name", provider.to_owned()),
                KeyValue::new("error.type", kind.as_str()),
            ],
        );
    }

    /// Writes the result down and ends the span.
    pub fn end(mut self, end: &SpanEnd) {
        self.span
            .set_attribute(KeyValue::new("http.response.status_code", i64::from(end.status)));
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", end.input_tokens),
            ("gen_ai.usage.output_tokens", end.output_tokens),
        ] {
            if let Some(tokens) = tokens {
                self.span
                    .set_attribute(KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX)));
            }
        }
        if let Some(after) = end.first_byte_after {
            self.span
                .set_attribute(KeyValue::new("gen_ai.server.time_to_first_token", after.as_secs_f64()));
        }
        if let Some(error_type) = end.error_type {
            self.span.set_attribute(KeyValue::new("error.type", error_type));
            self.span.set_status(Status::error(error_type));
        }
        self.span.end();
    }
}
