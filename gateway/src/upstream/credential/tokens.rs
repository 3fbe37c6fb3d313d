//! Access tokens: kept until they expire, and renewed by one task at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::watch;

use super::google::ServiceAccount;
use crate::clock::Clock;

/// A token is renewed this long before it expires, while requests go on with it.
const RENEW: Duration = Duration::from_mins(5);
/// And not used any more this long before: a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(30);
/// How long an exchange may take.
const EXCHANGE: Duration = Duration::from_secs(10);
/// After a failure no exchange is tried for this long, so that a token server that is down is not asked by every request.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// What a token server may answer with.
const MAX_ANSWER: usize = 64 * 1024;
/// How much of its words an error repeats.
const WORDS: usize = 200;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The assertion could not be made.
    #[error("no assertion for the token server: {0}")]
    Assertion(#[from] super::google::KeyError),
    /// The token server was not reached, or broke off.
    #[error("the token server cannot be asked: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the token server did not answer in time")]
    Timeout,
    /// It refused.
    #[error("the token server refuses with status {status}: {words}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        words: String,
    },
    /// Its answer has no token.
    #[error("the token server's answer has no token")]
    Malformed,
}

/// The tokens of one service account.
pub struct Tokens {
    account: ServiceAccount,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Never locked across an await.
#[derive(Default)]
struct State {
    token: Option<Token>,
    /// The last failure, and until when it stands.
    failed: Option<(TokenError, Duration)>,
    /// Closes when the exchange that runs is over.
    running: Option<watch::Receiver<()>>,
}

struct Token {
    /// `Bearer TOKEN`, sensitive.
    header: HeaderValue,
    /// By the monotonic clock.
    expires: Duration,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

/// What to do for a request.
enum Next {
    Use(HeaderValue),
    Fail(TokenError),
    Wait(watch::Receiver<()>),
}

impl Tokens {
    /// The tokens of an account, none yet. Token servers are trusted as `tls` says.
    pub fn new(account: ServiceAccount, tls: &ClientConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut tls = tls.clone();
        // The connector sets what it speaks by itself.
        tls.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Arc::new(Self {
            account,
            // One exchange an hour: a connection that is kept would only be found dead, on another thread's runtime.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            clock,
            state: Mutex::default(),
        })
    }

    /// The value of `authorization` for a request that goes out now.
    ///
    /// Only a request that finds no valid token waits. All that wait share one exchange, which goes on if they leave.
    pub async fn bearer(self: &Arc<Self>) -> Result<HeaderValue, TokenError> {
        loop {
            match self.next() {
                Next::Use(header) => return Ok(header),
                Next::Fail(error) => return Err(error),
                // Closed means over, whether or not the exchange came to its end.
                Next::Wait(mut running) => while running.changed().await.is_ok() {},
            }
        }
    }

    fn next(self: &Arc<Self>) -> Next {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let left = |token: &Token| token.expires.saturating_sub(now);
        let usable = state
            .token
            .as_ref()
            .filter(|token| left(token) > MARGIN)
            .map(|token| (token.header.clone(), left(token) > RENEW));
        let failed = state.failed.as_ref().filter(|(_, until)| now < *until);
        match (usable, failed) {
            (Some((header, true)), _) | (Some((header, false)), Some(_)) => Next::Use(header),
            (None, Some((error, _))) => Next::Fail(error.clone()),
            (Some((header, false)), None) => {
                self.renew(&mut state);
                Next::Use(header)
            }
            (None, None) => Next::Wait(self.renew(&mut state)),
        }
    }

    /// Begins an exchange unless one runs.
    fn renew(self: &Arc<Self>, state: &mut State) -> watch::Receiver<()> {
        // The runtime of an exchange may have ended before it.
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return running.clone();
        }
        let (over, running) = watch::channel(());
        state.running = Some(running.clone());
        let tokens = Arc::clone(self);
        tokio::spawn(async move {
            let result = tokens.exchange().await;
            let now = tokens.clock.monotonic();
            let mut state = tokens.state.lock();
            match result {
                Ok(token) => {
                    state.token = Some(token);
                    state.failed = None;
                }
                Err(error) => {
                    tracing::warn!(%error, account = ?tokens.account, "no access token");
                    state.failed = Some((error, now + AFTER_FAILURE));
                }
            }
            state.running = None;
            drop(state);
            drop(over);
        });
        running
    }

    async fn exchange(&self) -> Result<Token, TokenError> {
        let began = self.clock.monotonic();
        let assertion = self.account.assertion(self.clock.unix())?;
        // The grant's colons are encoded; an assertion has only characters that need no encoding.
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let mut request = Request::new(Full::new(Bytes::from(form)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.account.token_uri().clone();
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        let (status, body) = tokio::time::timeout(EXCHANGE, self.ask(request))
            .await
            .map_err(|_| TokenError::Timeout)??;
        if !status.is_success() {
            let words = String::from_utf8_lossy(&body).chars().take(WORDS).collect();
            let status = status.as_u16();
            return Err(TokenError::Refused { status, words });
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| TokenError::Malformed)?;
        let mut header =
            HeaderValue::from_str(&format!("Bearer {}", granted.access_token)).map_err(|_| TokenError::Malformed)?;
        header.set_sensitive(true);
        Ok(Token {
            header,
            expires: began + Duration::from_secs(granted.expires_in),
        })
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), TokenError> {
        let unreachable = |error: &dyn std::error::Error| TokenError::Unreachable(chain(error));
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok((status, body.map_err(|error| unreachable(&*error))?.to_bytes()))
    }
}

/// An error with its causes: the outermost one of a client only says that it could not connect.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
