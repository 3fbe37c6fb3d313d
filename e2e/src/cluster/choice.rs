//! Which cluster is used: a pure decision over what was found on the machine.

use super::error::ClusterError;

/// A program that runs containers and that kind can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The kube context the user named.
    pub context: Option<String>,
    /// Whether the local cluster has parts that run.
    pub local_running: bool,
    /// The container engine that answers.
    pub engine: Option<Engine>,
    /// Whether this process may do what the local cluster needs.
    pub root: bool,
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The user's cluster.
    Context(String),
    /// The local cluster: found running, completed or started.
    Local,
    /// A kind cluster: found or created.
    Kind(Engine),
}

/// Decides: the named context; else the local cluster if it runs; else kind where an engine answers; else the local
/// cluster, which needs root.
pub fn choose(facts: &Facts) -> Result<Choice, ClusterError> {
    if let Some(context) = &facts.context {
        return Ok(Choice::Context(context.clone()));
    }
    if !facts.local_running
        && let Some(engine) = facts.engine
    {
        return Ok(Choice::Kind(engine));
    }
    if facts.root {
        Ok(Choice::Local)
    } else {
        Err(ClusterError::NeedsRoot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            root: true,
            ..Facts::default()
        }
    }

    #[test]
    fn a_named_context_wins_over_everything() {
        let facts = Facts {
            context: Some("prod".to_owned()),
            local_running: true,
            engine: Some(Engine::Docker),
            root: false,
        };
        assert_eq!(choose(&facts).unwrap(), Choice::Context("prod".to_owned()));
    }

    #[test]
    fn a_running_local_cluster_wins_over_kind() {
        let facts = Facts {
            local_running: true,
            engine: Some(Engine::Docker),
            ..facts()
        };
        assert_eq!(choose(&facts).unwrap(), Choice::Local);
    }

    #[test]
    fn kind_is_used_where_an_engine_answers_even_without_root() {
        let facts = Facts {
            engine: Some(Engine::Podman),
            root: false,
            ..facts()
        };
        assert_eq!(choose(&facts).unwrap(), Choice::Kind(Engine::Podman));
    }

    #[test]
    fn without_an_engine_the_local_cluster_is_started() {
        assert_eq!(choose(&facts()).unwrap(), Choice::Local);
    }

    #[test]
    fn without_an_engine_and_root_the_error_says_what_would_help() {
        let error = choose(&Facts { root: false, ..facts() }).unwrap_err();
        assert!(matches!(error, ClusterError::NeedsRoot));
        let text = error.to_string();
        assert!(
            text.contains("root") && text.contains("KUBE_CONTEXT") && text.contains("kind"),
            "{text}"
        );
    }
}
