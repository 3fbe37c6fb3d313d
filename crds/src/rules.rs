//! Building blocks of the CEL rules in the schemas.
//!
//! Every message is an expression, so that it can say what was given. It is made by `format` and not by `+`: the API
//! server cannot bound the length of `string(number)`, and refuses to add anything to it.
//!
//! A rule over several fields holds while one of them is malformed: the rule of that field reports it, and the reader gets
//! one message for one mistake.

use kube::core::{Message, Rule};

/// What Go, CEL and [`crate::Duration`] all read. Days are left out: every bound in use lies at or below one day.
const DURATION: &str = r"^([0-9]+(\\.[0-9]{1,3})?(ms|s|m|h))+$";

/// A rule whose message is `template` with the CEL expressions `given` in the places of its `%s`.
pub(crate) fn rule(expression: impl Into<String>, template: &str, given: &[&str]) -> Rule {
    let template = template.replace('\\', r"\\").replace('"', r#"\""#);
    Rule::new(expression).message(Message::Expression(format!(
        r#""{template}".format([{}])"#,
        given.join(", ")
    )))
}

/// `self` is a duration.
pub(crate) fn is_duration() -> Rule {
    rule(
        format!("self.matches('{DURATION}')"),
        "'%s' is not a duration; write a number and a unit of ms, s, m or h, such as 250ms, 30s or 1h30m",
        &["self"],
    )
}

/// `self` is a span of minutes, hours or days; the same form as [`crate::Span`] reads.
pub(crate) fn is_span() -> Rule {
    rule(
        "self.matches('^([1-9][0-9]{0,3}d|[1-9][0-9]{0,4}h|[1-9][0-9]{0,5}m)$')",
        "'%s' is not a span; write a whole number of minutes, hours or days, such as 90m, 12h or 90d",
        &["self"],
    )
}

/// Only a key that is made here is made again.
pub(crate) fn rotates_what_is_minted() -> Rule {
    rule(
        "!(has(self.rotate) && has(self.secretRef))",
        "the key '%s' has a secretRef and rotate; whoever makes the key in Secret %s rotates it, so leave one of them out",
        &["self.name", "self.secretRef.name"],
    )
}

/// The duration `self` lies between two durations, both allowed.
pub(crate) fn duration_between(name: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "!self.matches('{DURATION}') || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}'))"
        ),
        &format!("{name} is %s; it must be between {least} and {most}"),
        &["self"],
    )
}

/// A duration of whole seconds between two durations: what a HorizontalPodAutoscaler can hold.
pub(crate) fn whole_seconds(name: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "!self.matches('{DURATION}') || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}') && \
             duration(self).getMilliseconds() % 1000 == 0)"
        ),
        &format!("{name} is %s; it must be whole seconds between {least} and {most}"),
        &["self"],
    )
}

/// The duration in field `short` is at most the one in field `long`, both required or defaulted fields of `self`.
pub(crate) fn not_longer(short: &str, long: &str) -> Rule {
    rule(
        format!(
            "!self.{short}.matches('{DURATION}') || !self.{long}.matches('{DURATION}') || duration(self.{short}) <= \
             duration(self.{long})"
        ),
        &format!("{short} (%s) is longer than {long} (%s); raise {long} or lower {short}"),
        &[&format!("self.{short}"), &format!("self.{long}")],
    )
    .field_path(format!(".{short}"))
}

/// The object's own name can stand where Tokenweir puts it: in labels, metric selectors and names of owned objects.
pub(crate) fn name_within(most: usize) -> Rule {
    rule(
        format!("self.metadata.name.size() <= {most}"),
        &format!(
            "the name '%s' has %s characters; at most {most} fit into the labels and the names of objects made from it"
        ),
        &["self.metadata.name", "self.metadata.name.size()"],
    )
}

/// No tenant is above itself. Longer circles take other objects to see.
pub(crate) fn not_its_own_parent() -> Rule {
    rule(
        "!has(self.spec.parentRef) || self.spec.parentRef.name != self.metadata.name",
        "parentRef names the tenant itself, '%s'; name the tenant above it, or leave it out",
        &["self.metadata.name"],
    )
}

/// The object's own name is a DNS label that begins with a letter, as a Service's name must.
pub(crate) fn name_is_service_name() -> Rule {
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name '%s' cannot name a Service; use lower-case letters, digits and '-', beginning with a letter and without dots",
        &["self.metadata.name"],
    )
}

/// A model name or glob: no white space.
pub(crate) fn model_name() -> Rule {
    rule(
        r"self.matches('^[^\\s]+$')",
        "'%s' is not a model name; it must not be empty or contain white space",
        &["self"],
    )
}

/// A model name in which `*` does not stand for anything.
pub(crate) fn model_name_without_glob() -> Rule {
    rule(
        "!self.contains('*')",
        "'%s' is a glob; here one model must be named, or none to pass on the name that the client sent",
        &["self"],
    )
}

/// A duration or a percentile.
pub(crate) fn hedge() -> Rule {
    rule(
        format!(
            "self.matches('^p[1-9][0-9]?$') || (self.matches('{DURATION}') && duration(self) >= duration('1ms') && \
             duration(self) <= duration('1h'))"
        ),
        "hedgeAfter is '%s'; it must be a duration between 1ms and 1h, such as 2s, or a percentile from p1 to p99, such as p95",
        &["self"],
    )
}

/// The name of an HTTP header.
pub(crate) fn header_name() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9_-]+$')",
        "'%s' is not the name of a header; use letters, digits, '-' and '_'",
        &["self"],
    )
}

