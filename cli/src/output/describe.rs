//! Everything about one object, for somebody who wants to know why it is as it is.

use std::fmt::Write as _;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::age::ago;
use super::spec::Line;
use super::state::Summary;
use super::table::{Align, Cell, Table, Tone, clean};

/// What is told about an object.
#[derive(Debug)]
pub struct Description {
    pub summary: Summary,
    pub brief: Vec<Line>,
    /// Gateway pods that serve it or are it, or why they could not be asked.
    pub pods: Result<Vec<PodLine>, String>,
    /// Providers as the pods see them.
    pub providers: Vec<ProviderLine>,
    /// The newest last, or why they could not be read.
    pub events: Result<Vec<EventLine>, String>,
}

/// A gateway pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodLine {
    pub gateway: String,
    pub pod: String,
    /// Whether Kubernetes takes it to be ready.
    pub ready: bool,
    /// The generation that it serves.
    pub generation: Option<u64>,
    /// For how long it serves that.
    pub since: String,
    /// What it says about itself beside that, or why it said nothing.
    pub says: String,
    #[serde(skip)]
    pub tone: Tone,
}

/// A provider as one pod sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderLine {
    pub provider: String,
    pub pod: String,
    pub state: &'static str,
    pub since: String,
    pub reason: String,
    #[serde(skip)]
    pub tone: Tone,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLine {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    pub reason: String,
    /// When it happened last.
    #[serde(serialize_with = "time")]
    pub last: Option<Timestamp>,
    /// How often.
    pub count: i32,
    pub message: String,
}

#[allow(clippy::ref_option, reason = "the form that serde calls")]
fn time<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// The description as text.
pub fn describe_text(told: &Description, now: Timestamp, color: bool) -> String {
    let mut out = String::new();
    let summary = &told.summary;
    let mut line = |heading: &str, text: &str| {
        let _ = writeln!(out, "{:<15} {}", format!("{heading}:"), clean(text));
    };
    line("Name", &summary.name);
    line("Namespace", &summary.namespace);
    line("Kind", summary.kind.name());
    if let Some(created) = summary.created {
        line("Created", &format!("{created} ({} ago)", ago(created, now)));
    }
    for (heading, text) in &told.brief {
        line(heading, text);
    }
    out.push_str("\nConditions:\n");
    if summary.conditions.is_empty() {
        let _ = writeln!(out, "  {}", summary.message());
    }
    for condition in summary.condition_lines(now) {
        let _ = writeln!(out, "  {}", condition.tone.paint(&clean(&condition.text), color));
    }
    out.push_str("\nGateway pods:\n");
    match &told.pods {
        Ok(pods) if pods.is_empty() => out.push_str("  none\n"),
        Ok(pods) => indent(&mut out, &pod_table(pods).render(color)),
        Err(why) => {
            let _ = writeln!(out, "  {}", clean(why));
        }
    }
    if !told.providers.is_empty() {
        out.push_str("\nProviders:\n");
        indent(&mut out, &provider_table(&told.providers).render(color));
    }
    out.push_str("\nEvents:\n");
    match &told.events {
        Ok(events) if events.is_empty() => out.push_str("  none\n"),
        Ok(events) => indent(&mut out, &event_table(events, now).render(color)),
        Err(why) => {
            let _ = writeln!(out, "  {}", clean(why));
        }
    }
    out
}

fn indent(out: &mut String, table: &str) {
    for line in table.lines() {
        let _ = writeln!(out, "  {line}");
    }
}

fn pod_table(pods: &[PodLine]) -> Table {
    let mut table = Table::left(["GATEWAY", "POD", "READY", "GENERATION", "SINCE", "SAYS"]);
    for pod in pods {
        table.row(vec![
            pod.gateway.as_str().into(),
            pod.pod.as_str().into(),
            Cell::condition(Some(if pod.ready { "True" } else { "False" })),
            pod.generation.map_or_else(|| "-".to_owned(), |n| n.to_string()).into(),
            pod.since.as_str().into(),
            Cell::new(pod.says.as_str(), pod.tone),
        ]);
    }
    table
}

fn provider_table(providers: &[ProviderLine]) -> Table {
    let mut table = Table::left(["PROVIDER", "POD", "HEALTH", "SINCE", "REASON"]);
    for provider in providers {
        table.row(vec![
            provider.provider.as_str().into(),
            provider.pod.as_str().into(),
            Cell::new(provider.state, provider.tone),
            provider.since.as_str().into(),
            provider.reason.as_str().into(),
        ]);
    }
    table
}

