//! What the cluster says no to, in words that help.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::KubeconfigError;

/// A question to the API server, as RBAC sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Verbs that the question needs.
    pub verbs: &'a [&'a str],
    /// API group; empty for the core.
    pub group: &'a str,
    /// Plural, with a subresource where there is one.
    pub resource: &'a str,
    /// The object; absent for a list.
    pub name: Option<&'a str>,
    /// Absent: all of them.
    pub namespace: Option<&'a str>,
}

impl Ask<'_> {
    /// The rule of a Role that allows it.
    pub fn rule(&self) -> String {
        let verbs: Vec<String> = self.verbs.iter().map(|verb| format!("{verb:?}")).collect();
        let place = match self.namespace {
            Some(namespace) => format!("in a Role of namespace {namespace}"),
            None => "in a ClusterRole".to_owned(),
        };
        format!(
            "{{apiGroups: [{:?}], resources: [{:?}], verbs: [{}]}} {place}",
            self.group,
            self.resource,
            verbs.join(", ")
        )
    }
}

impl fmt::Display for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verbs.first().copied().unwrap_or("get");
        write!(f, "{verb} {}", self.resource)?;
        match (self.name, self.namespace) {
            (Some(name), Some(namespace)) => write!(f, " {namespace}/{name}"),
            (Some(name), None) => write!(f, " {name}"),
            (None, Some(namespace)) => write!(f, " in namespace {namespace}"),
            (None, None) => write!(f, " in all namespaces"),
        }
    }
}

/// Why the cluster gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No cluster is known.
    #[error(
        "no cluster is known: {0}; set KUBECONFIG, give --kubeconfig FILE, or --context NAME for one of those in the file"
    )]
    NoCluster(#[from] KubeconfigError),
    /// There is no file that names one.
    #[error("no cluster is known: {0}; set KUBECONFIG, or give --kubeconfig FILE")]
    NoKubeconfig(String),
    /// The proxy of the kubeconfig.
    #[error(
        "the proxy-url of the cluster in the kubeconfig is not a URL of the schemes http, https, socks5 or socks5h"
    )]
    ProxyUrl,
    /// More about a user, and no user.
    #[error("--as-group and --as-uid need --as, or `as` for the user in the kubeconfig")]
    NobodyToBe,
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Client(#[source] Box<kube::Error>),
    /// No connection.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error(
        "cannot {what}: the API server did not answer within {limit:?}, or was too busy to; --request-timeout gives it longer"
    )]
    Late {
        /// What was asked.
        what: String,
        /// How long it had.
        limit: Duration,
    },
    /// The credentials do not count.
    #[error("the API server does not take the credentials of this context (401): {0}")]
    Unauthenticated(String),
    /// RBAC says no.
    #[error("not allowed to {what}; needed is the rule {rule}")]
    Forbidden {
        /// What was asked.
        what: String,
        /// The rule that allows it.
        rule: String,
    },
    /// The definitions are missing.
    #[error(
        "this cluster does not have the kinds of tokenweir.dev: install the chart tokenweir-crds, or ask another cluster \
         with --context"
    )]
    NotInstalled,
    /// The object is not there.
    #[error("there is no {what}")]
    NotFound {
        /// Kind, namespace and name.
        what: String,
    },
    /// Something in the cluster is not as it must be.
    #[error("{0}")]
    Unusable(String),
    /// Any other answer.
    #[error("cannot {what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// What the API server said.
        message: String,
    },
}

impl ClusterError {
    /// None of the files is there.
    pub fn no_kubeconfig(files: &[PathBuf]) -> Self {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        Self::NoKubeconfig(match names.as_slice() {
            [one] => format!("there is no file {one}"),
            _ => format!("none of these files exists: {}", names.join(", ")),
        })
    }

    /// What an error of a question means.
    pub fn of(ask: &Ask<'_>, error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return match error {
                kube::Error::Service(_) | kube::Error::HyperError(_) => Self::Unreachable(chain(&error)),
                other => Self::Refused {
                    what: ask.to_string(),
                    message: chain(&other),
                },
            };
        };
        let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        match status.code {
            401 => Self::Unauthenticated(status.message.clone()),
            403 => Self::Forbidden {
                what: ask.to_string(),
                rule: ask.rule(),
            },
            // An object that is missing is named; a resource that is missing is not.
            404 if ask.group == tokenweir_crds::api::GROUP && !named => Self::NotInstalled,
            404 => {
                let name = ask.name.unwrap_or_default();
                Self::NotFound {
                    what: match ask.namespace {
                        Some(namespace) => format!("{} {namespace}/{name}", ask.resource),
                        None => format!("{} {name}", ask.resource),
                    },
                }
            }
            _ => Self::Refused {
                what: ask.to_string(),
                message: status.message.clone(),
            },
        }
    }
}

/// An error with its causes in one line, without what one repeats of the other.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    const ASK: Ask<'_> = Ask {
        verbs: &["list"],
        group: "tokenweir.dev",
        resource: "modelroutes",
        name: None,
        namespace: Some("llm"),
    };

    fn said(code: u16, name: &str) -> String {
        let status = serde_json::json!({"code": code, "message": "no", "details": {"name": name}});
        let status: Status = serde_json::from_value(status).unwrap();
        ClusterError::of(&ASK, kube::Error::Api(status.boxed())).to_string()
    }

    #[test]
    fn a_forbidden_question_names_the_rule_that_allows_it() {
        assert_eq!(
            said(403, ""),
            "not allowed to list modelroutes in namespace llm; needed is the rule {apiGroups: [\"tokenweir.dev\"], \
             resources: [\"modelroutes\"], verbs: [\"list\"]} in a Role of namespace llm"
        );
    }

    #[test]
    fn missing_definitions_are_told_from_a_missing_object() {
        assert!(said(404, "").contains("tokenweir-crds"));
        assert!(said(404, "chat").starts_with("there is no modelroutes llm/"));
        assert!(said(500, "").starts_with("cannot list modelroutes in namespace llm: no"));
    }
}
