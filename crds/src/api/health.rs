//! When a provider is taken to be sick.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, rules};

/// When nothing is sent to a provider, or to one of the pods behind it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderHealth {
    /// By requests that fail. Of a Service each pod is judged by itself, and at most half of them are out at a time; once no
    /// pod is good, the provider is out as a whole.
    #[serde(default)]
    pub outlier: Outlier,

    /// By requests of the gateway's own. Absent: none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_probe: Option<ActiveProbe>,
}

/// What fails so often in a row is out for a while: its requests go to the other backends and the fallbacks at once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Outlier {
    /// Failures in a row: no connection, a broken one, no first token in time, silence, an answer that is none, status 500
    /// to 599. 0: never.
    #[serde(default = "default_errors")]
    #[schemars(range(min = 0, max = 1000))]
    pub consecutive_errors: u32,

    /// How long it is out. Then one request at a time tries it. When it is back, its share grows during as long.
    #[serde(default = "default_eject_for")]
    #[x_kube(validation = rules::duration_between("ejectFor", "1s", "1h"))]
    pub eject_for: Duration,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_errors: default_errors(),
            eject_for: default_eject_for(),
        }
    }
}

fn default_errors() -> u32 {
    5
}

fn default_eject_for() -> Duration {
    Duration::from_secs(30)
}

/// A request of the gateway's own: each gateway pod sends it, to each pod of a Service. Three failures in a row take out,
/// one success takes back in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::not_longer("timeout", "interval"))]
#[serde(rename_all = "camelCase")]
pub struct ActiveProbe {
    /// Path below the base URL, or below the path of `backendRef`. GET must answer it with a status from 200 to 399; the
    /// provider's credentials are sent with it.
    #[serde(default = "default_path")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::rule(
        r"self.matches('^/[^?#\\s]*$')",
        "the path '%s' does not begin with '/' or has characters that do not belong into a path; write for example /models",
        &["self"],
    ))]
    pub path: String,

    /// Between two probes; spread by a tenth, so that pods do not probe in step.
    #[serde(default = "default_interval")]
    #[x_kube(validation = rules::duration_between("interval", "1s", "1h"))]
    pub interval: Duration,

    /// How long one may take, connection included.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = rules::duration_between("timeout", "10ms", "1m"))]
    pub timeout: Duration,
}

fn default_path() -> String {
    "/models".to_owned()
}

fn default_interval() -> Duration {
    Duration::from_secs(10)
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}
