//! The wire form of values, field by field as the types of `k8s.io/metrics` write it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;

use super::evaluate::Measured;
use super::quantity::quantity;
use crate::clock::Now;

/// API group of custom metrics.
pub const CUSTOM_GROUP: &str = "custom.metrics.k8s.io";
/// API group of external metrics.
pub const EXTERNAL_GROUP: &str = "external.metrics.k8s.io";
/// The one version of external metrics.
pub const EXTERNAL_VERSION: &str = "v1beta1";

/// A version of the custom metrics API. The newer one is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomVersion {
    /// Flat metric name and selector.
    V1Beta1,
    /// Metric name and selector in an object.
    V1Beta2,
}

impl CustomVersion {
    /// Both, preferred first.
    pub const ALL: [Self; 2] = [Self::V1Beta2, Self::V1Beta1];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Beta2 => "v1beta2",
        }
    }

    /// Finds a version by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == name)
    }
}

/// The object that a value describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// Kind.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// API version.
    pub api_version: &'static str,
}

/// A value ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    timestamp: String,
    window: Option<i64>,
    value: String,
}

impl Sample {
    /// Writes a measurement down; `None` if it is no number.
    pub fn new(measured: Measured, window: Option<i64>, now: Now) -> Option<Self> {
        Some(Self {
            timestamp: timestamp(now.wall_before(measured.age)),
            window,
            value: quantity(measured.value)?,
        })
    }
}

/// Milliseconds, so that a reader sees ages under a second; Kubernetes' parser takes fractions.
fn timestamp(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    kind: &'static str,
    api_version: String,
    metadata: Empty,
    items: Vec<T>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueV1Beta1<'a> {
    described_object: &'a ObjectReference,
    metric_name: &'a str,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<i64>,
    value: &'a str,
    selector: Option<&'a LabelSelector>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueV1Beta2<'a> {
    described_object: &'a ObjectReference,
    metric: Identifier<'a>,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<i64>,
    value: &'a str,
}

#[derive(Serialize)]
struct Identifier<'a> {
    name: &'a str,
    selector: Option<&'a LabelSelector>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalValue<'a> {
    metric_name: &'a str,
    metric_labels: &'a BTreeMap<String, String>,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<i64>,
    value: &'a str,
}

/// Writes a `MetricValueList`. `metric` is the name as it was asked for; `selector` the metric selector, to echo.
pub fn custom(
    version: CustomVersion,
    metric: &str,
    selector: Option<&LabelSelector>,
    items: &[(ObjectReference, Sample)],
) -> Result<Vec<u8>, serde_json::Error> {
    let (kind, metadata) = ("MetricValueList", Empty {});
    let api_version = format!("{CUSTOM_GROUP}/{}", version.as_str());
    match version {
        CustomVersion::V1Beta1 => {
            let items = items.iter().map(|(object, sample)| ValueV1Beta1 {
                described_object: object,
                metric_name: metric,
                timestamp: &sample.timestamp,
                window: sample.window,
                value: &sample.value,
                selector,
            });
            serde_json::to_vec(&List {
                kind,
                api_version,
                metadata,
                items: items.collect(),
            })
        }
        CustomVersion::V1Beta2 => {
            let items = items.iter().map(|(object, sample)| ValueV1Beta2 {
                described_object: object,
                metric: Identifier { name: metric, selector },
                timestamp: &sample.timestamp,
                window_seconds: sample.window,
                value: &sample.value,
            });
            serde_json::to_vec(&List {
                kind,
                api_version,
                metadata,
                items: items.collect(),
            })
        }
    }
}

/// Writes an `ExternalMetricValueList` of one value.
pub fn external(
    metric: &str,
    labels: &BTreeMap<String, String>,
    sample: &Sample,
) -> Result<Vec<u8>, serde_json::Error> {
    let item = ExternalValue {
        metric_name: metric,
        metric_labels: labels,
        timestamp: &sample.timestamp,
        window: sample.window,
        value: &sample.value,
    };
    serde_json::to_vec(&List {
        kind: "ExternalMetricValueList",
        api_version: format!("{EXTERNAL_GROUP}/{EXTERNAL_VERSION}"),
        metadata: Empty {},
        items: vec![item],
    })
}
