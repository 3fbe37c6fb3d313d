//! `routes`: every route with its backends, as the gateway pods see them.

use clap::Args;
use serde_json::json;
use tokenweir_config::names::STATUS_WITH_ROUTES;

use super::admin_args::{AdminArgs, Port};
use crate::cli::{Context, Form};
use crate::cluster::{self, Admin, Scope, in_time, read_status};
use crate::error::CtlError;
use crate::output::{Seen, routes_of, routes_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl routes                                    # of all gateways in the namespace
  tokenweirctl routes --gateway edge -n llm -o json
  tokenweirctl routes --url http://127.0.0.1:9901        # of one gateway without a cluster, by its admin port

Gateway pods are asked on their admin ports, through the API server: this needs to read the Secret tokenweir-root-key of
the install, and to forward ports of the pods. Exit code 1 if a pod did not answer.";

#[derive(Debug, Args)]
pub struct RoutesArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub async fn run(context: &Context, args: &RoutesArgs) -> Result<(), CtlError> {
    let form = context.form("routes", &[Form::Table, Form::Wide, Form::Json, Form::Yaml])?;
    let (seen, silent) = match args.admin.port()? {
        Some(port) => (vec![from_port(&port).await?], 0),
        None => from_cluster(context, args).await?,
    };
    let routes = routes_of(&seen);
    if matches!(form, Form::Table | Form::Wide) {
        if routes.is_empty() && silent == 0 {
            context.note("no gateway pod tells a route: none is served, or the gateways are older than this program");
        } else if !routes.is_empty() {
            let namespaces = context.global.all_namespaces || form == Form::Wide;
            context.print(&routes_table(&routes, namespaces, context.now, context.color))?;
        }
    } else {
        context.print_value(&json!({"routes": routes}), form)?;
    }
    if silent == 0 { Ok(()) } else { Err(CtlError::Told) }
}

async fn from_port(port: &Port) -> Result<Seen, CtlError> {
    let asking = async { read_status(port.get(STATUS_WITH_ROUTES).await?).await };
    let status = in_time(asking).await.map_err(|source| CtlError::Pod {
        pod: port.name(),
        source,
    })?;
    Ok(Seen {
        namespace: String::new(),
        gateway: status.pod.clone(),
        status,
    })
}

/// What the pods said, and how many said nothing; those are told at once.
async fn from_cluster(context: &Context, args: &RoutesArgs) -> Result<(Vec<Seen>, usize), CtlError> {
    let access = cluster::connect(&context.global).await?;
    let pods = cluster::gateway_pods(&access, &access.scope, args.admin.gateway.as_deref()).await?;
    if pods.is_empty() {
        let place = match &access.scope {
            Scope::All => "any namespace".to_owned(),
            Scope::Namespace(name) => format!("namespace {name}"),
        };
        context.note(&format!("there is no gateway pod in {place}"));
        return Err(CtlError::Told);
    }
    let admin = Admin::open(&access, &context.global.install_namespace).await?;
    let (mut seen, mut silent) = (Vec::new(), 0);
    for (pod, said) in admin.ask_all(&pods, true).await {
        match said {
            Ok(status) => seen.push(Seen {
                namespace: pod.namespace,
                gateway: pod.gateway,
                status,
            }),
            Err(error) => {
                silent += 1;
                context.note(&format!("pod {}/{} did not answer: {error}", pod.namespace, pod.name));
            }
        }
    }
    Ok((seen, silent))
}
