//! `version`: of this program, and of the gateways that run.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::{Context, Form};
use crate::cluster::{self, Admin, Scope};
use crate::error::CtlError;
use crate::output::version_text;

pub const EXAMPLES: &str = "Examples:
  tokenweirctl version
  tokenweirctl version --gateways      # ask every gateway pod, too
  tokenweirctl version --gateways -n llm

Exit code 1 if a pod did not answer.";

#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Ask the gateway pods for theirs, of all namespaces if none is named; needs a cluster
    #[arg(long)]
    gateways: bool,
}

pub async fn run(context: &Context, args: &VersionArgs) -> Result<(), CtlError> {
    let form = context.form("version", &[Form::Table, Form::Json, Form::Yaml])?;
    let own = env!("CARGO_PKG_VERSION");
    let mut pods: BTreeMap<String, String> = BTreeMap::new();
    let mut silent = false;
    if args.gateways {
        let access = cluster::connect(&context.global).await?;
        let scope = match &context.global.namespace {
            Some(name) => Scope::Namespace(name.clone()),
            None => Scope::All,
        };
        let found = cluster::gateway_pods(&access, &scope, None).await?;
        let admin = Admin::open(&access, &context.global.install_namespace).await?;
        for (pod, status) in admin.ask_all(&found, false).await {
            let version = match status {
                Ok(status) => status.version,
                Err(error) => {
                    silent = true;
                    format!("unknown: {error}")
                }
            };
            pods.insert(format!("{}/{}", pod.namespace, pod.name), version);
        }
    }
    if form == Form::Table {
        context.print(&version_text(own, &pods))?;
    } else {
        let mut told = json!({"tokenweirctl": own});
        if args.gateways {
            told["gateways"] = json!(pods);
        }
        context.print_value(&told, form)?;
    }
    if silent { Err(CtlError::Told) } else { Ok(()) }
}
