//! From a request to its answer: who asks, whether they may, what they get.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::respond::{self, Answered};
use crate::auth::{Auth, PeerCertificates};
use crate::clock::SharedClock;
use crate::discovery::{Discovery, Form, Found};
use crate::metrics_api::MetricsService;
use crate::metrics_api::service::{Answer, CustomQuery, ExternalQuery};
use crate::readiness::Readiness;
use crate::status::{self, Failure};
use crate::target::{Health, Target};
use crate::telemetry::Telemetry;

/// The content type of the OpenMetrics text form.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers requests.
#[derive(Debug)]
pub struct Handler {
    /// Who asks, and whether they may.
    pub auth: Auth,
    /// What is served.
    pub discovery: Discovery,
    /// Values.
    pub metrics: MetricsService,
    /// Whether this replica should be asked.
    pub readiness: Arc<Readiness>,
    /// Own metrics.
    pub telemetry: Arc<Telemetry>,
    /// Time.
    pub clock: SharedClock,
}

impl Handler {
    /// Answers a request on a connection whose client showed `peer`.
    pub async fn handle(&self, request: Request<Incoming>, peer: &PeerCertificates) -> Answered {
        let begun = self.clock.now().mono;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let target = Target::parse(uri.path());
        let answer = match self.admit(&target, method, uri, headers, peer).await {
            Ok(()) => self.answer(&target, uri, headers),
            Err(failure) => Err(failure),
        };
        let response = answer.unwrap_or_else(|failure| respond::failure(&failure));
        let took = self.clock.now().mono.saturating_sub(begun);
        self.telemetry
            .answered(target.family(), response.status().as_u16(), took);
        tracing::debug!(%method, %uri, code = response.status().as_u16(), ?took, "answered");
        response
    }

    /// Finds out who asks and whether they may.
    async fn admit(
        &self,
        target: &Target,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: &PeerCertificates,
    ) -> Result<(), Failure> {
        let user = self.auth.authenticate(headers, peer).await?;
        self.auth.authorize(&user, target, method, uri.path()).await?;
        if matches!(*method, Method::GET | Method::HEAD) {
            Ok(())
        } else {
            Err(status::method_not_allowed(method.as_str()))
        }
    }

    fn answer(&self, target: &Target, uri: &Uri, headers: &HeaderMap) -> Result<Answered, Failure> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        match target {
            Target::Health(health) => Ok(self.health(*health, uri)),
            Target::OwnMetrics => match self.telemetry.text() {
                Ok(text) => Ok(respond::body(StatusCode::OK, OPEN_METRICS, text)),
                Err(_) => Err(status::internal("the metrics cannot be written")),
            },
            Target::Custom {
                version,
                namespace,
                resource,
                name,
                metric,
            } => {
                if namespace.is_empty() {
                    return Err(not_found_for(metric, &format!("{resource} {name}")));
                }
                let query = query(uri);
                let answer = self.metrics.custom(
                    &CustomQuery {
                        version: *version,
                        namespace,
                        resource,
                        name,
                        metric,
                        label_selector: parameter(&query, "labelSelector"),
                        metric_selector: parameter(&query, "metricLabelSelector"),
                    },
                    self.clock.now(),
                );
                answer
                    .map(|answer| self.values(answer))
                    .map_err(|error| error.failure())
            }
            Target::External { namespace, metric } => {
                let query = query(uri);
                let label_selector = parameter(&query, "labelSelector");
                let answer = self.metrics.external(
                    &ExternalQuery {
                        namespace,
                        metric,
                        label_selector,
                    },
                    self.clock.now(),
                );
                answer
                    .map(|answer| self.values(answer))
                    .map_err(|error| error.failure())
            }
            Target::NamespaceMetric { namespace, metric, .. } => {
                Err(not_found_for(metric, &format!("namespaces {namespace}")))
            }
            other => {
                let accept = headers
                    .get_all(header::ACCEPT)
                    .iter()
                    .filter_map(|value| value.to_str().ok());
                let accept = accept.collect::<Vec<_>>().join(",");
                match self
                    .discovery
                    .find(other, Some(accept.as_str()).filter(|accept| !accept.is_empty()))
                {
                    Found::Document(document) => Ok(respond::document(document, text(header::IF_NONE_MATCH))),
                    Found::NotAcceptable => Err(status::not_acceptable(&[
                        Form::Plain.content_type(),
                        Form::V2.content_type(),
                        Form::V2Beta1.content_type(),
                    ])),
                    Found::Missing => Err(status::not_found("the server could not find the requested resource")),
                }
            }
        }
    }

    fn values(&self, answer: Answer) -> Answered {
        self.telemetry.handed_out(&answer.ages);
        respond::body(StatusCode::OK, "application/json", answer.body)
    }

    /// `ok`, or with `?verbose` or a failure each check in the form that API servers use.
    fn health(&self, health: Health, uri: &Uri) -> Answered {
        const TEXT: &str = "text/plain; charset=utf-8";
        let (name, checks) = match health {
            Health::Live => ("livez", vec![("ping", true)]),
            Health::Ready => ("readyz", self.readiness.checks(self.clock.now()).to_vec()),
        };
        let healthy = checks.iter().all(|(_, good)| *good);
        if healthy && !query(uri).contains_key("verbose") {
            return respond::body(StatusCode::OK, TEXT, "ok");
        }
        let mut text = String::new();
        for (check, good) in &checks {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "[{}]{check} {}",
                if *good { '+' } else { '-' },
                if *good { "ok" } else { "failed" }
            );
        }
        let _ = write!(text, "{name} check {}", if healthy { "passed" } else { "failed" });
        respond::body(
            if healthy {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            },
            TEXT,
            text,
        )
    }
}

fn not_found_for(metric: &str, object: &str) -> Failure {
    status::not_found(&format!("the server could not find the metric {metric} for {object}"))
}

type Query = HashMap<String, String>;

/// The query's parameters; of several with one name the first counts.
fn query(uri: &Uri) -> Query {
    let mut query = Query::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        query.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    query
}

fn parameter<'a>(query: &'a Query, name: &str) -> &'a str {
    query.get(name).map_or("", String::as_str)
}
