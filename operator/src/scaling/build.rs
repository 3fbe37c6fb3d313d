//! Third step, pure: the autoscaler.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
    ObjectMetricSource, PodsMetricSource, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;
use tokenweir_crds::Duration;
use tokenweir_crds::api::{
    Count, GROUP, Latency, MetricSource, NameRef, Rate, ResourceSignal, ScaleRule, Signal, SignalKind, VERSION,
};

use super::validate::Valid;
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

/// Labels of a metric, by which the adapter narrows and ages it.
type Labels = BTreeMap<String, String>;

/// Builds the autoscaler of a policy; nothing if the policy is to have none.
pub fn build(valid: &Valid<'_>) -> Option<HorizontalPodAutoscaler> {
    if !valid.acts {
        return None;
    }
    let spec = &valid.policy.spec;
    let horizontal = &spec.horizontal;
    let context = MetricContext {
        gateway: &spec.target_ref.name,
        max_age: horizontal.max_signal_age,
    };
    Some(HorizontalPodAutoscaler {
        metadata: ObjectMeta {
            name: Some(valid.name.clone()),
            namespace: Some(valid.namespace.clone()),
            labels: Some(BTreeMap::from([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())])),
            owner_references: Some(vec![valid.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: spec.target_ref.name.clone(),
            },
            min_replicas: Some(spec.replicas.min),
            max_replicas: spec.replicas.max,
            metrics: Some(
                horizontal
                    .signals
                    .iter()
                    .filter_map(|signal| context.metric(signal))
                    .collect(),
            ),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(rules(&ScaleRule::from(&horizontal.scale_up))),
                scale_down: Some(rules(&ScaleRule::from(&horizontal.scale_down))),
            }),
        },
        status: None,
    })
}

/// What all metrics of one policy share.
struct MetricContext<'a> {
    gateway: &'a str,
    max_age: Duration,
}

impl MetricContext<'_> {
    fn metric(&self, signal: &Signal) -> Option<MetricSpec> {
        Some(match signal.kind()? {
            SignalKind::QueueDepth(count) => self.count("queue_depth", count),
            SignalKind::InFlight(count) => self.count("in_flight", count),
            SignalKind::TokenRate(rate) => self.rate("token_rate", rate),
            SignalKind::RequestRate(rate) => self.rate("request_rate", rate),
            SignalKind::QueueWait(latency) => self.latency("queue_wait", latency),
            SignalKind::Ttft(latency) => self.latency("ttft", latency),
            SignalKind::Resource(resource) => resource_metric(resource),
        })
    }

    fn count(&self, name: &str, count: &Count) -> MetricSpec {
        let labels = self.labels(count.tenant_ref.as_ref(), count.route_ref.as_ref());
        self.per_replica(name, count.via, labels, &count.per_replica)
    }

    fn rate(&self, name: &str, rate: &Rate) -> MetricSpec {
        let mut labels = self.labels(rate.tenant_ref.as_ref(), rate.route_ref.as_ref());
        labels.insert("window".into(), rate.window.as_str().into());
        self.per_replica(name, rate.via, labels, &rate.per_replica)
    }

    /// One value for the whole gateway: quantiles of pods cannot be averaged.
    fn latency(&self, name: &str, latency: &Latency) -> MetricSpec {
        let mut labels = self.labels(None, None);
        labels.insert("quantile".into(), latency.quantile.as_str().into());
        let target = MetricTarget {
            type_: "Value".into(),
            value: Some(seconds(latency.target)),
            ..MetricTarget::default()
        };
        self.object(name, labels, target)
    }

    fn per_replica(&self, name: &str, via: MetricSource, mut labels: Labels, per_replica: &Quantity) -> MetricSpec {
        let target = MetricTarget {
            type_: "AverageValue".into(),
            average_value: Some(per_replica.clone()),
            ..MetricTarget::default()
        };
        match via {
            MetricSource::Pods => MetricSpec {
                type_: "Pods".into(),
                pods: Some(PodsMetricSource {
                    metric: identifier(name, labels),
                    target,
                }),
                ..MetricSpec::default()
            },
            MetricSource::Object => self.object(name, labels, target),
            MetricSource::External => {
                // Nothing else tells the adapter which gateway is meant.
                labels.insert("gateway".into(), self.gateway.to_owned());
                MetricSpec {
                    type_: "External".into(),
                    external: Some(ExternalMetricSource {
                        metric: identifier(name, labels),
                        target,
                    }),
                    ..MetricSpec::default()
                }
            }
        }
    }

    fn object(&self, name: &str, labels: Labels, target: MetricTarget) -> MetricSpec {
        MetricSpec {
            type_: "Object".into(),
            object: Some(ObjectMetricSource {
                described_object: CrossVersionObjectReference {
                    api_version: Some(format!("{GROUP}/{VERSION}")),
                    kind: "LLMGateway".into(),
                    name: self.gateway.to_owned(),
                },
                metric: identifier(name, labels),
                target,
            }),
            ..MetricSpec::default()
        }
    }

    fn labels(&self, tenant: Option<&NameRef>, route: Option<&NameRef>) -> Labels {
        let mut labels = Labels::from([("max-age".to_owned(), self.max_age.to_string())]);
        if let Some(tenant) = tenant {
            labels.insert("tenant".into(), tenant.name.clone());
        }
        if let Some(route) = route {
            labels.insert("route".into(), route.name.clone());
        }
        labels
    }
}

fn identifier(name: &str, labels: Labels) -> MetricIdentifier {
    MetricIdentifier {
        name: name.to_owned(),
        selector: Some(LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        }),
    }
}

fn resource_metric(resource: &ResourceSignal) -> MetricSpec {
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: resource.name.as_str().to_owned(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(resource.utilization),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Seconds as a quantity, in the form in which the API server would write it.
fn seconds(duration: Duration) -> Quantity {
    let millis = duration.as_millis();
    Quantity(if millis.is_multiple_of(1000) {
        (millis / 1000).to_string()
    } else {
        format!("{millis}m")
    })
}

fn rules(rule: &ScaleRule) -> HPAScalingRules {
    let whole_seconds = |duration: Duration| i32::try_from(duration.as_secs_ceil()).unwrap_or(i32::MAX);
    let policy = |type_: &str, value| HPAScalingPolicy {
        type_: type_.to_owned(),
        value,
        period_seconds: whole_seconds(rule.period),
    };
    HPAScalingRules {
        stabilization_window_seconds: Some(whole_seconds(rule.stabilization)),
        select_policy: Some(rule.select.as_str().to_owned()),
        policies: Some(vec![policy("Percent", rule.percent), policy("Pods", rule.pods)]),
        ..HPAScalingRules::default()
    }
}
