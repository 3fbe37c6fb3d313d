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
