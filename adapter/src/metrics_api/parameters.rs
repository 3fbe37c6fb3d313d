//! What the labels of a metric selector mean: they choose the window or quantile of a value and what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::core::{Expression, Selector};
use tokenweir_signals::{Rates, Scope};

use super::{Metric, QueryError};

/// Every label that is understood, for messages.
const KNOWN: &str = "window, quantile, gateway, route, tenant, pod, max-age";

/// The window of a rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Window {
    /// The last second.
    S1,
    /// The last ten seconds.
    #[default]
    S10,
    /// The last minute.
    S60,
}

impl Window {
    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::S1 => 1,
            Self::S10 => 10,
            Self::S60 => 60,
        }
    }

    /// The rate over this window.
    pub fn of(self, rates: Rates) -> f64 {
        match self {
            Self::S1 => rates.s1,
            Self::S10 => rates.s10,
            Self::S60 => rates.s60,
        }
    }
}

/// The quantile of a duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// Nine in ten requests were faster.
    P90,
    /// 19 in 20.
    #[default]
    P95,
    /// 99 in 100.
    P99,
}

impl Quantile {
    /// As a share.
    pub fn value(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
        }
    }
}

/// A query's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Window of a rate.
    pub window: Window,
    /// Quantile of a duration.
    pub quantile: Quantile,
    /// Values older than this are not used.
    pub max_age: Duration,
    /// Only pods of this gateway.
    pub gateway: Option<String>,
    /// Only this pod.
    pub pod: Option<String>,
    /// What the value is about: the whole pod, a route or a tenant.
    pub scope: Scope,
    /// The labels as given, to echo.
    pub given: BTreeMap<String, String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window: Window::default(),
            quantile: Quantile::default(),
            max_age: Duration::from_secs(5),
            gateway: None,
            pod: None,
            scope: Scope::pod(),
            given: BTreeMap::new(),
        }
    }
}

impl Parameters {
    /// Reads a metric selector. `max_age` holds where the selector does not say.
    pub fn from_selector(metric: Metric, selector: Selector, max_age: Duration) -> Result<Self, QueryError> {
        let mut parameters = Self {
            max_age,
            ..Self::default()
        };
        for expression in selector {
            let (label, value) = equality(expression)?;
            if parameters.given.get(&label).is_some_and(|earlier| *earlier != value) {
                return Err(bad(format!("the label {label} is given twice with different values")));
            }
            parameters.set(metric, &label, &value)?;
            parameters.given.insert(label, value);
        }
        Ok(parameters)
    }

    /// Narrows the query to an object, which its labels must not contradict.
    pub fn with_object(mut self, resource: &str, label: &str, name: &str) -> Result<Self, QueryError> {
        match self.given.get(label) {
            Some(given) if given != name => Err(bad(format!(
                "the label {label}={given} contradicts the object {resource}/{name}"
            ))),
            Some(_) => Ok(self),
            None => {
                self.narrow(label, name)?;
                Ok(self)
            }
        }
    }

    fn set(&mut self, metric: Metric, label: &str, value: &str) -> Result<(), QueryError> {
        match label {
            "window" if metric.is_rate() => {
                self.window = match value {
                    "1s" => Window::S1,
                    "10s" => Window::S10,
                    "60s" => Window::S60,
                    _ => return Err(bad(format!("the label window is {value:?}: it must be 1s, 10s or 60s"))),
                };
            }
            "window" => {
                return Err(bad(
                    "the label window applies to token_rate and request_rate alone".into()
                ));
            }
            "quantile" if metric.is_quantile() => {
                self.quantile = match value {
                    "0.5" => Quantile::P50,
                    "0.9" => Quantile::P90,
                    "0.95" => Quantile::P95,
                    "0.99" => Quantile::P99,
                    _ => {
                        return Err(bad(format!(
                            "the label quantile is {value:?}: it must be 0.5, 0.9, 0.95 or 0.99"
                        )));
                    }
                };
            }
            "quantile" => return Err(bad("the label quantile applies to queue_wait and ttft alone".into())),
            "max-age" => {
                self.max_age = parse_max_age(value).ok_or_else(|| {
                    bad(format!(
                        "the label max-age is {value:?}: it must be a duration above zero such as 5s or 500ms"
                    ))
                })?;
            }
            _ => self.narrow(label, value)?,
        }
        Ok(())
    }

