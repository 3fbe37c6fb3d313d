//! Access tokens: kept until they expire, and renewed by one task at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::Mutex;
use serde::Deserialize;
use tokenweir_config::service_account::{ServiceAccount, ServiceAccountError};
use tokenweir_llm::Pieces;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::upstream::{Place, Pools, Proxy, UpstreamBody, Way};

/// A token is renewed this long before it expires, while requests go on with it; one that lives for minutes after three
/// quarters of its time.
const RENEW: Duration = Duration::from_mins(5);
/// And not used any more this long before, or in the last tenth of its time: a request takes time to arrive.
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
    Assertion(#[from] ServiceAccountError),
    /// The address of the token server is no URL.
    #[error("the address of the token server is not a URL")]
    Address,
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

/// The tokens of one service account, shared by all workers.
pub struct Tokens {
    account: ServiceAccount,
    proxy: Option<Proxy>,
    state: Mutex<State>,
}

/// How a token server is asked, and what time it is.
#[derive(Clone)]
pub struct Asker {
    /// The connections of the worker that asks.
    pub pools: Arc<Pools>,
    /// The clock of the process.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asker")
    }
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
    /// From when a new one is asked for, by the monotonic clock.
    renew: Duration,
    /// Until when it is used.
    until: Duration,
}

impl Token {
    /// A token that was asked for at `began` and lives so long.
    fn new(header: HeaderValue, began: Duration, lifetime: Duration) -> Self {
        let expires = began.saturating_add(lifetime);
        Self {
            header,
            renew: expires.saturating_sub(RENEW.min(lifetime / 4)),
            until: expires.saturating_sub(MARGIN.min(lifetime / 10)),
        }
    }
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
    /// The tokens of an account, none yet. The token server is behind the same proxy as the provider.
    pub fn new(account: ServiceAccount, proxy: Option<Proxy>) -> Arc<Self> {
        Arc::new(Self {
            account,
            proxy,
            state: Mutex::default(),
        })
    }

    /// The value of `authorization` for a request that goes out now.
    ///
    /// Only a request that finds no valid token waits. All that wait share one exchange, which goes on if they leave.
    pub async fn bearer(self: &Arc<Self>, asker: &Asker) -> Result<HeaderValue, TokenError> {
        loop {
            match self.next(asker) {
                Next::Use(header) => return Ok(header),
                Next::Fail(error) => return Err(error),
                // Closed means over, whether or not the exchange came to its end.
                Next::Wait(mut running) => while running.changed().await.is_ok() {},
            }
        }
    }

    fn next(self: &Arc<Self>, asker: &Asker) -> Next {
        let now = asker.clock.monotonic();
        let mut state = self.state.lock();
        let usable = state
            .token
            .as_ref()
            .filter(|token| now < token.until)
            .map(|token| (token.header.clone(), now < token.renew));
        let failed = state.failed.as_ref().filter(|(_, until)| now < *until);
        match (usable, failed) {
            (Some((header, true)), _) | (Some((header, false)), Some(_)) => Next::Use(header),
            (None, Some((error, _))) => Next::Fail(error.clone()),
            (Some((header, false)), None) => {
                self.renew(&mut state, asker);
                Next::Use(header)
            }
            (None, None) => Next::Wait(self.renew(&mut state, asker)),
        }
    }

    /// Begins an exchange unless one runs.
    fn renew(self: &Arc<Self>, state: &mut State, asker: &Asker) -> watch::Receiver<()> {
        // The runtime of an exchange may have ended before it.
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return running.clone();
        }
        let (over, running) = watch::channel(());
        state.running = Some(running.clone());
        let (tokens, asker) = (Arc::clone(self), asker.clone());
        tokio::spawn(async move {
            let result = tokens.exchange(&asker).await;
            let now = asker.clock.monotonic();
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

    async fn exchange(&self, asker: &Asker) -> Result<Token, TokenError> {
        let began = asker.clock.monotonic();
        let assertion = self.account.assertion(asker.clock.unix())?;
        // The grant's colons are encoded; an assertion has only characters that need no encoding.
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let (status, body) = tokio::time::timeout(EXCHANGE, self.ask(form.into(), &asker.pools))
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
        Ok(Token::new(header, began, Duration::from_secs(granted.expires_in)))
    }

    /// Asks on a connection of its own: one that was kept since the last exchange, an hour ago, would be found dead.
    async fn ask(&self, form: Bytes, pools: &Arc<Pools>) -> Result<(StatusCode, Bytes), TokenError> {
        let unreachable = |error: &dyn std::error::Error| TokenError::Unreachable(chain(error));
        let uri: Uri = self.account.token_uri().parse().map_err(|_| TokenError::Address)?;
        let way = Way {
            proxy: self.proxy.clone(),
            ..Way::default()
        };
        let place = Place::of(&uri, way).ok_or(TokenError::Address)?;
        let lease = pools.lease_new(&place, EXCHANGE).await;
        let mut lease = lease.map_err(|error| unreachable(&error))?;
        let request = request(&uri, form, lease.is_http2()).ok_or(TokenError::Address)?;
        let response = lease.send(request).await;
        let response = response.map_err(|error| unreachable(&error.into_error()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok((status, body.map_err(|error| unreachable(&*error))?.to_bytes()))
    }
}

fn request(uri: &Uri, form: Bytes, http2: bool) -> Option<Request<UpstreamBody>> {
    let mut request = Request::new(UpstreamBody::from(Pieces::from(form)));
    *request.method_mut() = http::Method::POST;
    let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if http2 {
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.clone();
    } else {
        let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = uri.path_and_query()?.clone().into();
    }
    Some(request)
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