fn event_table(events: &[EventLine], now: Timestamp) -> Table {
    let mut table = Table::new([
        ("LAST", Align::Left),
        ("TYPE", Align::Left),
        ("REASON", Align::Left),
        ("COUNT", Align::Right),
        ("MESSAGE", Align::Left),
    ]);
    for event in events {
        let tone = if event.kind == "Warning" {
            Tone::Warn
        } else {
            Tone::Plain
        };
        table.row(vec![
            event.last.map_or_else(String::new, |last| ago(last, now)).into(),
            Cell::new(event.kind.as_str(), tone),
            event.reason.as_str().into(),
            event.count.to_string().into(),
            event.message.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::kind::Kind;
    use crate::output::brief;

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

    fn told(kind: Kind, spec: &Value, status: &Value) -> Description {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": kind.name(), "spec": spec, "status": status,
            "metadata": {"name": "one", "namespace": "llm", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"},
        }))
        .unwrap();
        Description {
            summary: Summary::of(kind, &object),
            brief: brief(kind, spec, Some(status)),
            pods: Ok(Vec::new()),
            providers: Vec::new(),
            events: Ok(Vec::new()),
        }
    }

    fn text(kind: Kind, spec: &Value, status: &Value) -> String {
        describe_text(&told(kind, spec, status), now(), false)
    }

    #[test]
    fn a_route_that_does_not_work_tells_why_in_the_order_of_causes() {
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T23:55:00Z",
            })
        };
        let spec = json!({
            "model": "assistant", "gatewayRefs": [{"name": "edge"}],
            "backends": [{"providerRef": {"name": "sim"}, "model": "sim-small", "weight": 3}, {"providerRef": {"name": "b"}}],
            "fallbacks": [{"providerRef": {"name": "spare"}}],
            "selection": {"mode": "LeastLatency", "region": "Prefer", "sticky": {"header": "x-session"}}, "retry": {"hedgeAfter": "p95"},
            "match": [{"headers": [{"name": "x-team", "value": "a"}], "body": [{"path": "user", "type": "Present"}]}],
            "requestHeaders": {"set": [{"name": "x-origin", "value": "edge"}], "remove": ["x-debug"]},
        });
        let conditions = [
            condition("Healthy", "Unknown", "NotReported", "no pod has told"),
            condition("Accepted", "True", "Accepted", "the object is valid"),
            condition(
                "ResolvedRefs",
                "False",
                "ProviderNotFound",
                "spec.backends[1].providerRef.name: there is no b",
            ),
        ];
        let mut told = told(
            Kind::Route,
            &spec,
            &json!({"observedGeneration": 2, "conditions": conditions}),
        );
        told.pods = Ok(vec![PodLine {
            gateway: "edge".to_owned(),
            pod: "edge-0".to_owned(),
            ready: true,
            generation: Some(7),
            since: "5m".to_owned(),
            says: "refuses the newest: too new".to_owned(),
            tone: Tone::Bad,
        }]);
        told.providers = vec![ProviderLine {
            provider: "sim".to_owned(),
            pod: "edge-0".to_owned(),
            state: "Unhealthy",
            since: "4m".to_owned(),
            reason: "5 requests in a row failed".to_owned(),
            tone: Tone::Bad,
        }];
        told.events = Ok(vec![EventLine {
            kind: "Warning".to_owned(),
            reason: "ProviderNotFound".to_owned(),
            last: Some("2026-01-01T23:59:00Z".parse().unwrap()),
            count: 12,
            message: "there is no b\nat all".to_owned(),
        }]);
        assert_eq!(
            told.summary.problem().map(|c| c.reason.as_str()),
            Some("ProviderNotFound")
        );
        insta::assert_snapshot!(describe_text(&told, now(), false));
    }

    #[test]
    fn each_kind_has_its_spec_in_brief() {
        let gateway = json!({
            "listeners": [{"port": 8080}, {"port": 8443, "protocol": "HTTPS", "tlsSecretRef": {"name": "tls"}}],
            "admission": {"perTenant": {"maxInFlight": 5}}, "proxy": {"url": "http://proxy:3128"},
        });
        let status = json!({
            "replicas": 3, "readyReplicas": 2, "configGeneration": 7, "podsOnGeneration": 1, "laggingPods": ["a", "b"],
            "addresses": ["http://edge.llm.svc:8080"],
        });
        let provider = json!({
            "type": "Bedrock", "aws": {"region": "eu-central-1"}, "credentials": {"secretRef": {"name": "k", "key": "apiKey"}},
            "models": [{"name": "m"}], "limits": {"tokensPerMinute": 1000},
        });
        let tenant = json!({
            "displayName": "Acme", "limits": {"maxInFlight": 3, "priority": "High"},
            "auth": {"apiKeys": [{"name": "ci", "expires": "2027-01-01T00:00:00Z"}, {"name": "web", "secretRef": {"name": "s", "key": "k"}}]},
        });
        let policy = json!({
            "targetRef": {"apiVersion": "tokenweir.dev/v1alpha1", "kind": "LLMGateway", "name": "edge"},
            "replicas": {"min": 1, "max": 4}, "horizontal": {"signals": [{"queueDepth": {"perReplica": 10}}]},
        });
        let scaled = json!({"currentReplicas": 2, "desiredReplicas": 3, "signals": [{"name": "queueDepth", "value": "14", "target": "10"}]});
        let none = json!({});
        let all = [
            text(Kind::Gateway, &gateway, &status),
            text(Kind::Provider, &provider, &none),
            text(Kind::Tenant, &tenant, &none),
            text(Kind::Policy, &policy, &scaled),
            text(Kind::Route, &json!({"model": 5}), &none),
        ];
        insta::assert_snapshot!(all.join("\n=====\n"));
    }
}
