//! What a path asks for, and what that is called when permissions are checked.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::metrics_api::answer::{CUSTOM_GROUP, CustomVersion, EXTERNAL_GROUP, EXTERNAL_VERSION};

/// A version of one of the groups that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupVersion {
    /// Custom metrics.
    Custom(CustomVersion),
    /// External metrics.
    External,
}

impl GroupVersion {
    /// All of them, preferred versions first.
    pub const ALL: [Self; 3] = [
        Self::Custom(CustomVersion::V1Beta2),
        Self::Custom(CustomVersion::V1Beta1),
        Self::External,
    ];

    /// The group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Custom(_) => CUSTOM_GROUP,
            Self::External => EXTERNAL_GROUP,
        }
    }

    /// The version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Custom(version) => version.as_str(),
            Self::External => EXTERNAL_VERSION,
        }
    }

    /// `GROUP/VERSION`.
    pub fn path(self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    fn parse(group: &str, version: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.group() == group && known.version() == version)
    }
}

/// A health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Whether the process works at all.
    Live,
    /// Whether it should be asked.
    Ready,
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/livez`, `/healthz`, `/readyz`.
    Health(Health),
    /// `/metrics`: the adapter's own.
    OwnMetrics,
    /// `/version`.
    Version,
    /// `/`.
    Root,
    /// `/api`.
    Api,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(&'static str),
    /// `/apis/GROUP/VERSION`.
    Resources(GroupVersion),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`.
    OpenApiV3,
    /// `/openapi/v3/apis/GROUP/VERSION`.
    OpenApiV3Of(GroupVersion),
    /// A custom metric of objects.
    Custom {
        /// Version.
        version: CustomVersion,
        /// Namespace; empty for objects outside of namespaces.
        namespace: String,
        /// Resource with its group.
        resource: String,
        /// Object or `*`.
        name: String,
        /// Metric.
        metric: String,
    },
    /// A metric of the namespace itself.
    NamespaceMetric {
        /// Version.
        version: CustomVersion,
        /// Namespace.
        namespace: String,
        /// Metric.
        metric: String,
    },
    /// An external metric.
    External {
        /// Namespace.
        namespace: String,
        /// Metric.
        metric: String,
    },
    /// Nothing that is served.
    Unknown,
}

