//! HTTP/1.1 over whatever carries bytes: a connection, or a port of a pod behind the API server.

pub mod tls;

use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

pub use tls::TlsError;

use crate::cluster::chain;

/// Bytes both ways.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// Bytes both ways, from wherever.
pub type Stream = Box<dyn Carrier>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection broke.
    #[error("the connection broke: {}", chain(.0))]
    Broken(#[from] hyper::Error),
    /// The request cannot be built.
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
    /// The body broke off or is too long.
    #[error("the answer cannot be read: {0}")]
    Body(#[source] Box<dyn Error + Send + Sync>),
}

/// Sends a request, with a path alone as its URI, and returns the head of the answer.
///
/// The connection lives as long as the answer's body, and serves nothing else.
pub async fn send(
    stream: Stream,
    host: &str,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, HttpError> {
    let host = HeaderValue::try_from(host).map_err(http::Error::from)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tokenweirctl/", env!("CARGO_PKG_VERSION"))),
    );
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the answer is over or dropped; what goes wrong is an error of the answer, too.
    let connection = tokio::spawn(connection);
    let error = match sender.send_request(request).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    // A connection that broke before the request was on its way keeps the reason for itself.
    drop(sender);
    match connection.await {
        Ok(Err(reason)) => Err(reason.into()),
        _ => Err(error.into()),
    }
}

/// The whole body, up to a limit.
pub async fn body(answer: Response<Incoming>, limit: usize) -> Result<Bytes, HttpError> {
    let collected = Limited::new(answer.into_body(), limit).collect().await;
    Ok(collected.map_err(HttpError::Body)?.to_bytes())
}

/// A request for a path, with a token if there is one.
pub fn get(path: &str, token: Option<&str>) -> Result<Request<Full<Bytes>>, HttpError> {
    let mut request = Request::get(path).body(Full::default())?;
    if let Some(token) = token {
        request
            .headers_mut()
            .insert(AUTHORIZATION, secret(&format!("Bearer {token}"))?);
    }
    Ok(request)
}

/// A value of a header that no log shows.
pub fn secret(text: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::try_from(text).map_err(http::Error::from)?;
    value.set_sensitive(true);
    Ok(value)
}
