//! Request lines of a provider.

use std::fmt::Write as _;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use tokenweir_llm::Operation;

use super::cloud::{Ask, Cloud};

/// What decides a request line.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// What is asked of the provider, in its own dialect.
    pub operation: Operation,
    /// The provider's name of the model.
    pub model: &'a str,
    /// The client's query.
    pub query: Option<&'a str>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
}

/// Request lines of one target.
#[derive(Debug)]
pub struct Uris {
    /// The value of `host`.
    pub host: HeaderValue,
    scheme: Scheme,
    authority: Authority,
    paths: Paths,
}

#[derive(Debug)]
enum Paths {
    /// By operation, with the client's query.
    Fixed(Box<[PathAndQuery; Operation::ALL.len()]>),
    /// Azure's older API: the model is a deployment in the path, and the version of the API is the query. A client that
    /// speaks to the gateway does not know either.
    Deployments { prefix: Box<str>, version: Box<str> },
    /// The model stands in the path, and the client's query says nothing there.
    Cloud { cloud: Cloud, prefix: Box<str> },
}

impl Uris {
    /// Request lines below a prefix; `None` if that is no path.
    pub(super) fn new(scheme: Scheme, authority: Authority, prefix: &str) -> Option<Self> {
        let mut paths = Operation::ALL.map(|_| PathAndQuery::from_static("/"));
        for (path, operation) in paths.iter_mut().zip(Operation::ALL) {
            *path = PathAndQuery::try_from(format!("{prefix}{}", operation.path())).ok()?;
        }
        Some(Self {
            host: HeaderValue::from_str(authority.as_str()).ok()?,
            scheme,
            authority,
            paths: Paths::Fixed(Box::new(paths)),
        })
    }

    /// The same for Azure's API of that version, which is one of digits, letters and dashes.
    pub(super) fn with_deployments(self, prefix: &str, version: &str) -> Option<Self> {
        PathAndQuery::try_from(format!("{prefix}/?api-version={version}")).ok()?;
        Some(Self {
            paths: Paths::Deployments {
                prefix: prefix.into(),
                version: version.into(),
            },
            ..self
        })
    }

    /// The same for a cloud, whose paths are its own.
    pub(super) fn with_models(self, prefix: &str, cloud: Cloud) -> Self {
        Self {
            paths: Paths::Cloud {
                cloud,
                prefix: prefix.into(),
            },
            ..self
        }
    }

    fn path(&self, line: &Line<'_>) -> PathAndQuery {
        match &self.paths {
            Paths::Cloud { cloud, prefix } => {
                let ask = match line.operation {
                    Operation::Embeddings => Ask::Embeddings,
                    _ => Ask::Answer { stream: line.stream },
                };
                let path = cloud.path(prefix, ask, line.model);
                // The prefix was tried before, and what is escaped always fits.
                PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"))
            }
            Paths::Fixed(paths) => with_query(&paths[line.operation as usize], line.query),
            Paths::Deployments { prefix, version } => {
                let mut path = String::from(&**prefix);
                // Responses came after deployments had left the paths.
                if line.operation != Operation::Responses {
                    path.push_str("/deployments/");
                    escape(line.model, &mut path);
                }
                path.push_str(line.operation.path());
                path.push_str("?api-version=");
                path.push_str(version);
                // Prefix and version were tried before, and what is escaped always fits.
                PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"))
            }
        }
    }

    /// Path alone, for HTTP/1.1.
    pub fn origin_form(&self, line: &Line<'_>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(self.path(line));
        // A path alone is always a URI.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// The whole URI, for HTTP/2.
    pub fn absolute_form(&self, line: &Line<'_>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path(line));
        // Scheme, authority and path are all there, which is all that can be wrong with parts that parsed.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

fn with_query(path: &PathAndQuery, query: Option<&str>) -> PathAndQuery {
    // The query came out of a URI that parsed, so it fits behind a path too.
    query
        .and_then(|query| PathAndQuery::try_from(format!("{path}?{query}")).ok())
        .unwrap_or_else(|| path.clone())
}

/// Appends a name as one segment of a path: all but letters, digits and `-._~` percent-encoded.
pub(super) fn escape(name: &str, path: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(operation: Operation, model: &'a str, query: Option<&'a str>) -> Line<'a> {
        Line {
            operation,
            model,
            query,
            stream: false,
        }
    }

    fn uris(prefix: &str) -> Uris {
        Uris::new(Scheme::HTTPS, "h:8443".parse().unwrap(), prefix).unwrap()
    }

    #[test]
    fn request_lines_carry_the_prefix_of_the_endpoint_and_the_query_of_the_client() {
        let uris = uris("/openai/v1");
        assert_eq!(
            uris.origin_form(&line(Operation::Chat, "m", None)),
            "/openai/v1/chat/completions"
        );
        assert_eq!(
            uris.absolute_form(&line(Operation::CountTokens, "m", Some("beta=true"))),
            "https://h:8443/openai/v1/messages/count_tokens?beta=true"
        );
        assert_eq!(uris.host, "h:8443");
    }

    #[test]
    fn azures_older_paths_name_the_deployment_and_the_version_and_nothing_of_the_client() {
        let uris = uris("/openai").with_deployments("/openai", "2024-10-21").unwrap();
        let path = |operation, model| uris.origin_form(&line(operation, model, Some("a=b"))).to_string();
        assert_eq!(
            path(Operation::Chat, "gpt 5/x?ü"),
            "/openai/deployments/gpt%205%2Fx%3F%C3%BC/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            path(Operation::Embeddings, "e-3"),
            "/openai/deployments/e-3/embeddings?api-version=2024-10-21"
        );
        assert_eq!(
            path(Operation::Responses, "gpt-5"),
            "/openai/responses?api-version=2024-10-21"
        );
    }

    #[test]
    fn a_version_that_does_not_fit_into_a_query_is_refused() {
        assert!(uris("").with_deployments("/openai", "a b").is_none());
    }
}
