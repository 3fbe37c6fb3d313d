//! What the HPA would read: custom and external metrics through the API server's aggregation, and the HPA's own view.

use std::fmt::Write as _;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Api, Client};
use serde_json::Value;

use super::error::{HarnessError, Result, api};

/// One value of a metrics API.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The pod or object it is about; for an external metric its labels in one line.
    pub about: String,
    /// The value.
    pub value: f64,
    /// When it was measured, as the API says it (RFC 3339).
    pub timestamp: String,
}

/// A metric of all pods that a label selector finds, as the HPA asks for a `Pods` metric.
pub async fn of_pods(
    client: &Client,
    namespace: &str,
    selector: &str,
    metric: &str,
    metric_selector: &str,
) -> Result<Vec<Sample>> {
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/%2A/{metric}?labelSelector={}{}",
        encode(selector),
        metric_labels(metric_selector)
    );
    custom(client, &path).await
}

/// A metric of one object, as the HPA asks for an `Object` metric. `resource` is `llmgateways.tokenweir.dev` or such.
pub async fn of_object(
    client: &Client,
    namespace: &str,
    resource: &str,
    name: &str,
    metric: &str,
    metric_selector: &str,
) -> Result<Vec<Sample>> {
    let labels = metric_labels(metric_selector);
    let query = labels
        .strip_prefix('&')
        .map(|rest| format!("?{rest}"))
        .unwrap_or_default();
    let path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/{resource}/{name}/{metric}{query}");
    custom(client, &path).await
}

/// An external metric.
pub async fn external(client: &Client, namespace: &str, metric: &str, selector: &str) -> Result<Vec<Sample>> {
    let path = format!(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}?labelSelector={}",
        encode(selector)
    );
    let list = get(client, &path).await?;
    items(&list)
        .map(|item| {
            let labels = item.get("metricLabels").and_then(Value::as_object);
            let about = labels
                .into_iter()
                .flatten()
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
            sample(item, about.collect::<Vec<_>>().join(","))
        })
        .collect()
}

/// The sum of all samples.
pub fn total(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.value).sum()
}

/// What an HPA reports about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HpaView {
    /// Replicas it found.
    pub current: i32,
    /// Replicas it wants.
    pub desired: i32,
    /// The values that it read, each as `name=value`.
    pub metrics: Vec<(String, f64)>,
    /// Whether it can compute a replica count, with the reason.
    pub active: Option<(bool, String)>,
}

/// Reads an HPA's status.
pub async fn hpa(client: &Client, namespace: &str, name: &str) -> Result<HpaView> {
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    let found = hpas
        .get(name)
        .await
        .map_err(api(format!("read HPA {namespace}/{name}")))?;
    Ok(view(&found))
}

/// The view of an HPA object.
pub fn view(hpa: &HorizontalPodAutoscaler) -> HpaView {
    let Some(status) = &hpa.status else {
        return HpaView::default();
    };
    let as_json = serde_json::to_value(&status.current_metrics).unwrap_or_default();
    let metrics = as_json
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|metric| {
            let source = metric.get(kind_field(metric.get("type")?.as_str()?))?;
            let name = source
                .pointer("/metric/name")
                .or_else(|| source.get("name"))?
                .as_str()?;
            let current = source.get("current")?;
            let value = ["averageValue", "value"]
                .into_iter()
                .find_map(|field| current.get(field)?.as_str())?;
            Some((name.to_owned(), quantity(value)?))
        })
        .collect();
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let active = conditions
        .iter()
        .find(|condition| condition.type_ == "ScalingActive")
        .map(|condition| {
            let why = condition.message.clone().unwrap_or_default();
            (
                condition.status == "True",
                format!("{}: {why}", condition.reason.clone().unwrap_or_default()),
            )
        });
    HpaView {
        current: status.current_replicas.unwrap_or_default(),
        desired: status.desired_replicas,
        metrics,
        active,
    }
}

fn kind_field(kind: &str) -> &'static str {
    match kind {
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "resource",
    }
}

/// A Kubernetes quantity as a number. `None` if it is not one.
pub fn quantity(text: &str) -> Option<f64> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    // "1e3" is an exponent; "1E" is exa.
    if suffix.len() > 1 && suffix.starts_with(['e', 'E']) && suffix.ends_with(|c: char| c.is_ascii_digit()) {
        return text.parse().ok();
    }
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

async fn custom(client: &Client, path: &str) -> Result<Vec<Sample>> {
    let list = get(client, path).await?;
    items(&list)
        .map(|item| {
            let name = item
                .pointer("/describedObject/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            sample(item, name.to_owned())
        })
        .collect()
}

fn sample(item: &Value, about: String) -> Result<Sample> {
    let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
    let value = quantity(text("value")).ok_or_else(|| HarnessError::Missing {
        object: format!("metric value of {about}"),
        missing: format!("quantity, it has {:?}", text("value")),
    })?;
    Ok(Sample {
        about,
        value,
        timestamp: text("timestamp").to_owned(),
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_array).into_iter().flatten()
}

async fn get(client: &Client, path: &str) -> Result<Value> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|e| HarnessError::Unreachable {
            target: path.to_owned(),
            reason: e.to_string(),
        })?;
    client.request(request).await.map_err(api(format!("GET {path}")))
}

fn metric_labels(selector: &str) -> String {
    if selector.is_empty() {
        String::new()
    } else {
        format!("&metricLabelSelector={}", encode(selector))
    }
}

/// Percent-encodes what a selector holds and a query must not.
fn encode(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
                _ => {
                    // Writing into a String cannot fail.
                    let _ = write!(encoded, "%{byte:02X}");
                }
            }
            encoded
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_suffixes() {
        for (text, value) in [
            ("12", 12.0),
            ("1500m", 1.5),
            ("2k", 2000.0),
            ("0", 0.0),
            ("1e3", 1000.0),
            ("1Ki", 1024.0),
        ] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        assert_eq!(quantity("many"), None);
        assert_eq!(quantity(""), None);
    }

    #[test]
    fn an_hpas_view_names_the_values_it_read() {
        let hpa: HorizontalPodAutoscaler = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "edge"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "edge"}},
            "status": {
                "currentReplicas": 2, "desiredReplicas": 3,
                "currentMetrics": [{"type": "Pods", "pods": {"metric": {"name": "queue_depth"}, "current": {"averageValue": "7500m"}}}],
                "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "ok"}]
            }
        }))
        .unwrap();
        let view = view(&hpa);
        assert_eq!((view.current, view.desired), (2, 3));
        assert_eq!(view.metrics, [("queue_depth".to_owned(), 7.5)]);
        assert_eq!(view.active, Some((true, "ValidMetricFound: ok".to_owned())));
    }

    #[test]
    fn selectors_are_encoded() {
        assert_eq!(encode("a/b=c,d in (e)"), "a%2Fb%3Dc%2Cd%20in%20%28e%29");
    }
}
