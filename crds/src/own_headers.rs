//! Headers that a route cannot change, as the gateway or its connections decide about them.

use kube::core::Rule;

use crate::rules::rule;

/// Headers of one direction.
pub(crate) struct OwnHeaders {
    names: &'static [&'static str],
    prefixes: &'static [&'static str],
}

/// On the way to a provider: what proves the gateway to it, what describes the body, what belongs to the connection, what
/// signatures and traces are about, and what the gateway itself says.
pub(crate) const TO_PROVIDERS: OwnHeaders = OwnHeaders {
    names: &[
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-request-id",
        "x-request-timeout",
    ],
    prefixes: &["proxy-", "x-amz", "x-goog-", "x-tokenweir-"],
};

/// On the way back to a client: what describes the body, what belongs to the connection, and what the gateway itself says.
pub(crate) const TO_CLIENTS: OwnHeaders = OwnHeaders {
    names: &[
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "request-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "x-request-id",
    ],
    prefixes: &["proxy-", "x-tokenweir-"],
};

impl OwnHeaders {
    /// Whether a name in lower case is one of them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The list `list` of objects with a `name` has none of them.
    pub(crate) fn kept_out_of(&self, list: &str) -> Rule {
        self.kept_out(
            list,
            "h.name",
            &format!("self.{list}.filter(h, {}).map(h, h.name)", self.is_own("h.name")),
        )
    }

    /// The list `list` of names has none of them.
    pub(crate) fn kept_out_of_names(&self, list: &str) -> Rule {
        self.kept_out(list, "h", &format!("self.{list}.filter(h, {})", self.is_own("h")))
    }

    fn kept_out(&self, list: &str, name: &str, given: &str) -> Rule {
        rule(
            format!("!has(self.{list}) || !self.{list}.exists(h, {})", self.is_own(name)),
            "a route cannot change %s: the gateway itself decides about what proves it, describes the body, belongs to the \
             connection or traces the request",
            &[given],
        )
        .field_path(format!(".{list}"))
    }

    fn is_own(&self, name: &str) -> String {
        let prefixes: Vec<String> = self.prefixes.iter().map(|prefix| format!("{prefix}.*")).collect();
        format!(
            "{name}.lowerAscii().matches('^({}|{})$')",
            self.names.join("|"),
            prefixes.join("|")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_all_of_them() {
        let docs = include_str!("../../docs/routing.md");
        for own in [TO_PROVIDERS, TO_CLIENTS] {
            let names = own.names.iter().map(|name| format!("`{name}`"));
            let prefixes = own.prefixes.iter().map(|prefix| format!("`{prefix}*`"));
            for written in names.chain(prefixes) {
                assert!(docs.contains(&written), "{written} is missing in docs/routing.md");
            }
        }
    }
}
