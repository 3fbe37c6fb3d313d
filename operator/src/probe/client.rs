//! One question to one pod.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokenweir_config::admin_token::{AdminKey, Scope};
use tokenweir_config::names::{ADMIN_PORT, STATUS_PATH};
use tokenweir_config::status::Status;
use tokio::time::timeout;

/// A pod answers from memory; one that takes longer counts as one that does not answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Connections to pods are kept this long, so that the rounds after one change share them.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A status report has some hundred bytes, and about as many for each provider.
const MAX_BYTES: usize = 1024 * 1024;

/// Why a pod's answer is not known.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// No connection, or one that broke.
    #[error("the pod cannot be reached: {0}")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// No answer in time.
    #[error("the pod did not answer within {} ms", TIMEOUT.as_millis())]
    Timeout,
    /// An answer other than a report.
    #[error("the pod answered {0}")]
    Refused(StatusCode),
    /// The request cannot be built.
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
    /// The body broke off or is too long.
    #[error("the answer cannot be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not a report.
    #[error("the answer is not a status report: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Asks gateway pods for their status over plain HTTP, with a token for just that.
#[derive(Clone)]
pub struct StatusClient {
    http: Client<HttpConnector, Empty<Bytes>>,
    port: u16,
}

impl Default for StatusClient {
    fn default() -> Self {
        Self::with_port(ADMIN_PORT)
    }
}

impl StatusClient {
    /// A client that asks on another port than that of gateway pods.
    pub fn with_port(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(TIMEOUT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_ALIVE)
            .build(connector);
        Self { http, port }
    }

    /// Asks the pod at `ip`. `now_unix` in seconds dates the token.
    pub async fn ask(&self, ip: IpAddr, key: &AdminKey, now_unix: i64) -> Result<Status, StatusError> {
        timeout(TIMEOUT, self.ask_unbounded(ip, key, now_unix))
            .await
            .map_err(|_| StatusError::Timeout)?
    }

    async fn ask_unbounded(&self, ip: IpAddr, key: &AdminKey, now_unix: i64) -> Result<Status, StatusError> {
        let token = key.mint(Scope::Status, now_unix);
        let request = Request::get(format!("http://{}{STATUS_PATH}", SocketAddr::new(ip, self.port)))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())?;
        let answer = self.http.request(request).await.map_err(StatusError::Connect)?;
        if answer.status() != StatusCode::OK {
            return Err(StatusError::Refused(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES)
            .collect()
            .await
            .map_err(StatusError::Body)?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }
}
