//! The telemetry port: probes, metrics, and the drain request of the pod's own preStop hook.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use tokenweir_config::status::Phase;

use crate::answer;
use crate::drain::Drain;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::net::{Body, Connection, Handler};
use crate::state::State;

/// Path that `tokenweir-gateway drain` posts to.
pub const DRAIN_PATH: &str = "/drain";

/// Answers the telemetry port.
pub struct Telemetry {
    /// What is served.
    pub state: Arc<State>,
    /// Phase of the process.
    pub drain: Drain,
    /// How long the lame duck phase takes.
    pub lame_duck: Duration,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// The body of `/readyz`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

/// One thing that must be so before requests may come.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    ready: bool,
    /// What is missing; empty when nothing is.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
}

fn readiness(state: &State, phase: Phase) -> Readiness {
    let check = |name, ready: bool, reason| Check {
        name,
        ready,
        reason: if ready { "" } else { reason },
    };
    let checks = vec![
        check(
            "configuration",
            state.serving().is_some(),
            "no configuration has arrived yet",
        ),
        check("listeners", state.listening(), "the data port is not open yet"),
        check("serving", phase == Phase::Serving, "the gateway is about to end"),
    ];
    Readiness {
        ready: checks.iter().all(|check| check.ready),
        checks,
    }
}

impl Handler for Telemetry {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, connection: Connection) -> Response<Body> {
        let path = request.uri().path();
        let method = if path == DRAIN_PATH { Method::POST } else { Method::GET };
        if request.method() != method && matches!(path, "/livez" | "/readyz" | "/metrics" | DRAIN_PATH) {
            return answer::only(&method);
        }
        match path {
            // This runs on the control thread: an answer says that it lives.
            "/livez" => answer::text(StatusCode::OK, "ok"),
            "/readyz" => {
                let readiness = readiness(&self.state, self.drain.phase());
                let status = if readiness.ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                answer::json(status, &readiness)
            }
            "/metrics" => match self.metrics.text() {
                Ok(text) => answer::full(StatusCode::OK, CONTENT_TYPE, text),
                Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            // Other pods must not be able to end this one.
            DRAIN_PATH if !connection.peer.ip().to_canonical().is_loopback() => {
                answer::text(StatusCode::FORBIDDEN, "only the pod itself may ask for this")
            }
            DRAIN_PATH => {
                tracing::info!("lame duck requested");
                self.drain.lame_duck(self.lame_duck).await;
                answer::text(StatusCode::OK, "the lame duck phase is over")
            }
            _ => answer::not_found(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenweir_config::status::{Serving, Source};

    use super::*;

    fn missing(state: &State, phase: Phase) -> Vec<&'static str> {
        let readiness = readiness(state, phase);
        let missing: Vec<_> = readiness
            .checks
            .iter()
            .filter(|check| !check.ready)
            .map(|check| check.name)
            .collect();
        assert_eq!(readiness.ready, missing.is_empty());
        missing
    }

    #[test]
    fn a_gateway_is_ready_once_it_has_a_configuration_and_sockets_and_until_it_drains() {
        let state = State::new("edge-0".into(), 0);
        assert_eq!(missing(&state, Phase::Serving), ["configuration", "listeners"]);
        let serving = Serving {
            generation: 1,
            digest: String::new(),
            source: Source::Disk,
            since_unix_ms: 0,
        };
        state.accept(serving, None);
        assert_eq!(missing(&state, Phase::Serving), ["listeners"]);
        state.set_listening();
        assert!(missing(&state, Phase::Serving).is_empty());
        assert_eq!(missing(&state, Phase::LameDuck), ["serving"]);
    }
}
