//! `get`: objects in one table.

use clap::Args;
use futures::future::try_join_all;
use kube::core::DynamicObject;
use serde_json::json;

use crate::cli::{Context, Form};
use crate::cluster::{self, Scope};
use crate::error::CtlError;
use crate::kind::{Kind, Subject};
use crate::output::{GetView, Summary, get_names, get_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl get                     # everything in the namespace, and what does not work
  tokenweirctl get providers -A -o wide
  tokenweirctl get route chat -o yaml
  tokenweirctl get modelroute/chat -o name

Kinds: llmgateway, modelprovider, modelroute, tenant, scalingpolicy; plurals, kubectl's short names and the names without
their first word are known, too.";

#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to show: KIND, or KIND/NAME [default: all kinds]
    #[arg(value_name = "KIND")]
    subject: Option<Subject>,

    /// Names of objects [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub async fn run(context: &Context, args: &GetArgs) -> Result<(), CtlError> {
    let form = context.form("get", &[Form::Table, Form::Wide, Form::Json, Form::Yaml, Form::Name])?;
    let access = cluster::connect(&context.global).await?;
    let names = names(args)?;
    let objects = match &args.subject {
        Some(subject) if !names.is_empty() => {
            let finding = names.iter().map(|name| cluster::find(&access, subject.kind, name));
            try_join_all(finding)
                .await?
                .into_iter()
                .map(|object| (subject.kind, object))
                .collect()
        }
        Some(subject) => listed(&access, &[subject.kind]).await?,
        None => listed(&access, &Kind::ALL).await?,
    };
    if objects.is_empty() && matches!(form, Form::Table | Form::Wide) {
        let place = match &access.scope {
            Scope::All => "any namespace".to_owned(),
            Scope::Namespace(name) => format!("namespace {name}"),
        };
        context.note(&format!("nothing found in {place}"));
        return Ok(());
    }
    match form {
        Form::Json | Form::Yaml => {
            let one = names.len() == 1;
            let mut objects: Vec<DynamicObject> = objects.into_iter().map(|(_, object)| object).collect();
            for object in &mut objects {
                object.metadata.managed_fields = None;
            }
            match objects.pop() {
                Some(object) if one => context.print_value(&object, form).map(drop),
                last => {
                    objects.extend(last);
                    context
                        .print_value(&json!({"apiVersion": "v1", "kind": "List", "items": objects}), form)
                        .map(drop)
                }
            }
        }
        _ => {
            let summaries: Vec<Summary> = objects
                .iter()
                .map(|(kind, object)| Summary::of(*kind, object))
                .collect();
            let view = GetView {
                namespaces: access.scope == Scope::All,
                wide: form == Form::Wide,
                color: context.color,
            };
            context.print(&match form {
                Form::Name => get_names(&summaries),
                _ => get_table(&summaries, view, context.now),
            });
            Ok(())
        }
    }
}

/// The names that were given, behind a slash or by themselves.
fn names(args: &GetArgs) -> Result<Vec<String>, CtlError> {
    match args.subject.as_ref().and_then(|subject| subject.name.clone()) {
        Some(_) if !args.names.is_empty() => Err(CtlError::Usage(
            "give names either behind a slash or by themselves, not both".to_owned(),
        )),
        Some(name) => Ok(vec![name]),
        None => Ok(args.names.clone()),
    }
}

async fn listed(access: &cluster::Access, kinds: &[Kind]) -> Result<Vec<(Kind, DynamicObject)>, CtlError> {
    let lists = try_join_all(kinds.iter().map(|kind| cluster::list(access, *kind))).await?;
    let pairs = kinds.iter().zip(lists);
    Ok(pairs
        .flat_map(|(kind, list)| list.into_iter().map(|object| (*kind, object)))
        .collect())
}
