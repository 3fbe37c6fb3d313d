//! A proxy that opens tunnels with `CONNECT`, for tests of what goes out through one.
//!
//! It logs and remembers which tunnels were asked for, and lets some lead elsewhere than they say, so that a name of the
//! public internet can stand for a simulator.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Tunnels that are remembered.
const REMEMBERED: usize = 1_000;
/// How long accepting rests after it failed, which it does when the process has no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long the other end of a tunnel may take to accept it.
const CONNECT: Duration = Duration::from_secs(10);

/// What a proxy is told.
#[derive(Debug, Clone, Default)]
pub struct ProxyConfig {
    /// `USER:PASSWORD` that clients must bring; `None`: nothing is asked for.
    pub credentials: Option<String>,
    /// Tunnels that lead elsewhere.
    pub connect_to: Vec<ConnectTo>,
}

/// A tunnel that leads elsewhere than it says: `HOST:PORT=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    from: String,
    to: String,
}

/// A text that names no two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write HOST:PORT=HOST:PORT: where a tunnel says that it leads, and where it does")]
pub struct NotAddresses;

impl FromStr for ConnectTo {
    type Err = NotAddresses;

    fn from_str(text: &str) -> Result<Self, NotAddresses> {
        let is_address = |text: &&str| {
            text.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let (from, to) = text.split_once('=').ok_or(NotAddresses)?;
        if ![from, to].iter().all(is_address) {
            return Err(NotAddresses);
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }
}

/// A tunnel that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    /// Where it was to lead: `HOST:PORT`.
    pub to: String,
    /// What was answered: 200, 407 without the right credentials, or 502 if nobody is there.
    pub status: u16,
}

/// The proxy.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<State>);

#[derive(Debug)]
struct State {
    /// The value of `proxy-authorization` that is asked for.
    authorization: Option<HeaderValue>,
    connect_to: Vec<ConnectTo>,
    tunnels: Mutex<VecDeque<Tunnel>>,
}

impl Proxy {
    /// A proxy that has not opened anything yet.
    pub fn new(config: ProxyConfig) -> Self {
        let authorization = config.credentials.map(|credentials| {
            let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials)));
            // Base64 is always a header's value; were it not, nobody would get in.
            value.unwrap_or(HeaderValue::from_static("Basic"))
        });
        Self(Arc::new(State {
            authorization,
            connect_to: config.connect_to,
            tunnels: Mutex::default(),
        }))
    }

    /// The last tunnels, the oldest first.
    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.0.tunnels.lock().iter().cloned().collect()
    }

    /// Serves until stopped, which cuts the tunnels that are open.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let served = self.clone().connection(stream, stop.clone());
                    tokio::spawn(stop.clone().run_until_cancelled_owned(served));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, stop: CancellationToken) {
        let service = service_fn(|request| {
            let (proxy, stop) = (self.clone(), stop.clone());
            async move { Ok::<_, Infallible>(proxy.answer(request, stop).await) }
        });
        let served = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection broke off");
        }
    }

    async fn answer(&self, request: Request<Incoming>, stop: CancellationToken) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::CONNECT, _) => {
                let Some(to) = request.uri().authority().map(ToString::to_string) else {
                    return text(StatusCode::BAD_REQUEST, "a tunnel leads to HOST:PORT");
                };
                let answer = self.open(&to, request, stop).await;
                let status = answer.status().as_u16();
                tracing::info!(to, status, "a tunnel was asked for");
                self.remember(Tunnel { to, status });
                answer
            }
            (&Method::GET, "/livez" | "/readyz") => text(StatusCode::OK, "ok"),
            (&Method::GET, "/sim/tunnels") => match serde_json::to_vec(&self.tunnels()) {
                Ok(json) => Response::new(Full::from(json)),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            _ => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "this proxy opens tunnels (CONNECT); known besides are /livez, /readyz and /sim/tunnels",
            ),
        }
    }

    async fn open(&self, to: &str, request: Request<Incoming>, stop: CancellationToken) -> Response<Full<Bytes>> {
        if !self.lets_in(request.headers()) {
            let mut answer = text(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "the credentials are wrong");
            let basic = HeaderValue::from_static("Basic realm=\"tokenweir-sim\"");
            answer.headers_mut().insert(header::PROXY_AUTHENTICATE, basic);
            return answer;
        }
        let elsewhere = self.0.connect_to.iter().find(|entry| entry.from == to);
        let address = elsewhere.map_or(to, |entry| &entry.to).to_owned();
        let mut onward = match tokio::time::timeout(CONNECT, TcpStream::connect(&address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return text(StatusCode::BAD_GATEWAY, &error.to_string()),
            Err(_) => return text(StatusCode::BAD_GATEWAY, "nobody answered in time"),
        };
        let to = to.to_owned();
        let tunnel = async move {
            match hyper::upgrade::on(request).await {
                Ok(upgraded) => {
                    let passed = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut onward).await;
                    let (sent, received) = passed.unwrap_or_default();
                    tracing::info!(to, sent, received, "a tunnel has ended");
                }
                Err(error) => tracing::debug!(%error, "the client left before its tunnel was open"),
            }
        };
        tokio::spawn(stop.run_until_cancelled_owned(tunnel));
        Response::default()
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let wanted = self.0.authorization.as_ref();
        wanted.is_none_or(|wanted| headers.get(header::PROXY_AUTHORIZATION) == Some(wanted))
    }

    fn remember(&self, tunnel: Tunnel) {
        let mut tunnels = self.0.tunnels.lock();
        if tunnels.len() == REMEMBERED {
            tunnels.pop_front();
        }
        tunnels.push_back(tunnel);
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{text}\n")));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_leads_elsewhere_is_two_addresses() {
        let entry: ConnectTo = "models.example.com:443=sim:8443".parse().unwrap();
        assert_eq!(
            (entry.from.as_str(), entry.to.as_str()),
            ("models.example.com:443", "sim:8443")
        );
        for wrong in ["", "a:1", "a:1=", "a:1=b", "a=b:1", ":1=b:1", "a:1=b:70000"] {
            assert_eq!(wrong.parse::<ConnectTo>(), Err(NotAddresses), "{wrong}");
        }
    }
}
