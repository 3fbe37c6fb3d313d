//! What the operator was told at its start and puts into the objects that it makes.

/// When kubelets pull the gateway image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PullPolicy {
    /// At every start of a pod.
    #[value(name = "Always")]
    Always,
    /// When the node does not have it.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// Never: it is on the node already.
    #[value(name = "Never")]
    Never,
}

impl PullPolicy {
    /// The name that Kubernetes has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Settings of the objects that the operator makes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace in which the operator, the adapter and their Secrets are.
    pub install_namespace: String,
    /// Image of gateway pods.
    pub gateway_image: String,
    /// When kubelets pull it.
    pub pull_policy: PullPolicy,
    /// Secrets with which kubelets pull it.
    pub pull_secrets: Vec<String>,
    /// Priority class of gateway pods.
    pub priority_class: Option<String>,
    /// Domain under which Services of the cluster have names.
    pub cluster_domain: String,
}
