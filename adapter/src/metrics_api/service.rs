//! Answers a parsed metrics request from the store.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::answer::{self, CustomVersion, ObjectReference, Sample};
use super::evaluate::{self, Measured, Reading};
use super::objects::{API_VERSION, ObjectKind, Objects};
use super::parameters::Parameters;
use super::{Metric, QueryError, selector};
use crate::clock::Now;
use crate::signals::{PodView, Store};

/// The name that means all objects.
const ALL: &str = "*";

/// A question to the custom metrics API about objects of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomQuery<'a> {
    /// Version of the answer.
    pub version: CustomVersion,
    /// Namespace of the objects.
    pub namespace: &'a str,
    /// Resource: `pods` or `PLURAL.GROUP`.
    pub resource: &'a str,
    /// Name of the object, or `*`.
    pub name: &'a str,
    /// Name of the metric.
    pub metric: &'a str,
    /// Selector of objects, for `*`.
    pub label_selector: &'a str,
    /// Selector of the metric.
    pub metric_selector: &'a str,
}

/// A question to the external metrics API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalQuery<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name of the metric.
    pub metric: &'a str,
    /// Selector of the metric.
    pub label_selector: &'a str,
}

/// An answer's body and the ages of the values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: Vec<u8>,
    /// Age of each value.
    pub ages: Vec<Duration>,
}

/// Answers questions from what the gateways said.
#[derive(Debug)]
pub struct MetricsService {
    store: Arc<Store>,
    objects: Arc<Objects>,
    max_age: Duration,
}

impl MetricsService {
    /// A service that holds values older than `max_age` for stale where the question does not say otherwise.
    pub fn new(store: Arc<Store>, objects: Arc<Objects>, max_age: Duration) -> Self {
        Self {
            store,
            objects,
            max_age,
        }
    }

    /// Answers the custom metrics API.
    pub fn custom(&self, query: &CustomQuery<'_>, now: Now) -> Result<Answer, QueryError> {
        let question = Question::new(query, self.max_age)?;
        if query.resource == "pods" {
            let pods = self.pods(query.namespace)?;
            if query.name == ALL {
                question.all_pods(&pods, now)
            } else {
                question.one_pod(&pods, now)
            }
        } else if let Some(kind) = ObjectKind::parse(query.resource) {
            let pods = self.pods(query.namespace)?;
            if query.name == ALL {
                let names = self
                    .objects
                    .select(kind, query.namespace, &question.label_selector)
                    .ok_or_else(|| {
                        QueryError::Unavailable(format!("the objects of {} are not listed yet", query.resource))
                    })?;
                question.all_objects(kind, &names, &pods, now)
            } else {
                question.one_object(kind, &pods, now)
            }
        } else {
            Err(QueryError::NotFound(format!(
                "the server could not find the metric {} for {} {}: metrics describe pods, {}",
                query.metric,
                query.resource,
                query.name,
                ObjectKind::ALL.map(ObjectKind::resource).join(", ")
            )))
        }
    }

    /// Answers the external metrics API: one value over all pods of the namespace that the selector selects.
    pub fn external(&self, query: &ExternalQuery<'_>, now: Now) -> Result<Answer, QueryError> {
        let metric = parse_metric(query.metric)?;
        let selector = parse_selector("labelSelector", query.label_selector)?;
        let parameters = Parameters::from_selector(metric, selector, self.max_age)?;
        let pods = self.pods(query.namespace)?;
        let what = match &*parameters
            .given
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(",")
        {
            "" => format!("namespace {}", query.namespace),
            labels => format!("{labels} in namespace {}", query.namespace),
        };
        let measured = evaluate::sum(&pods, metric, &parameters, now.mono, &what)?;
        let sample = sample(metric, &parameters, measured, now)?;
        let body = answer::external(query.metric, &parameters.given, &sample).map_err(unwritable)?;
        Ok(Answer {
            body,
            ages: vec![measured.age],
        })
    }

    fn pods(&self, namespace: &str) -> Result<Vec<PodView>, QueryError> {
        if !self.store.is_listed() {
            return Err(QueryError::Unavailable("the gateway pods are not listed yet".into()));
        }
        Ok(self.store.pods(namespace))
    }
}

/// A parsed custom metrics question.
struct Question<'a> {
    query: &'a CustomQuery<'a>,
    metric: Metric,
    parameters: Parameters,
    label_selector: Selector,
    echo: Option<LabelSelector>,
}

type Item = (ObjectReference, Measured);

impl<'a> Question<'a> {
    fn new(query: &'a CustomQuery<'a>, max_age: Duration) -> Result<Self, QueryError> {
        let metric = parse_metric(query.metric)?;
        let label_selector = parse_selector("labelSelector", query.label_selector)?;
        let metric_selector = parse_selector("metricLabelSelector", query.metric_selector)?;
        let echo = (!metric_selector.selects_all()).then(|| LabelSelector::from(metric_selector.clone()));
        let parameters = Parameters::from_selector(metric, metric_selector, max_age)?;
        Ok(Self {
            query,
            metric,
            parameters,
            label_selector,
            echo,
        })
    }

