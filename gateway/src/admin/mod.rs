//! The admin port: what this process serves, and its live signals, for callers that hold a token.

mod frames;
mod routes;
mod stream;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokenweir_config::admin_token::{Denied, Scope};
use tokenweir_config::names::{SIGNALS_PATH, STATUS_PATH};
use tokenweir_config::status::Status;
use tokio::time::Instant;

use crate::answer;
use crate::clock::Clock;
use crate::drain::Drain;
use crate::endpoints::EndpointTable;
use crate::health::report;
use crate::meter::MeterHub;
use crate::net::{Body, Connection, Handler};
use crate::state::State;
pub use stream::Signals;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Who holds a token of this gateway; nobody before there is a configuration.
    Token,
    /// Everybody who reaches the port: file mode, on loopback.
    Open,
}

/// Answers the admin port.
pub struct Admin {
    /// Who may call.
    pub access: Access,
    /// What is served.
    pub state: Arc<State>,
    /// Phase of the process.
    pub drain: Drain,
    /// Requests right now.
    pub meter: Arc<MeterHub>,
    /// The addresses behind Services.
    pub endpoints: Arc<EndpointTable>,
    /// Live signals.
    pub signals: Arc<Signals>,
    /// Time for tokens.
    pub clock: Arc<dyn Clock>,
}

impl Admin {
    fn check(&self, headers: &HeaderMap, needed: Scope) -> Result<(), Denied> {
        if self.access == Access::Open {
            return Ok(());
        }
        let key = self.state.admin_key().ok_or(Denied::Unauthenticated)?;
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(Denied::Unauthenticated)?;
        let now = i64::try_from(self.clock.unix().as_secs()).unwrap_or(i64::MAX);
        key.verify(token, needed, now)
    }

    fn status(&self, with_routes: bool) -> Status {
        let totals = self.meter.load();
        let plan = self.state.plan();
        let routes = plan.as_ref().filter(|_| with_routes);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pod: self.state.pod.clone(),
            serving: self.state.serving().as_deref().cloned(),
            rejected: self.state.rejected().as_deref().cloned(),
            phase: self.drain.phase(),
            in_flight: totals.in_flight,
            queue_depth: totals.queue_depth,
            started_unix_ms: self.state.started_unix_ms,
            routes: routes.map_or_else(Vec::new, |plan| routes::report(plan, &self.meter.load_by_route())),
            providers: plan.map_or_else(Vec::new, |plan| {
                report(&plan, &self.endpoints, Instant::now(), self.clock.unix_ms())
            }),
        }
    }
}

impl Handler for Admin {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, connection: Connection) -> Response<Body> {
        let needed = match request.uri().path() {
            STATUS_PATH => Scope::Status,
            SIGNALS_PATH => Scope::Signals,
            _ => return answer::not_found(),
        };
        if let Err(denied) = self.check(request.headers(), needed) {
            return answer::denied(denied);
        }
        if request.method() != Method::GET {
            return answer::only(&Method::GET);
        }
        match needed {
            Scope::Status => {
                let query = request.uri().query().unwrap_or_default();
                let with_routes = form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k == "with" && v == "routes");
                answer::json(StatusCode::OK, &self.status(with_routes))
            }
            Scope::Signals => self.signals.subscribe(connection.cut),
        }
    }
}
