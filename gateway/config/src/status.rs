//! What a gateway pod says about itself on `/status` of its admin port. The operator reads it to know which pods serve
//! which generation.

use serde::{Deserialize, Serialize};

use crate::headers::HeaderChanges;
use crate::matching::RouteMatch;
use crate::route::is_near;

/// The report of one gateway process at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the program, such as `0.1.0`.
    pub version: String,
    /// Name of the pod, or of the host outside a cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The configuration that new requests meet; absent while the process has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// The newest configuration that was offered and refused; absent once a later one was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    /// Where the process stands between start and end.
    pub phase: Phase,
    /// Requests that were admitted and have not ended.
    pub in_flight: u64,
    /// Requests that wait for admission.
    pub queue_depth: u64,
    /// Unix time in milliseconds at which the process started.
    pub started_unix_ms: u64,
    /// How the providers of the configuration in service are, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderReport>,
    /// The routes of the configuration in service, by name; only if they were asked for
    /// ([`STATUS_WITH_ROUTES`](crate::names::STATUS_WITH_ROUTES)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteReport>,
}

/// One route, as this process serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    /// Name of the `ModelRoute`.
    pub name: String,
    /// The model name or glob that clients send.
    pub model: String,
    /// Which requests for it the route takes; absent: all that no other route takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// What it changes of headers towards providers.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_none")]
    pub request_headers: HeaderChanges,
    /// What it changes of headers back to clients.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_none")]
    pub response_headers: HeaderChanges,
    /// Its requests that were admitted and have not ended.
    pub in_flight: u64,
    /// Its requests that wait for admission.
    pub queue_depth: u64,
    /// Targets chosen by weight.
    pub backends: Vec<TargetReport>,
    /// Targets tried in order when the backends failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<TargetReport>,
}

/// A target of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// Name of the `ModelProvider`. How it is, its own report says.
    pub provider: String,
    /// The model name that is sent; absent: what the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Share of the traffic relative to the other backends; absent for fallbacks, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The provider's region, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How far away it is: it gets nothing while a nearer one is well and has room. Absent: 0.
    #[serde(default, skip_serializing_if = "is_near")]
    pub distance: u32,
    /// Requests on their way to the provider, from all routes.
    pub in_flight: u32,
}

/// How one provider is, as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderReport {
    /// Name of the `ModelProvider`.
    pub name: String,
    /// Whether requests are sent to it.
    pub state: HealthState,
    /// Why it is not healthy, in words for a person; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Unix time in milliseconds since when it is so.
    pub since_unix_ms: u64,
}

/// Whether requests are sent to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthState {
    /// They are.
    Healthy,
    /// To a part of it, or one at a time to see whether it is well again.
    Degraded,
    /// Only if there is nothing else.
    Unhealthy,
}

/// A configuration in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Its generation.
    pub generation: u64,
    /// SHA-256 of its JSON, lower-case hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// Unix time in milliseconds since when it is served.
    pub since_unix_ms: u64,
}

/// Where a configuration came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The Secret, through the Kubernetes API.
    Api,
    /// The last good copy on the pod's own disk; the API server has not been reached since the start.
    Disk,
    /// A folder of YAML files, without a cluster.
    Files,
}

impl Source {
    /// The name on the wire and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Disk => "disk",
            Self::Files => "files",
        }
    }
}

/// A configuration that was refused. The one before it is still served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its generation; absent where not even that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why, in a sentence for a person.
    pub reason: String,
    /// Unix time in milliseconds at which it was refused.
    pub at_unix_ms: u64,
}

/// Where a gateway process stands between start and end. Only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Takes requests.
    Serving,
    /// Takes requests and says that it is about to end, so that load balancers turn away.
    LameDuck,
    /// Takes no new requests; those that run go on until the grace period ends.
    Draining,
    /// Nothing runs any more.
    Stopped,
}

impl Phase {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LameDuck => "lameDuck",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_wire_and_absent_parts_are_left_out() {
        let status = Status {
            version: "0.1.0".into(),
            pod: "edge-0".into(),
            serving: Some(Serving {
                generation: 7,
                digest: "ab".into(),
                source: Source::Api,
                since_unix_ms: 1_000,
            }),
            rejected: None,
            phase: Phase::LameDuck,
            in_flight: 3,
            queue_depth: 1,
            started_unix_ms: 500,
            providers: vec![ProviderReport {
                name: "openai".into(),
                state: HealthState::Healthy,
                reason: String::new(),
                since_unix_ms: 600,
            }],
            routes: Vec::new(),
        };
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["serving"]["generation"], 7);
        assert_eq!(json["serving"]["source"], Source::Api.as_str());
        assert_eq!(json["phase"], Phase::LameDuck.as_str());
        assert!(json.get("rejected").is_none() && json.get("routes").is_none());
        assert_eq!(
            json["providers"][0],
            serde_json::json!({"name": "openai", "state": "healthy", "sinceUnixMs": 600})
        );
        assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
    }

    #[test]
    fn the_names_of_phases_and_sources_are_those_on_the_wire() {
        for phase in [Phase::Serving, Phase::LameDuck, Phase::Draining, Phase::Stopped] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        for source in [Source::Api, Source::Disk, Source::Files] {
            assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
        }
    }
}
