//! Building blocks of the CEL rules in the schemas.
//!
//! Every message is an expression, so that it can say what was given. A rule over several fields holds while one of them
//! is malformed: the rule of that field reports it, and the reader gets one message for one mistake.

use kube::core::{Message, Rule};

/// What Go, CEL and [`crate::Duration`] all read. Days are left out: every bound in use lies below one day.
const DURATION: &str = r"^([0-9]+(\\.[0-9]{1,3})?(ms|s|m|h))+$";

/// A rule whose message is a CEL expression of type string.
pub(crate) fn rule(expression: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(expression).message(Message::Expression(message.into()))
}

/// `self` is a duration.
pub(crate) fn is_duration() -> Rule {
    rule(
        format!("self.matches('{DURATION}')"),
        r#""'" + self + "' is not a duration; write a number and a unit of ms, s, m or h, such as 250ms, 30s or 1h30m""#,
    )
}

/// The duration `self` lies between two durations, both allowed.
pub(crate) fn duration_between(name: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "!self.matches('{DURATION}') || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}'))"
        ),
        format!(r#""{name} is " + self + "; it must be between {least} and {most}""#),
    )
}

/// The duration in field `short` is at most the one in field `long`, both required or defaulted fields of `self`.
pub(crate) fn not_longer(short: &str, long: &str) -> Rule {
    rule(
        format!(
            "!self.{short}.matches('{DURATION}') || !self.{long}.matches('{DURATION}') || duration(self.{short}) <= \
             duration(self.{long})"
        ),
        format!(
            r#""{short} (" + self.{short} + ") is longer than {long} (" + self.{long} + "); raise {long} or lower {short}""#
        ),
    )
    .field_path(format!(".{short}"))
}

/// The object's own name can stand where Tokenweir puts it: in labels, metric selectors and names of owned objects.
pub(crate) fn name_within(most: usize) -> Rule {
    rule(
        format!("self.metadata.name.size() <= {most}"),
        format!(
            r#""the name '" + self.metadata.name + "' has " + string(self.metadata.name.size()) + " characters; at most {most} fit into the labels and names made from it""#
        ),
    )
}

/// The object's own name is a DNS label that begins with a letter, as a Service's name must.
pub(crate) fn name_is_service_name() -> Rule {
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        r#""the name '" + self.metadata.name + "' cannot name a Service; use lower-case letters, digits and '-', beginning with a letter and without dots""#,
    )
}

/// A model name or glob: no white space.
pub(crate) fn model_name() -> Rule {
    rule(
        r"self.matches('^[^\\s]+$')",
        r#""'" + self + "' is not a model name; it must not be empty or contain white space""#,
    )
}

/// A model name in which `*` does not stand for anything.
pub(crate) fn model_name_without_glob() -> Rule {
    rule(
        "!self.contains('*')",
        r#""'" + self + "' is a glob; here one model must be named, or none to pass on the name that the client sent""#,
    )
}

/// An HTTP base URL.
pub(crate) fn http_url() -> Rule {
    rule(
        r"self.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$') && isURL(self)",
        r#""'" + self + "' is not a base URL; write http:// or https://, a host, and a path if there is one, such as https://api.example.com/v1""#,
    )
}

/// A quantity above zero in an int-or-string field.
pub(crate) fn positive_quantity() -> Rule {
    rule(
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        r#""'" + string(self) + "' is not a number above 0; write for example 10, \"2.5\" or 500m""#,
    )
}

/// A duration of whole seconds between two durations: what a HorizontalPodAutoscaler can hold.
pub(crate) fn whole_seconds(name: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "!self.matches('{DURATION}') || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}') && \
             duration(self).getMilliseconds() % 1000 == 0)"
        ),
        format!(r#""{name} is " + self + "; it must be whole seconds between {least} and {most}""#),
    )
}

/// Exactly one of the fields of `self` is there.
pub(crate) fn exactly_one(fields: &[&str]) -> Rule {
    let given: Vec<String> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    let names: Vec<String> = fields
        .iter()
        .map(|field| format!("(has(self.{field}) ? ['{field}'] : [])"))
        .collect();
    rule(
        format!("[{}].filter(given, given).size() == 1", given.join(", ")),
        format!(
            r#""exactly one of {} must be given; given is [" + ({}).join(", ") + "]""#,
            fields.join(", "),
            names.join(" + ")
        ),
    )
}

/// `tenantRef` and `routeRef` are not both there: values are counted by tenant and by route, not by pairs of them.
pub(crate) fn at_most_one_scope() -> Rule {
    rule(
        "!(has(self.tenantRef) && has(self.routeRef))",
        "'tenantRef (' + self.tenantRef.name + ') and routeRef (' + self.routeRef.name + ') are both given; values are counted by tenant or by route, keep one of them'",
    )
}

/// Every value of a map is a quantity.
pub(crate) fn quantities() -> Rule {
    rule(
        "self.all(k, isQuantity(string(self[k])) && quantity(string(self[k])).sign() >= 0)",
        "'not a quantity of 0 or more: ' + self.filter(k, !(isQuantity(string(self[k])) && quantity(string(self[k])).sign() >= 0)).map(k, k + ' (' + string(self[k]) + ')').join(', ') + '; write for example 500m or 64Mi'",
    )
}

/// No request is above its limit.
pub(crate) fn requests_within_limits() -> Rule {
    let above = "has(self.requests) && has(self.limits) && k in self.limits && isQuantity(string(self.requests[k])) && \
                 isQuantity(string(self.limits[k])) && \
                 quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k])))";
    rule(
        format!("!has(self.requests) || !self.requests.exists(k, {above})"),
        format!(
            "'the request is above the limit for ' + self.requests.filter(k, {above}).map(k, k + ' (' + string(self.requests[k]) + ' above ' + string(self.limits[k]) + ')').join(', ')"
        ),
    )
}
