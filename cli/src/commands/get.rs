//! `get`: objects in one table.

use std::collections::BTreeSet;

use clap::Args;
use futures::future::join_all;
use kube::core::DynamicObject;
use serde_json::json;

use crate::cli::{Context, Form};
use crate::cluster::{self, ClusterError, Scope};
use crate::error::CtlError;
use crate::kind::{Kind, Subject};
use crate::output::{GetView, Summary, get_names, get_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl get                     # everything in the namespace, and what does not work
  tokenweirctl get providers -A -o wide
  tokenweirctl get route chat -o yaml
  tokenweirctl get modelroute/chat -o name

What cannot be read is told, and the rest is shown; exit code 1 then.

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
    let Found { objects, errors } = match &args.subject {
        Some(subject) if !names.is_empty() => {
            let finding = names.iter().map(async |name| {
                let object = cluster::find(&access, subject.kind, name).await;
                object.map(|object| vec![(subject.kind, object)])
            });
            Found::of(join_all(finding).await)
        }
        Some(subject) => listed(&access, &[subject.kind]).await,
        None => listed(&access, &Kind::ALL).await,
    };
    // Nothing, and a reason for it, is not "nothing found".
    if !objects.is_empty() || errors.is_empty() {
        show(context, &access.scope, form, names.len() == 1, objects)?;
    }
    if errors.is_empty() {
        return Ok(());
    }
    for error in &errors {
        context.note(&format!("tokenweirctl: {error}"));
    }
    Err(CtlError::Told)
}

/// What was found, and why the rest was not.
#[derive(Default)]
struct Found {
    objects: Vec<(Kind, DynamicObject)>,
    /// What all kinds have in common is told once.
    errors: BTreeSet<String>,
}

impl Found {
    fn of(answers: Vec<Result<Vec<(Kind, DynamicObject)>, ClusterError>>) -> Self {
        let mut found = Self::default();
        for answer in answers {
            match answer {
                Ok(objects) => found.objects.extend(objects),
                Err(error) => {
                    found.errors.insert(error.to_string());
                }
            }
        }
        found
    }
}

fn show(
    context: &Context,
    scope: &Scope,
    form: Form,
    one: bool,
    objects: Vec<(Kind, DynamicObject)>,
) -> Result<(), CtlError> {
    if objects.is_empty() && matches!(form, Form::Table | Form::Wide) {
        let place = match scope {
            Scope::All => "any namespace".to_owned(),
            Scope::Namespace(name) => format!("namespace {name}"),
        };
        context.note(&format!("nothing found in {place}"));
        return Ok(());
    }
    match form {
        Form::Json | Form::Yaml => {
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
                namespaces: *scope == Scope::All,
                wide: form == Form::Wide,
                color: context.color,
            };
            context.print(&match form {
                Form::Name => get_names(&summaries),
                _ => get_table(&summaries, view, context.now),
            })?;
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

async fn listed(access: &cluster::Access, kinds: &[Kind]) -> Found {
    let listing = kinds.iter().map(async |kind| {
        let list = cluster::list(access, *kind).await;
        list.map(|list| list.into_iter().map(|object| (*kind, object)).collect())
    });
    Found::of(join_all(listing).await)
}