impl Target {
    /// Reads a path.
    pub fn parse(path: &str) -> Self {
        let decoded: Option<Vec<Cow<'_, str>>> = path
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8().ok())
            .collect();
        let Some(mut segments) = decoded else {
            return Self::Unknown;
        };
        // A slash at the end changes nothing.
        if matches!(&*segments, [.., before, last] if !before.is_empty() && last.is_empty()) {
            segments.pop();
        }
        let segments: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
        match *segments {
            [""] => Self::Root,
            ["livez" | "healthz"] => Self::Health(Health::Live),
            ["readyz"] => Self::Health(Health::Ready),
            ["metrics"] => Self::OwnMetrics,
            ["version"] => Self::Version,
            ["api"] => Self::Api,
            ["apis"] => Self::Groups,
            ["apis", CUSTOM_GROUP] => Self::Group(CUSTOM_GROUP),
            ["apis", EXTERNAL_GROUP] => Self::Group(EXTERNAL_GROUP),
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiV3,
            ["openapi", "v3", "apis", group, version] => {
                GroupVersion::parse(group, version).map_or(Self::Unknown, Self::OpenApiV3Of)
            }
            ["apis", group, version, ref rest @ ..] => {
                GroupVersion::parse(group, version).map_or(Self::Unknown, |version| Self::of_group(version, rest))
            }
            _ => Self::Unknown,
        }
    }

    fn of_group(version: GroupVersion, rest: &[&str]) -> Self {
        if rest.iter().any(|segment| segment.is_empty()) {
            return Self::Unknown;
        }
        match (version, rest) {
            (version, []) => Self::Resources(version),
            (GroupVersion::Custom(version), ["namespaces", namespace, "metrics", metric]) => Self::NamespaceMetric {
                version,
                namespace: (*namespace).into(),
                metric: (*metric).into(),
            },
            (GroupVersion::Custom(version), ["namespaces", namespace, resource, name, metric]) => Self::Custom {
                version,
                namespace: (*namespace).into(),
                resource: (*resource).into(),
                name: (*name).into(),
                metric: (*metric).into(),
            },
            (GroupVersion::Custom(version), [resource, name, metric]) => Self::Custom {
                version,
                namespace: String::new(),
                resource: (*resource).into(),
                name: (*name).into(),
                metric: (*metric).into(),
            },
            (GroupVersion::External, ["namespaces", namespace, metric]) => Self::External {
                namespace: (*namespace).into(),
                metric: (*metric).into(),
            },
            _ => Self::Unknown,
        }
    }

    /// Whether this is discovery or documentation: public within the cluster, the same for everyone, and asked by the
    /// aggregator all the time.
    pub fn is_discovery(&self) -> bool {
        matches!(
            self,
            Self::Version
                | Self::Api
                | Self::Groups
                | Self::Group(_)
                | Self::Resources(_)
                | Self::OpenApiV2
                | Self::OpenApiV3
                | Self::OpenApiV3Of(_)
        )
    }

    /// What it is called in the adapter's own metrics.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Health(_) => "health",
            Self::OwnMetrics => "metrics",
            Self::Custom { .. } | Self::NamespaceMetric { .. } => "custom",
            Self::External { .. } => "external",
            Self::Root | Self::Unknown => "other",
            _ => "discovery",
        }
    }

    /// What it is called when permissions are checked.
    pub fn attributes(&self, method: &Method, path: &str) -> Attributes {
        match self {
            Self::Custom {
                version,
                namespace,
                resource,
                name,
                metric,
            } => Attributes::Resource(ResourceAttributes {
                verb: verb(method, true),
                group: CUSTOM_GROUP,
                version: version.as_str(),
                namespace: namespace.clone(),
                resource: resource.clone(),
                subresource: metric.clone(),
                name: name.clone(),
            }),
            Self::NamespaceMetric {
                version,
                namespace,
                metric,
            } => Attributes::Resource(ResourceAttributes {
                verb: verb(method, true),
                group: CUSTOM_GROUP,
                version: version.as_str(),
                namespace: namespace.clone(),
                resource: "metrics".into(),
                subresource: String::new(),
                name: metric.clone(),
            }),
            Self::External { namespace, metric } => Attributes::Resource(ResourceAttributes {
                verb: verb(method, false),
                group: EXTERNAL_GROUP,
                version: EXTERNAL_VERSION,
                namespace: namespace.clone(),
                resource: metric.clone(),
                subresource: String::new(),
                name: String::new(),
            }),
            _ => Attributes::Path {
                verb: method.as_str().to_ascii_lowercase(),
                path: path.to_owned(),
            },
        }
    }
}

/// A resource request as the API server would see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceAttributes {
    /// Verb.
    pub verb: &'static str,
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Namespace; empty for none.
    pub namespace: String,
    /// Resource.
    pub resource: String,
    /// Subresource; empty for none.
    pub subresource: String,
    /// Name; empty for none.
    pub name: String,
}

/// What permissions are checked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// A resource.
    Resource(ResourceAttributes),
    /// A path.
    Path {
        /// The method in lower case.
        verb: String,
        /// The path.
        path: String,
    },
}

