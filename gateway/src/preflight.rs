//! The commands that serve nothing: checking a configuration, and asking a running gateway to drain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokenweir_crds::file::{KeyStore, Loaded};
use tokio::net::TcpStream;

use crate::app::AppError;
use crate::cli::ServeArgs;
use crate::plan::Plan;
use crate::source::files::Folder;
use crate::telemetry::DRAIN_PATH;

/// How long a gateway may take to answer that it is lame, beyond the lame duck phase itself, which is its own business.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(2);
/// What its answer may have.
const MAX_ANSWER: usize = 4 * 1024;

/// Why a running gateway could not be asked to drain.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// No connection.
    #[error("no gateway answers at {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the gateway broke off: {0}")]
    Http(#[from] hyper::Error),
    /// It said no.
    #[error("the gateway answered {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// It said nothing.
    #[error("the gateway did not answer within {} s", DRAIN_TIMEOUT.as_secs())]
    Silent,
}

/// Asks the gateway at this telemetry address to drain, and returns at the end of its lame duck phase.
pub async fn drain(address: SocketAddr) -> Result<(), AppError> {
    match tokio::time::timeout(DRAIN_TIMEOUT, request_drain(address)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DrainError::Silent.into()),
    }
}

async fn request_drain(address: SocketAddr) -> Result<(), DrainError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| DrainError::Connect { address, source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::post(DRAIN_PATH)
        .body(Empty::<Bytes>::new())
        .unwrap_or_default();
    if let Ok(host) = address.to_string().parse() {
        request.headers_mut().insert(http::header::HOST, host);
    }
    let response = sender.send_request(request).await?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body
        .map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned())
        .unwrap_or_default();
    Err(DrainError::Refused {
        status: status.as_u16(),
        body,
    })
}

/// Loads and compiles the configuration, says so, and leaves no trace.
pub fn check(args: &ServeArgs) -> Result<(), AppError> {
    let path = args.config.clone().unwrap_or_default();
    // Keys that are missing would be made; a check leaves the real store alone.
    let scratch = tempfile::tempdir().map_err(AppError::Scratch)?;
    let loaded = load(&path, args, scratch.path())?;
    Plan::build(&loaded.snapshot, None).map_err(|error| AppError::Configuration(error.to_string()))?;
    let mut out = std::io::stdout();
    for note in &loaded.notes {
        // Whoever closed standard output does not want to read it.
        let _ = writeln!(out, "note: {note}");
    }
    let snapshot = &loaded.snapshot;
    let _ = writeln!(
        out,
        "{}: the configuration of gateway {}/{} is right: {} routes, {} providers, {} tenants in {} files",
        path.display(),
        snapshot.gateway.namespace,
        snapshot.gateway.name,
        snapshot.routes.len(),
        snapshot.providers.len(),
        snapshot.tenants.len(),
        loaded.files.len(),
    );
    Ok(())
}

fn load(path: &Path, args: &ServeArgs, state: &Path) -> Result<Loaded, AppError> {
    let folder = Folder {
        path: path.to_owned(),
        gateway: args.gateway.clone(),
        keys: KeyStore::open(state)?,
        port: args.listen.and_then(|listen| listen.port),
    };
    folder.load(1).map_err(AppError::Files)
}
