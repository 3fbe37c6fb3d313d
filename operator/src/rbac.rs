//! What the operator may do, and why.
//!
//! The chart's rules say the same; a test compares the two.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resources, subresources with a slash.
    pub resources: &'static [&'static str],
    /// Names that the rule is limited to; empty: all.
    pub names: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Why the operator needs it.
    pub reason: &'static str,
}

/// Where the objects of gateways are: in the whole cluster, or in the one namespace that is watched.
pub const WATCHED: &[Rule] = &[
    Rule {
        group: "tokenweir.dev",
        resources: &[
            "llmgateways",
            "modelproviders",
            "modelroutes",
            "tenants",
            "scalingpolicies",
        ],
        names: &[],
        verbs: &["get", "list", "watch"],
        reason: "reads what people write",
    },
    Rule {
        group: "tokenweir.dev",
        resources: &[
            "llmgateways/status",
            "modelproviders/status",
            "modelroutes/status",
            "tenants/status",
            "scalingpolicies/status",
        ],
        names: &[],
        verbs: &["patch"],
        reason: "writes conditions",
    },
    Rule {
        group: "tokenweir.dev",
        resources: &[
            "llmgateways/finalizers",
            "tenants/finalizers",
            "scalingpolicies/finalizers",
        ],
        names: &[],
        verbs: &["update"],
        reason: "owner references that block deletion, where the cluster checks who may set them",
    },
    Rule {
        group: "",
        resources: &["secrets"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "reads credentials that providers and tenants name, which may be any Secret beside them; writes configurations and minted \
                 keys; list and watch fetch metadata alone; may also be granted to gateway Roles for their own names only",
    },
    Rule {
        group: "",
        resources: &["configmaps"],
        names: &[],
        verbs: &["get", "list", "watch"],
        reason: "reads certificate authorities that providers name; list and watch fetch metadata alone",
    },
    Rule {
        group: "",
        resources: &["services", "serviceaccounts"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "owned by gateways; of Services that providers name, name and ports are read",
    },
    Rule {
        group: "",
        resources: &["pods"],
        names: &[],
        verbs: &["list", "watch"],
        reason: "finds the gateway pods, to ask them which configuration they serve",
    },
    Rule {
        group: "apps",
        resources: &["deployments"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "owned by gateways",
    },
    Rule {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "owned by gateways",
    },
    Rule {
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "owned by gateways",
    },
    Rule {
        group: "rbac.authorization.k8s.io",
        resources: &["roles", "rolebindings"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
        reason: "owned by gateways; Kubernetes lets the operator grant only what it may do itself",
    },
    Rule {
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        names: &[],
        verbs: &["get", "list", "watch"],
        reason: "never read by the operator; it must hold what the Role of gateway pods grants",
    },
    Rule {
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "owned by scaling policies; foreign ones are seen and left alone",
    },
    Rule {
        group: "events.k8s.io",
        resources: &["events"],
        names: &[],
        verbs: &["create", "patch"],
        reason: "tells what happened to an object",
    },
];

/// In the namespace of the operator itself.
pub const INSTALLED: &[Rule] = &[
    Rule {
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[],
        verbs: &["create"],
        reason: "leader election; a name cannot limit creation",
    },
    Rule {
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &["tokenweir-operator"],
        verbs: &["get", "update"],
        reason: "leader election",
    },
    Rule {
        group: "",
        resources: &["secrets"],
        names: &[],
        verbs: &["create"],
        reason: "makes the root key and the certificates; a name cannot limit creation",
    },
    Rule {
        group: "",
        resources: &["secrets"],
        names: &["tokenweir-root-key", "tokenweir-adapter-ca", "tokenweir-adapter-tls"],
        verbs: &["get", "list", "watch", "patch"],
        reason: "keeps the root key and rotates the certificates",
    },
];

/// In the whole cluster, only while the operator issues certificates.
pub const CERTIFICATES: &[Rule] = &[Rule {
    group: "apiregistration.k8s.io",
    resources: &["apiservices"],
    names: &[
        "v1beta1.custom.metrics.k8s.io",
        "v1beta2.custom.metrics.k8s.io",
        "v1beta1.external.metrics.k8s.io",
    ],
    verbs: &["get", "list", "watch", "patch"],
    reason: "puts the CA of the adapter's certificate where the API server looks for it",
}];