/// The verb of a method as the API server has it: a GET without a name is a list.
fn verb(method: &Method, named: bool) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(namespace: &str, resource: &str, name: &str, metric: &str) -> Target {
        Target::Custom {
            version: CustomVersion::V1Beta2,
            namespace: namespace.into(),
            resource: resource.into(),
            name: name.into(),
            metric: metric.into(),
        }
    }

    #[test]
    fn metric_paths_are_read_as_the_autoscaler_writes_them() {
        let base = "/apis/custom.metrics.k8s.io/v1beta2";
        let pods = Target::parse(&format!("{base}/namespaces/llm/pods/%2A/queue_depth"));
        assert_eq!(pods, custom("llm", "pods", "*", "queue_depth"));
        let gateway = Target::parse(&format!("{base}/namespaces/llm/llmgateways.tokenweir.dev/edge/ttft"));
        assert_eq!(gateway, custom("llm", "llmgateways.tokenweir.dev", "edge", "ttft"));
        assert_eq!(
            Target::parse(&format!("{base}/nodes/n1/cpu")),
            custom("", "nodes", "n1", "cpu")
        );
        assert_eq!(
            Target::parse(&format!("{base}/namespaces/llm/metrics/cost")),
            Target::NamespaceMetric {
                version: CustomVersion::V1Beta2,
                namespace: "llm".into(),
                metric: "cost".into()
            }
        );
        assert_eq!(
            Target::parse("/apis/external.metrics.k8s.io/v1beta1/namespaces/llm/queue_depth"),
            Target::External {
                namespace: "llm".into(),
                metric: "queue_depth".into()
            }
        );
    }

    #[test]
    fn discovery_paths_are_known_with_and_without_a_slash_at_the_end() {
        for (path, target) in [
            ("/", Target::Root),
            ("/apis", Target::Groups),
            ("/apis/", Target::Groups),
            ("/apis/custom.metrics.k8s.io", Target::Group(CUSTOM_GROUP)),
            (
                "/apis/custom.metrics.k8s.io/v1beta1/",
                Target::Resources(GroupVersion::Custom(CustomVersion::V1Beta1)),
            ),
            (
                "/openapi/v3/apis/external.metrics.k8s.io/v1beta1",
                Target::OpenApiV3Of(GroupVersion::External),
            ),
            ("/readyz", Target::Health(Health::Ready)),
        ] {
            assert_eq!(Target::parse(path), target, "{path}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for path in [
            "",
            "//",
            "*",
            "/apis/apps",
            "/apis/apps/v1",
            "/apis/custom.metrics.k8s.io/v1",
            "/apis/custom.metrics.k8s.io/v1beta1/blah",
            "/apis/custom.metrics.k8s.io/v1beta1/nodes/foo",
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces//pods/a/b",
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/pods/bar",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/a/b",
            "/apis/external.metrics.k8s.io/v1beta2/namespaces/ns/a",
            "/%ff",
        ] {
            assert_eq!(Target::parse(path), Target::Unknown, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_and_metrics_keep_their_namespace(path in "(/|apis|custom\\.metrics\\.k8s\\.io|v1beta2|namespaces|%2A|%|a|\\*|\u{e9}){0,12}") {
            if let Target::Custom { namespace, .. } = Target::parse(&path) {
                proptest::prop_assert!(namespace.is_empty() || path.contains("/namespaces/"));
            }
        }
    }

    #[test]
    fn permissions_are_asked_as_the_api_server_would() {
        let attributes = |path: &str, method: Method| match Target::parse(path).attributes(&method, path) {
            Attributes::Resource(a) => [a.verb, &a.namespace, &a.resource, &a.subresource, &a.name].join(" "),
            Attributes::Path { verb, path } => format!("{verb} {path}"),
        };
        let base = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/llm";
        assert_eq!(
            attributes(&format!("{base}/pods/*/in_flight"), Method::GET),
            "get llm pods in_flight *"
        );
        assert_eq!(
            attributes(&format!("{base}/metrics/x"), Method::GET),
            "get llm metrics  x"
        );
        let external = "/apis/external.metrics.k8s.io/v1beta1/namespaces/llm/ttft";
        assert_eq!(attributes(external, Method::GET), "list llm ttft  ");
        assert_eq!(attributes(external, Method::DELETE), "deletecollection llm ttft  ");
        assert_eq!(attributes("/metrics", Method::GET), "get /metrics");
    }
}
