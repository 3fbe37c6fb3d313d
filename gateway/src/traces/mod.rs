//! Spans of requests, exported by OTLP over HTTP.
//!
//! A request asks [`Traces::begin`] for a span; without an exporter, or where the client's context says "not sampled",
//! there is none and nothing is paid. Finished spans go into a bounded queue whose other end is a thread of its own:
//! when a collector is slow or dead, spans are dropped and no request waits.

mod span;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use crate::meter::RequestLabels;
pub use span::{RequestSpan, SpanEnd};

/// Where spans come from; swapped when the configuration names another collector.
#[derive(Debug, Default)]
pub struct Traces {
    tracer: ArcSwapOption<SdkTracer>,
}

impl Traces {
    /// Traces without an exporter.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Begins the span of a request, if it is to be recorded.
    ///
    /// The parent is the client's `traceparent`, and its sampling decision holds.
    pub fn begin(&self, labels: &RequestLabels, headers: &HeaderMap, request_id: &str) -> Option<RequestSpan> {
        let tracer = self.tracer.load();
        let tracer = tracer.as_deref()?;
        let span = tracer.build_with_context(span::builder(labels, request_id), &span::parent(headers));
        span.is_recording().then(|| RequestSpan::new(span))
    }
}
