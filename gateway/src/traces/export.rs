//! Sending spans: OTLP over HTTP with a client of our own, on the control thread's runtime.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;

/// How long one batch may take, body included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Spans that wait for export; more are dropped. At about 1 KiB each this bounds the memory to some MiB.
const QUEUE: usize = 4_096;
/// Spans in one batch.
const BATCH: usize = 512;
/// How long spans wait for a batch to fill.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// What a collector may answer with.
const MAX_ANSWER: usize = 1024 * 1024;
/// Where a collector takes traces.
const TRACES_PATH: &str = "/v1/traces";

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint is not a URL that can be used.
    #[error("the OTLP endpoint {0:?} is not an http or https URL")]
    Endpoint(String),
    /// The exporter could not be built.
    #[error("the OTLP exporter cannot be built: {0}")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Names the process in every span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the gateway.
    pub namespace: String,
    /// Name of the gateway.
    pub gateway: String,
    /// Name of the pod, or of the host.
    pub pod: String,
}

/// A provider of tracers that sends to `endpoint`. Its sampler is that of `OTEL_TRACES_SAMPLER`; by default what the
/// client decided, and everything where the client decided nothing.
pub(super) fn provider(endpoint: &str, identity: &Identity, runtime: Handle) -> Result<SdkTracerProvider, ExportError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(OtlpClient::new(runtime))
        .with_endpoint(traces_url(endpoint)?)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(BATCH_DELAY)
        .build();
    let resource = Resource::builder()
        .with_service_name("tokenweir-gateway")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.namespace", identity.namespace.clone()),
            KeyValue::new("service.instance.id", identity.pod.clone()),
            KeyValue::new("k8s.namespace.name", identity.namespace.clone()),
            KeyValue::new("k8s.pod.name", identity.pod.clone()),
            KeyValue::new("tokenweir.gateway", identity.gateway.clone()),
        ])
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .with_resource(resource)
        .build())
}

/// A bare collector URL gets the standard path; one with a path is taken as it is.
fn traces_url(endpoint: &str) -> Result<String, ExportError> {
    let wrong = || ExportError::Endpoint(endpoint.to_owned());
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    let bare = endpoint.trim_end_matches('/');
    Ok(if matches!(uri.path(), "" | "/") {
        format!("{bare}{TRACES_PATH}")
    } else {
        endpoint.to_owned()
    })
}

/// The exporter's thread has no runtime: requests run on the control thread's.
#[derive(Debug)]
struct OtlpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl OtlpClient {
    fn new(runtime: Handle) -> Self {
        // The machine's own roots know private authorities; a scratch image has none, and then the bundled public ones
        // serve.
        let connector = match HttpsConnectorBuilder::new().with_native_roots() {
            Ok(builder) => builder,
            Err(error) => {
                tracing::debug!(%error, "no root certificates on this machine, the bundled ones are used");
                HttpsConnectorBuilder::new().with_webpki_roots()
            }
        };
        let connector = connector.https_or_http().enable_http1().build();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
        }
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let exchange = async move {
            let response = client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The timer belongs to the runtime too, so that it is made there.
        let exchange = self
            .runtime
            .spawn(async move { tokio::time::timeout(EXPORT_TIMEOUT, exchange).await? });
        Box::pin(async move { exchange.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_endpoint_gets_the_standard_path_and_a_whole_one_stays() {
        for (given, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
        ] {
            assert_eq!(traces_url(given).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused_by_name() {
        for wrong in ["collector:4318", "ftp://collector", "", "http://"] {
            assert!(traces_url(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }
}