/// The name of a header that does not prove who a client is; `instead` says which one would be right.
pub(crate) fn header_of_no_credential(instead: &str) -> Rule {
    rule(
        "!(self.lowerAscii() in ['authorization', 'x-api-key', 'api-key', 'cookie'])",
        &format!("the header '%s' proves who the client is; {instead}"),
        &["self"],
    )
}

/// The value of an HTTP header.
pub(crate) fn header_value() -> Rule {
    rule(
        r"self.matches('^[!-~]([ -~\\t]*[!-~])?$')",
        "'%s' is not the value of a header; use visible ASCII characters, with blanks in between only",
        &["self"],
    )
}

/// No header stands twice among the lists `set`, `add` and `remove` of `self`, in whatever case.
pub(crate) fn headers_changed_once() -> Rule {
    let same = |list: &str, other: &str| {
        let name = |list: &str, item: &str| match list {
            "remove" => format!("{item}.lowerAscii()"),
            _ => format!("{item}.name.lowerAscii()"),
        };
        let quantifier = if list == other { "exists_one" } else { "exists" };
        let found = format!(
            "self.{other}.{quantifier}(b, {} == {})",
            name(other, "b"),
            name(list, "a")
        );
        if list == other {
            found
        } else {
            format!("!(has(self.{other}) && {found})")
        }
    };
    let once = |list: &str, others: &[&str]| {
        let all: Vec<String> = std::iter::once(&list)
            .chain(others)
            .map(|other| same(list, other))
            .collect();
        format!("(!has(self.{list}) || self.{list}.all(a, {}))", all.join(" && "))
    };
    rule(
        [
            once("set", &["add", "remove"]),
            once("add", &["remove"]),
            once("remove", &[]),
        ]
        .join(" && "),
        "a header stands twice among set (%s), add (%s) and remove (%s); name each one once, whatever its case",
        &[
            "has(self.set) ? self.set.map(h, h.name) : []",
            "has(self.add) ? self.add.map(h, h.name) : []",
            "has(self.remove) ? self.remove : []",
        ],
    )
}

/// A condition on a value has one to compare with, unless any will do.
pub(crate) fn value_of_match() -> Rule {
    rule(
        "(self.type == 'Present') != has(self.value)",
        "a condition of type %s has value %s; give one for Exact and RegularExpression, and none for Present",
        &["self.type", "has(self.value) ? 'given' : 'not given'"],
    )
}

/// A decimal of dollars, or one to multiply dollars with.
pub(crate) fn money(name: &str) -> Rule {
    rule(
        "self.matches('^[0-9]{1,7}([.][0-9]{1,9})?$')",
        &format!("{name} is '%s'; write a decimal below 10000000 with up to 9 decimals, such as 0.25"),
        &["self"],
    )
}

/// The name of a region.
pub(crate) fn region() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "'%s' is not the name of a region; use lower-case letters, digits and '-', such as eu-central-1",
        &["self"],
    )
}

/// An HTTP base URL.
pub(crate) fn http_url() -> Rule {
    rule(
        r"self.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$') && isURL(self)",
        "'%s' is not a base URL; write http:// or https://, a host, and a path if there is one, such as https://api.example.com/v1",
        &["self"],
    )
}

/// A quantity above zero in an int-or-string field.
pub(crate) fn positive_quantity() -> Rule {
    rule(
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        "'%s' is not a number above 0; write for example 10, \"2.5\" or 500m",
        &["self"],
    )
}

/// A whole number of bytes between two quantities, both allowed, in an int-or-string field.
pub(crate) fn bytes_between(name: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "string(self).matches('^[0-9]+(k|M|G|Ki|Mi|Gi)?$') && isQuantity(string(self)) && \
             !quantity(string(self)).isLessThan(quantity('{least}')) && !quantity(string(self)).isGreaterThan(quantity('{most}'))"
        ),
        &format!("{name} is '%s'; it must be a whole number of bytes between {least} and {most}, such as 16Mi"),
        &["self"],
    )
}

/// Every value of a map is a quantity of zero or more.
pub(crate) fn quantities() -> Rule {
    const GOOD: &str = "isQuantity(string(self[k])) && !quantity(string(self[k])).isLessThan(quantity('0'))";
    rule(
        format!("self.all(k, {GOOD})"),
        "no quantity of 0 or more is given for %s; write for example 500m or 64Mi",
        &[&format!("self.filter(k, !({GOOD}))")],
    )
}

/// No request is above its limit.
pub(crate) fn requests_within_limits() -> Rule {
    const ABOVE: &str = "k in self.limits && isQuantity(string(self.requests[k])) && isQuantity(string(self.limits[k])) && \
                         quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k])))";
    rule(
        format!("!has(self.requests) || !has(self.limits) || !self.requests.exists(k, {ABOVE})"),
        "the request is above the limit for %s; raise the limit or lower the request",
        &[&format!("self.requests.filter(k, {ABOVE})")],
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
        &format!("exactly one of {} must be given; given is %s", fields.join(", ")),
        &[&names.join(" + ")],
    )
}

/// `tenantRef` and `routeRef` are not both there: values are counted by tenant and by route, not by pairs of them.
pub(crate) fn at_most_one_scope() -> Rule {
    rule(
        "!(has(self.tenantRef) && has(self.routeRef))",
        "tenantRef (%s) and routeRef (%s) are both given; values are counted by tenant or by route, keep one of them",
        &["self.tenantRef.name", "self.routeRef.name"],
    )
}