    fn narrow(&mut self, label: &str, value: &str) -> Result<(), QueryError> {
        if value.is_empty() {
            return Err(bad(format!("the label {label} is empty")));
        }
        match label {
            "gateway" => self.gateway = Some(value.to_owned()),
            "pod" => self.pod = Some(value.to_owned()),
            "route" | "tenant" => {
                if self.scope != Scope::pod() {
                    return Err(bad(
                        "route and tenant exclude each other: values are counted for either".into(),
                    ));
                }
                self.scope = if label == "route" {
                    Scope::route(value)
                } else {
                    Scope::tenant(value)
                };
            }
            _ => return Err(bad(format!("the label {label:?} is unknown; known are {KNOWN}"))),
        }
        Ok(())
    }
}

/// Parses a duration above zero, such as `5s`, `1m30s` or `500ms`, in the same form as the fields of our kinds.
pub fn parse_max_age(text: &str) -> Option<Duration> {
    let duration = text.parse::<tokenweir_crds::Duration>().ok()?.to_std();
    (!duration.is_zero()).then_some(duration)
}

/// A metric selector chooses one value for a label: `label=value`, or `label in (value)`.
fn equality(expression: Expression) -> Result<(String, String), QueryError> {
    match expression {
        Expression::Equal(label, value) => Ok((label, value)),
        Expression::In(label, values) if values.len() == 1 => Ok((label, values.into_iter().collect())),
        other => Err(bad(format!(
            "the metric selector \"{other}\" is not understood: write label=value; known labels are {KNOWN}"
        ))),
    }
}

fn bad(message: String) -> QueryError {
    QueryError::BadRequest(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics_api::selector;

    fn read(metric: Metric, text: &str) -> Result<Parameters, QueryError> {
        Parameters::from_selector(metric, selector::parse(text).unwrap(), Duration::from_secs(5))
    }

    #[test]
    fn labels_choose_window_quantile_age_and_scope() {
        let rate = read(
            Metric::TokenRate,
            "window=60s,gateway=edge,tenant in (acme),max-age=1500ms",
        )
        .unwrap();
        assert_eq!(rate.window, Window::S60);
        assert_eq!(rate.gateway.as_deref(), Some("edge"));
        assert_eq!(rate.scope, Scope::tenant("acme"));
        assert_eq!(rate.max_age, Duration::from_millis(1_500));
        let wait = read(Metric::QueueWait, "quantile=0.99,route==chat").unwrap();
        assert_eq!(wait.quantile, Quantile::P99);
        assert_eq!(wait.scope, Scope::route("chat"));
        assert_eq!(wait.max_age, Duration::from_secs(5));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is() {
        for (metric, text, says) in [
            (Metric::TokenRate, "window=5s", "1s, 10s or 60s"),
            (Metric::QueueDepth, "window=10s", "token_rate and request_rate"),
            (Metric::Ttft, "quantile=0.42", "0.5, 0.9, 0.95 or 0.99"),
            (Metric::InFlight, "quantile=0.5", "queue_wait and ttft"),
            (Metric::InFlight, "colour=red", "known are window, quantile, gateway"),
            (Metric::InFlight, "tenant!=acme", "write label=value"),
            (Metric::InFlight, "tenant in (a,b)", "write label=value"),
            (Metric::InFlight, "tenant", "write label=value"),
            (Metric::InFlight, "tenant=a,route=b", "exclude each other"),
            (Metric::InFlight, "tenant=a,tenant=b", "given twice"),
            (Metric::InFlight, "tenant=", "is empty"),
            (Metric::InFlight, "max-age=0s", "above zero"),
            (Metric::InFlight, "max-age=soon", "such as 5s"),
        ] {
            let error = read(metric, text).unwrap_err();
            assert!(
                matches!(&error, QueryError::BadRequest(message) if message.contains(says)),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn an_object_narrows_and_may_not_be_contradicted() {
        let parameters = || read(Metric::InFlight, "gateway=edge").unwrap();
        assert_eq!(
            parameters().with_object("tenants", "tenant", "acme").unwrap().scope,
            Scope::tenant("acme")
        );
        assert!(parameters().with_object("llmgateways", "gateway", "edge").is_ok());
        assert!(parameters().with_object("llmgateways", "gateway", "other").is_err());
        let by_route = read(Metric::InFlight, "route=chat").unwrap();
        assert!(by_route.with_object("tenants", "tenant", "acme").is_err());
    }
}
