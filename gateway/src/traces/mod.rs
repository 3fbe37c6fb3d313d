//! Spans of requests, exported by OTLP over HTTP.
//!
//! A request asks [`Traces::begin`] for a span; without an exporter, or where the client's context says "not sampled",
//! there is none and nothing is paid. Finished spans go into a bounded queue whose other end is a thread of its own:
//! when a collector is slow or dead, spans are dropped and no request waits.

mod export;
mod span;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::meter::RequestLabels;
pub use export::{ExportError, Identity};
pub use span::{RequestSpan, SpanEnd};

/// How long the spans that wait may take to be sent when an exporter is given up.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where spans come from; swapped when the configuration names another collector.
#[derive(Debug, Default)]
pub struct Traces {
    tracer: ArcSwapOption<SdkTracer>,
    exporter: Mutex<Option<Exporter>>,
}

#[derive(Debug)]
struct Exporter {
    endpoint: String,
    identity: Identity,
    provider: SdkTracerProvider,
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

    /// Exports to `endpoint` from now on, or not at all. Requests are made on `runtime`.
    ///
    /// Spans of the exporter before are still sent, in the background. On an error everything stays as it was.
    pub fn export_to(&self, endpoint: Option<&str>, identity: &Identity, runtime: &Handle) -> Result<(), ExportError> {
        let mut current = self.exporter.lock();
        let same = match (&*current, endpoint) {
            (Some(exporter), Some(endpoint)) => exporter.endpoint == endpoint && exporter.identity == *identity,
            (None, None) => true,
            _ => false,
        };
        if same {
            return Ok(());
        }
        let next = match endpoint {
            None => None,
            Some(endpoint) => Some(Exporter {
                provider: export::provider(endpoint, identity, runtime.clone())?,
                endpoint: endpoint.to_owned(),
                identity: identity.clone(),
            }),
        };
        self.tracer.store(
            next.as_ref()
                .map(|exporter| Arc::new(exporter.provider.tracer("tokenweir-gateway"))),
        );
        if let Some(before) = std::mem::replace(&mut *current, next) {
            runtime.spawn_blocking(move || close(&before));
        }
        Ok(())
    }

    /// Sends what waits, for a short while, and stops. Blocks.
    pub fn close(&self) {
        self.tracer.store(None);
        if let Some(exporter) = self.exporter.lock().take() {
            close(&exporter);
        }
    }
}

fn close(exporter: &Exporter) {
    if let Err(error) = exporter.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
        tracing::warn!(%error, endpoint = exporter.endpoint, "spans were lost");
    }
}
