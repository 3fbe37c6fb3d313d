//! `describe`: everything about one object.

use std::collections::BTreeSet;

use clap::Args;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokenweir_config::status::{Phase, Status};

use crate::cli::{Context, Form};
use crate::cluster::{self, Access, Admin, GatewayPod, PodError, Scope};
use crate::error::CtlError;
use crate::kind::{Kind, Subject};
use crate::output::{
    Description, PodLine, ProviderLine, Summary, Tone, brief, describe_text, health_word, since_unix_ms,
};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl describe route chat
  tokenweirctl describe provider/openai -n llm -o json

Gateway pods are asked on their admin ports, through the API server: this needs to read the Secret tokenweir-root-key of
the install, and to forward ports of the pods. Without, everything else is shown.";

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// What to describe: KIND, or KIND/NAME
    #[arg(value_name = "KIND")]
    subject: Subject,

    /// Name of the object
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub async fn run(context: &Context, args: &DescribeArgs) -> Result<(), CtlError> {
    let form = context.form("describe", &[Form::Table, Form::Json, Form::Yaml])?;
    let name = match (&args.subject.name, &args.name) {
        (Some(_), Some(_)) => Err("give the name either behind a slash or by itself, not both"),
        (None, None) => Err("describe needs the name of one object; `tokenweirctl get` lists them"),
        (Some(name), None) | (None, Some(name)) => Ok(name),
    };
    let name = name.map_err(|text| CtlError::Usage(text.to_owned()))?;
    let kind = args.subject.kind;
    let access = cluster::connect(&context.global).await?;
    let object = cluster::find(&access, kind, name).await?;
    let told = describe(context, &access, kind, &object).await;
    if form == Form::Table {
        context.print(&describe_text(&told, context.now, context.color))?;
        return Ok(());
    }
    context.print_value(&value(&object, &told), form).map(drop)
}

fn value(object: &DynamicObject, told: &Description) -> Value {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    let mut value = json!({"object": object, "providers": told.providers});
    match &told.pods {
        Ok(pods) => value["pods"] = json!(pods),
        Err(why) => value["podsError"] = json!(why),
    }
    match &told.events {
        Ok(events) => value["events"] = json!(events),
        Err(why) => value["eventsError"] = json!(why),
    }
    value
}

async fn describe(context: &Context, access: &Access, kind: Kind, object: &DynamicObject) -> Description {
    let summary = Summary::of(kind, object);
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    let (pods, events) = tokio::join!(
        asked(context, access, &summary, spec),
        cluster::events(access, &summary.namespace, kind.name(), &summary.name),
    );
    let wanted = providers(kind, &summary.name, spec);
    let providers = pods
        .as_ref()
        .map_or_else(|_| Vec::new(), |pods| provider_lines(context, pods, &wanted));
    Description {
        brief: brief(kind, spec, object.data.get("status")),
        pods: pods.map(|pods| pods.iter().map(|(pod, said)| pod_line(context, pod, said)).collect()),
        providers,
        events: events.map_err(|error| error.to_string()),
        summary,
    }
}

type Asked = Vec<(GatewayPod, Result<Status, PodError>)>;

/// The pods of the gateways that the object is about, each asked for its status.
async fn asked(context: &Context, access: &Access, summary: &Summary, spec: &Value) -> Result<Asked, String> {
    let scope = Scope::Namespace(summary.namespace.clone());
    let pods = cluster::gateway_pods(access, &scope, None).await;
    let mut pods = pods.map_err(|error| error.to_string())?;
    let named: Option<BTreeSet<&str>> = match summary.kind {
        Kind::Gateway => Some(BTreeSet::from([summary.name.as_str()])),
        Kind::Route => {
            let references = spec.get("gatewayRefs").and_then(Value::as_array).into_iter().flatten();
            Some(
                references
                    .filter_map(|reference| reference.get("name")?.as_str())
                    .collect(),
            )
        }
        Kind::Policy => spec
            .pointer("/targetRef/name")
            .and_then(Value::as_str)
            .map(|name| BTreeSet::from([name])),
        // Every gateway of the namespace may use it.
        Kind::Provider | Kind::Tenant => None,
    };
    pods.retain(|pod| named.as_ref().is_none_or(|named| named.contains(pod.gateway.as_str())));
    if pods.is_empty() {
        return Ok(Vec::new());
    }
    let admin = Admin::open(access, &context.global.install_namespace).await;
    let admin = admin.map_err(|error| format!("{} pods, which could not be asked: {error}", pods.len()))?;
    Ok(admin.ask_all(&pods, false).await)
}

/// Names of the providers that the object is about; none for those that are about no provider.
fn providers(kind: Kind, name: &str, spec: &Value) -> BTreeSet<String> {
    match kind {
        Kind::Provider => BTreeSet::from([name.to_owned()]),
        Kind::Route => {
            let lists = ["backends", "fallbacks"].into_iter();
            let targets = lists.filter_map(|list| spec.get(list)?.as_array()).flatten();
            let names = targets.filter_map(|target| target.pointer("/providerRef/name")?.as_str());
            names.map(str::to_owned).collect()
        }
        Kind::Gateway | Kind::Tenant | Kind::Policy => BTreeSet::new(),
    }
}

fn pod_line(context: &Context, pod: &GatewayPod, said: &Result<Status, PodError>) -> PodLine {
    let (generation, since, says, tone) = match said {
        Err(error) => (None, String::new(), error.to_string(), Tone::Bad),
        Ok(status) => {
            let serving = status.serving.as_ref();
            let since = serving.map_or_else(String::new, |serving| since_unix_ms(serving.since_unix_ms, context.now));
            let (says, tone) = match (&status.rejected, status.phase) {
                (Some(rejected), _) => (format!("refuses the newest: {}", rejected.reason), Tone::Bad),
                (None, Phase::Serving) => {
                    let busy = format!("{} in flight, {} waiting", status.in_flight, status.queue_depth);
                    (busy, Tone::Plain)
                }
                (None, phase) => (phase.as_str().to_owned(), Tone::Warn),
            };
            (serving.map(|serving| serving.generation), since, says, tone)
        }
    };
    PodLine {
        gateway: pod.gateway.clone(),
        pod: pod.name.clone(),
        ready: pod.ready,
        generation,
        since,
        says,
        tone,
    }
}

fn provider_lines(context: &Context, pods: &Asked, wanted: &BTreeSet<String>) -> Vec<ProviderLine> {
    let mut lines = Vec::new();
    for (pod, said) in pods {
        let reports = said.iter().flat_map(|status| &status.providers);
        for report in reports.filter(|report| wanted.contains(&report.name)) {
            let (state, tone) = health_word(report.state);
            lines.push(ProviderLine {
                provider: report.name.clone(),
                pod: pod.name.clone(),
                state,
                since: since_unix_ms(report.since_unix_ms, context.now),
                reason: report.reason.clone(),
                tone,
            });
        }
    }
    lines.sort_by(|a, b| (&a.provider, &a.pod).cmp(&(&b.provider, &b.pod)));
    lines
}
