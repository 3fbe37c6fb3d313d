//! A spec in few words, and in brief.

use serde_json::Value;
use tokenweir_crds::api::{
    HeaderChanges, HeaderLine, LLMGatewaySpec, LLMGatewayStatus, MatchType, ModelProviderSpec, ModelRouteSpec, NameRef,
    Protocol, RegionMode, RouteMatch, ScalingPolicySpec, ScalingPolicyStatus, SelectionMode, TenantSpec,
};

use crate::kind::Kind;

/// A heading and what stands behind it.
pub type Line = (&'static str, String);

/// What an object is, in a few words for a table. Reads no more than it needs, so that a spec of another version of the
/// schema is told as far as it is known.
pub fn about(kind: Kind, spec: &Value, status: Option<&Value>) -> String {
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let told = |field: &str| status.and_then(|status| status.get(field)?.as_i64()).unwrap_or(0);
    match kind {
        Kind::Gateway => format!(
            "{}/{} pods ready, generation {} on {}",
            told("readyReplicas"),
            told("replicas"),
            told("configGeneration"),
            told("podsOnGeneration")
        ),
        Kind::Provider => {
            let place = match (text("/endpoint"), text("/backendRef/name")) {
                ("", "") => "its public API".to_owned(),
                ("", service) => format!("Service {service}"),
                (endpoint, _) => endpoint.to_owned(),
            };
            format!("{} at {place}", text("/type"))
        }
        Kind::Route => {
            let named = |list: &str| {
                let targets = spec.get(list).and_then(Value::as_array).into_iter().flatten();
                let names = targets.filter_map(|target| target.pointer("/providerRef/name")?.as_str());
                names.collect::<Vec<_>>().join(", ")
            };
            let fallbacks = named("fallbacks");
            let then = if fallbacks.is_empty() {
                String::new()
            } else {
                format!(", else {fallbacks}")
            };
            format!("{} -> {}{then}", text("/model"), named("backends"))
        }
        Kind::Tenant => {
            let keys = spec
                .pointer("/auth/apiKeys")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            let allowed = spec.pointer("/models/allow").and_then(Value::as_array);
            let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(Value::as_str).collect();
            let of = match text("/parentRef/name") {
                "" => String::new(),
                parent => format!("of {parent}, "),
            };
            format!("{of}{}, models {}", count(keys, "key"), list(&allowed))
        }
        Kind::Policy => {
            let bound = |pointer: &str| spec.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
            format!(
                "{}: {} pods, {} wanted, {} to {} allowed",
                text("/targetRef/name"),
                told("currentReplicas"),
                told("desiredReplicas"),
                bound("/replicas/min"),
                bound("/replicas/max")
            )
        }
    }
}

/// The spec, and what the status says beside conditions, line by line.
pub fn brief(kind: Kind, spec: &Value, status: Option<&Value>) -> Vec<Line> {
    let status = status.cloned().unwrap_or(Value::Null);
    let lines = match kind {
        Kind::Gateway => serde_json::from_value(spec.clone())
            .map(|spec| gateway(&spec, &serde_json::from_value(status).unwrap_or_default())),
        Kind::Provider => serde_json::from_value(spec.clone()).map(|spec| provider(&spec)),
        Kind::Route => serde_json::from_value(spec.clone()).map(|spec| route(&spec)),
        Kind::Tenant => serde_json::from_value(spec.clone()).map(|spec| tenant(&spec)),
        Kind::Policy => serde_json::from_value(spec.clone())
            .map(|spec| policy(&spec, &serde_json::from_value(status).unwrap_or_default())),
    };
    lines.unwrap_or_else(|error| {
        vec![(
            "Spec",
            format!("is not of the version that this program knows: {error}"),
        )]
    })
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn list(items: &[&str]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

fn names(references: &[NameRef]) -> String {
    let names: Vec<&str> = references.iter().map(|reference| reference.name.as_str()).collect();
    list(&names)
}

/// The limits of a pod that are given.
fn limited(limits: &[(Option<u64>, &str)]) -> String {
    let given = limits
        .iter()
        .filter_map(|(limit, what)| Some(format!("{} {what}", (*limit)?)));
    let given: Vec<String> = given.collect();
    if given.is_empty() {
        "none".to_owned()
    } else {
        format!("{} in each pod", given.join(", "))
    }
}

fn gateway(spec: &LLMGatewaySpec, status: &LLMGatewayStatus) -> Vec<Line> {
    let listeners = spec.listeners.iter().map(|listener| {
        let protocol = match listener.protocol {
            Protocol::Http => "HTTP",
            Protocol::Https => "HTTPS",
        };
        format!("{} {protocol}", listener.port)
    });
    let queue = &spec.admission.queue;
    let mut lines = vec![
        ("Listeners", listeners.collect::<Vec<_>>().join(", ")),
        (
            "Admission",
            format!(
                "{} in flight in each pod, then up to {} wait {} at most ({:?}){}",
                spec.admission.max_in_flight,
                queue.max_depth,
                queue.max_wait,
                queue.order,
                spec.admission
                    .per_tenant
                    .max_in_flight
                    .map_or_else(String::new, |limit| format!("; {limit} in flight for each tenant"))
            ),
        ),
        (
            "Limits",
            format!(
                "bodies up to {}, {} connections a pod",
                spec.limits.max_body_bytes.0, spec.limits.max_connections
            ),
        ),
    ];
    lines.extend(spec.region.clone().map(|region| ("Region", region)));
    if let Some(proxy) = &spec.proxy {
        lines.push(("Proxy", proxy.url.clone()));
    }
    if let Some(otlp) = &spec.telemetry.otlp {
        lines.push(("Traces", otlp.endpoint.clone()));
    }
    lines.push((
        "Pods",
        format!("{} ready of {}", status.ready_replicas, status.replicas),
    ));
    lines.push((
        "Configuration",
        format!(
            "generation {} on {}",
            status.config_generation,
            count(usize::try_from(status.pods_on_generation).unwrap_or(0), "pod")
        ),
    ));
    if !status.lagging_pods.is_empty() {
        lines.push(("Lagging", status.lagging_pods.join(", ")));
    }
    if !status.addresses.is_empty() {
        lines.push(("Addresses", status.addresses.join(", ")));
    }
    lines
}

fn provider(spec: &ModelProviderSpec) -> Vec<Line> {
    let place = match (&spec.endpoint, &spec.backend_ref) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(service)) => format!(
            "Service {} port {}, path {:?}",
            service.name, service.port, service.path
        ),
        (None, None) => "the public API of this type".to_owned(),
    };
    let mut lines = vec![("Type", format!("{:?}", spec.provider_type)), ("Place", place)];
    if let Some(credentials) = &spec.credentials {
        let secret = &credentials.secret_ref;
        lines.push(("Credentials", format!("Secret {}, field {}", secret.name, secret.key)));
    }
    let region = spec.region.as_ref().or(spec.aws.as_ref().map(|aws| &aws.region));
    lines.extend(region.map(|region| ("Region", region.clone())));
    if let Some(google) = &spec.google {
        lines.push(("Project", format!("{}, location {}", google.project, google.location)));
    }
    let models: Vec<&str> = spec.models.iter().map(|model| model.name.as_str()).collect();
    let models = if models.is_empty() {
        "any".to_owned()
    } else {
        models.join(", ")
    };
    let (limits, timeouts, outlier) = (&spec.limits, &spec.timeouts, &spec.health.outlier);
    lines.push(("Models", models));
    lines.push((
        "Limits",
        limited(&[
            (limits.max_in_flight.map(u64::from), "in flight"),
            (limits.requests_per_minute, "requests a minute"),
            (limits.tokens_per_minute, "tokens a minute"),
        ]),
    ));
    lines.push((
        "Timeouts",
        format!(
            "connect {}, first token {}, idle {}, total {}",
            timeouts.connect, timeouts.first_token, timeouts.idle, timeouts.total
        ),
    ));
    lines.push((
        "Outlier",
        format!(
            "out for {} after {} errors in a row",
            outlier.eject_for, outlier.consecutive_errors
        ),
    ));
    if let Some(probe) = &spec.health.active_probe {
        lines.push(("Probe", format!("GET {} every {}", probe.path, probe.interval)));
    }
    lines
}

fn target(provider: &NameRef, model: Option<&str>) -> String {
    match model {
        Some(model) => format!("{} as {model}", provider.name),
        None => provider.name.clone(),
    }
}

/// Which requests for its model a route takes.
fn requests(matches: &[RouteMatch]) -> String {
    let test = |name: &str, how: MatchType, value: Option<&str>| match (how, value) {
        (MatchType::Exact, Some(value)) => format!("{name}={value}"),
        (MatchType::RegularExpression, Some(value)) => format!("{name}~{value}"),
        _ => name.to_owned(),
    };
    let entry = |entry: &RouteMatch| {
        let headers = entry.headers.iter();
        let headers = headers.map(|header| test(&header.name, header.match_type, header.value.as_deref()));
        let fields = entry.body.iter();
        let fields = fields.map(|field| {
            test(
                &format!("body.{}", field.path),
                field.match_type,
                field.value.as_deref(),
            )
        });
        headers.chain(fields).collect::<Vec<_>>().join(" and ")
    };
    let entries: Vec<String> = matches.iter().map(entry).collect();
    if entries.is_empty() {
        "all that no other route of this model takes".to_owned()
    } else {
        format!("with {}", entries.join(", or with "))
    }
}

/// Which headers are changed; their values are left to the spec.
fn changes(given: &HeaderChanges) -> String {
    let lines = |verb: &str, lines: &[HeaderLine]| {
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let remove = (!given.remove.is_empty()).then(|| format!("remove {}", given.remove.join(", ")));
    let all = [lines("set", &given.set), lines("add", &given.add), remove];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn route(spec: &ModelRouteSpec) -> Vec<Line> {
    let backends = spec.backends.iter().map(|backend| {
        let target = target(&backend.provider_ref, backend.model.as_deref());
        format!("{target}, weight {}", backend.weight)
    });
    let mut lines = vec![
        ("Model", spec.model.clone()),
        ("Requests", requests(&spec.matches)),
        ("Gateways", names(&spec.gateway_refs)),
        ("Backends", backends.collect::<Vec<_>>().join("; ")),
    ];
    if !spec.fallbacks.is_empty() {
        let fallbacks = spec.fallbacks.iter();
        let fallbacks = fallbacks.map(|fallback| target(&fallback.provider_ref, fallback.model.as_deref()));
        lines.push(("Fallbacks", fallbacks.collect::<Vec<_>>().join(", then ")));
    }
    let mode = match spec.selection.mode {
        SelectionMode::Weighted => "by weight",
        SelectionMode::LeastOutstandingTokens => "fewest tokens on their way",
        SelectionMode::LeastLatency => "first to answer",
    };
    let sticky = spec.selection.sticky.as_ref();
    let sticky = sticky.map_or_else(String::new, |sticky| format!(", sticky by header {}", sticky.header));
    let prefix = if spec.selection.prefix_affinity {
        ", by common prefix"
    } else {
        ""
    };
    let regions: Vec<&str> = spec.selection.regions.iter().map(String::as_str).collect();
    let place = if regions.is_empty() {
        "the gateway's region".to_owned()
    } else {
        regions.join(", then ")
    };
    let regions = match spec.selection.region {
        RegionMode::Any => String::new(),
        RegionMode::Prefer => format!(", preferably in {place}"),
        RegionMode::Require => format!(", only in {}", place.replace(", then ", " or ")),
    };
    lines.push(("Selection", format!("{mode}{sticky}{prefix}{regions}")));
    let towards = [
        ("to providers", &spec.request_headers),
        ("to clients", &spec.response_headers),
    ];
    let changes = towards
        .into_iter()
        .filter_map(|(way, given)| Some(format!("{way} {}", changes(given.as_ref()?))));
    let changes: Vec<String> = changes.collect();
    if !changes.is_empty() {
        lines.push(("Headers", changes.join("; ")));
    }
    let hedge = spec.retry.hedge_after.as_ref();
    let hedge = hedge.map_or_else(String::new, |after| format!(", a second request after {after}"));
    lines.push(("Retry", format!("{} more tries{hedge}", spec.retry.attempts)));
    lines.push(("Priority", format!("{:?}", spec.priority)));
    lines
}

fn tenant(spec: &TenantSpec) -> Vec<Line> {
    let keys = spec.api_keys().iter().map(|key| {
        let scopes = if key.scopes.is_empty() {
            String::new()
        } else {
            format!(" for {}", key.scopes.join(", "))
        };
        let expires = key.expires.as_ref();
        let expires = expires.map_or_else(String::new, |time| format!(" until {}", time.0));
        match &key.secret_ref {
            Some(secret) => format!(
                "{}{scopes} in Secret {}, field {}{expires}",
                key.name, secret.name, secret.key
            ),
            None => format!("{}{scopes} (minted){expires}", key.name),
        }
    });
    let allowed: Vec<&str> = spec.models.allow.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    if let Some(name) = &spec.display_name {
        lines.push(("Display name", name.clone()));
    }
    if let Some(parent) = &spec.parent_ref {
        lines.push(("Belongs to", parent.name.clone()));
    }
    let keys: Vec<String> = keys.collect();
    let keys = if keys.is_empty() {
        "none".to_owned()
    } else {
        keys.join("; ")
    };
    lines.push(("Keys", keys));
    lines.push(("Models", list(&allowed)));
    let priority = spec.limits.priority;
    let priority = priority.map_or_else(|| "that of the route".to_owned(), |priority| format!("{priority:?}"));
    lines.push((
        "Limits",
        limited(&[(spec.limits.max_in_flight.map(u64::from), "in flight")]),
    ));
    lines.push(("Priority", priority));
    lines
}

fn policy(spec: &ScalingPolicySpec, status: &ScalingPolicyStatus) -> Vec<Line> {
    let known = |n: Option<i32>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let mut lines = vec![
        ("Target", format!("{} {}", spec.target_ref.kind, spec.target_ref.name)),
        (
            "Pods",
            format!(
                "{} now, {} wanted, {} to {} allowed",
                known(status.current_replicas),
                known(status.desired_replicas),
                spec.replicas.min,
                spec.replicas.max
            ),
        ),
    ];
    lines.extend(status.signals.iter().map(|signal| {
        let value = signal.value.as_deref().unwrap_or("no value");
        ("Signal", format!("{}: {value}, aim {}", signal.name, signal.target))
    }));
    if let Some(time) = &status.last_scale_time {
        lines.push(("Last change", time.0.to_string()));
    }
    lines
}