    /// One value for each pod that has one. Pods without are left out, and the autoscaler assumes the cautious thing for
    /// each; if values are too old everywhere, that is an error.
    fn all_pods(&self, pods: &[PodView], now: Now) -> Result<Answer, QueryError> {
        let selected = pods
            .iter()
            .filter(|pod| evaluate::selects(&self.parameters, pod) && self.label_selector.matches(&pod.info.labels));
        let (mut items, mut stale) = (Vec::new(), Vec::new());
        for pod in selected {
            match evaluate::read_pod(pod, self.metric, &self.parameters, now.mono) {
                Reading::Value(measured) => items.push((self.pod(&pod.info.name), measured)),
                Reading::Stale if pod.info.counts() => stale.push(pod),
                Reading::Stale | Reading::UnknownScope | Reading::NoRequests => {}
            }
        }
        if items.is_empty() && !stale.is_empty() {
            return Err(evaluate::stale(&stale, self.parameters.max_age));
        }
        self.answer(items, now)
    }

    fn one_pod(&self, pods: &[PodView], now: Now) -> Result<Answer, QueryError> {
        let name = self.query.name;
        let pod = pods
            .iter()
            .find(|pod| pod.info.name == name && evaluate::selects(&self.parameters, pod));
        let pod = pod.ok_or_else(|| self.not_found())?;
        match evaluate::read_pod(pod, self.metric, &self.parameters, now.mono) {
            Reading::Value(measured) => self.answer(vec![(self.pod(name), measured)], now),
            Reading::Stale => Err(evaluate::stale(&[pod], self.parameters.max_age)),
            Reading::UnknownScope => Err(self.not_found()),
            Reading::NoRequests => Err(evaluate::no_requests(&format!("pod {name}"))),
        }
    }

    fn one_object(&self, kind: ObjectKind, pods: &[PodView], now: Now) -> Result<Answer, QueryError> {
        let measured = self.sum(kind, self.query.name, pods, now)?;
        self.answer(vec![(self.object(kind, self.query.name), measured)], now)
    }

    /// One value for each object that has one; if there is none because values are too old, that is an error.
    fn all_objects(
        &self,
        kind: ObjectKind,
        names: &[String],
        pods: &[PodView],
        now: Now,
    ) -> Result<Answer, QueryError> {
        let (mut items, mut unavailable) = (Vec::new(), None);
        for name in names {
            match self.sum(kind, name, pods, now) {
                Ok(measured) => items.push((self.object(kind, name), measured)),
                Err(QueryError::NotFound(_)) => {}
                Err(error @ QueryError::Unavailable(_)) => unavailable = unavailable.or(Some(error)),
                Err(error @ QueryError::BadRequest(_)) => return Err(error),
            }
        }
        match unavailable {
            Some(error) if items.is_empty() => Err(error),
            _ => self.answer(items, now),
        }
    }

    fn sum(&self, kind: ObjectKind, name: &str, pods: &[PodView], now: Now) -> Result<Measured, QueryError> {
        let resource = kind.resource();
        let parameters = self.parameters.clone().with_object(&resource, kind.label(), name)?;
        evaluate::sum(pods, self.metric, &parameters, now.mono, &format!("{resource}/{name}"))
    }

    fn answer(&self, items: Vec<Item>, now: Now) -> Result<Answer, QueryError> {
        let ages = items.iter().map(|(_, measured)| measured.age).collect();
        let samples = items
            .into_iter()
            .map(|(object, measured)| Ok((object, sample(self.metric, &self.parameters, measured, now)?)))
            .collect::<Result<Vec<_>, QueryError>>()?;
        let body = answer::custom(self.query.version, self.query.metric, self.echo.as_ref(), &samples);
        Ok(Answer {
            body: body.map_err(unwritable)?,
            ages,
        })
    }

    fn pod(&self, name: &str) -> ObjectReference {
        ObjectReference {
            kind: "Pod",
            namespace: self.query.namespace.to_owned(),
            name: name.to_owned(),
            api_version: "v1",
        }
    }

    fn object(&self, kind: ObjectKind, name: &str) -> ObjectReference {
        ObjectReference {
            kind: kind.kind(),
            namespace: self.query.namespace.to_owned(),
            name: name.to_owned(),
            api_version: API_VERSION,
        }
    }

    fn not_found(&self) -> QueryError {
        let CustomQuery {
            metric,
            resource,
            name,
            metric_selector,
            ..
        } = self.query;
        let with = if metric_selector.is_empty() {
            String::new()
        } else {
            format!(" with selector {metric_selector}")
        };
        QueryError::NotFound(format!(
            "the server could not find the metric {metric} for {resource} {name}{with}"
        ))
    }
}

fn parse_metric(name: &str) -> Result<Metric, QueryError> {
    Metric::parse(name).ok_or_else(|| {
        QueryError::NotFound(format!(
            "the server could not find the metric {name}; known are {}",
            Metric::known()
        ))
    })
}

fn parse_selector(parameter: &str, text: &str) -> Result<Selector, QueryError> {
    selector::parse(text)
        .map_err(|error| QueryError::BadRequest(format!("unable to parse {parameter} {text:?}: {error}")))
}

fn sample(metric: Metric, parameters: &Parameters, measured: Measured, now: Now) -> Result<Sample, QueryError> {
    Sample::new(measured, metric.window_seconds(parameters.window), now)
        .ok_or_else(|| QueryError::Unavailable("a gateway pod reports a value that is no number".into()))
}

#[allow(clippy::needless_pass_by_value)] // the shape that `map_err` wants
fn unwritable(error: serde_json::Error) -> QueryError {
    QueryError::Unavailable(format!("the answer cannot be written: {error}"))
}
