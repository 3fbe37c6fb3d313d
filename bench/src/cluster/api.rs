//! The Kubernetes API through `kubectl proxy`, which brings the user's own context and credentials.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::BenchError;

/// A connection to the API server.
#[derive(Debug)]
pub struct Api {
    kubectl: PathBuf,
    proxy: Child,
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Api {
    /// Starts `kubectl proxy` on a free loopback port.
    pub async fn connect(kubectl: &Path) -> Result<Self, BenchError> {
        let mut proxy = Command::new(kubectl)
            .args(["proxy", "--port=0", "--address=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| BenchError::Start {
                program: kubectl.into(),
                source,
            })?;
        let mut line = String::new();
        if let Some(stdout) = proxy.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        // Starting to serve on 127.0.0.1:PORT
        let address = line.rsplit(' ').next().and_then(|word| word.trim().parse().ok());
        let connected = match address {
            Some(address) => open(address).await.map(|sender| (address, sender)),
            None => Err(BenchError::Silent {
                what: "kubectl proxy".into(),
                reason: format!("it said {line:?}"),
            }),
        };
        match connected {
            Ok((address, sender)) => Ok(Self {
                kubectl: kubectl.into(),
                proxy,
                address,
                sender,
            }),
            Err(error) => {
                end(&mut proxy);
                Err(error)
            }
        }
    }

    /// Asks for an object or a list.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Value), BenchError> {
        ask(&mut self.sender, self.address, Method::GET, path, None).await
    }

    /// Changes an object by a merge patch.
    pub async fn patch(&mut self, path: &str, change: &Value) -> Result<(StatusCode, Value), BenchError> {
        ask(&mut self.sender, self.address, Method::PATCH, path, Some(change)).await
    }

    /// Runs kubectl with input, for what it does better than plain requests.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<(), BenchError> {
        use std::io::Write;
        let failed = |source| BenchError::Start {
            program: self.kubectl.clone(),
            source,
        };
        let mut child = Command::new(&self.kubectl)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(BenchError::Silent {
            what: format!("kubectl {}", arguments.join(" ")),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        end(&mut self.proxy);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself; then there is nothing to end.
    let _ = child.kill();
    let _ = child.wait();
}

async fn open(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, BenchError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to kubectl proxy broke off");
        }
    });
    Ok(sender)
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), BenchError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/merge-patch+json")
        .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
        .map_err(std::io::Error::other)?;
    sender.ready().await.map_err(std::io::Error::other)?;
    let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
