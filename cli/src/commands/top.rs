//! `top`: what the gateways do at this moment, by route.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokenweir_config::names::SIGNALS_PATH;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::admin_args::{AdminArgs, Port};
use crate::cli::{Context, Form};
use crate::cluster::{self, Access, Admin, Board, GatewayPod};
use crate::error::CtlError;
use crate::output::{PodNow, TopRow, top_rows, top_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl top                                   # of all gateways in the namespace, each second, until Ctrl-C
  tokenweirctl top --once --gateway edge -o json
  tokenweirctl top --url http://127.0.0.1:9901       # of one gateway without a cluster, by its admin port

Rates and times are those of the last ten seconds, from the gateways' live signals. It needs what `routes` needs. Exit
code 1 if no gateway could be asked, and with --once, if one of the pods could not.";

/// Between two pictures.
const REFRESH: Duration = Duration::from_secs(1);
/// Between two looks for pods that came or went: an autoscaler takes longer than that.
const PODS_EVERY: u32 = 5;
/// How long the first values of all pods may take.
const FIRST_VALUES: Duration = Duration::from_secs(5);
/// Moves to the upper left corner, and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Debug, Args)]
pub struct TopArgs {
    /// One picture, and no more
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    admin: AdminArgs,
}

pub async fn run(context: &Context, args: &TopArgs) -> Result<(), CtlError> {
    let form = context.form("top", &[Form::Table, Form::Wide, Form::Json, Form::Yaml])?;
    let mut watch = Watch::open(context, args).await?;
    watch.first_values().await;
    if args.once {
        let picture = watch.picture();
        show(context, form, &picture, "")?;
        picture.silent.iter().for_each(|line| context.note(line));
        return if picture.silent.is_empty() {
            Ok(())
        } else {
            Err(CtlError::Told)
        };
    }
    let live = std::io::stdout().is_terminal() && form == Form::Table;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CtlError::io("signals"))?;
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pictures: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupted.recv() => return Ok(()),
        }
        if pictures > 0 && pictures.is_multiple_of(PODS_EVERY) {
            watch.look_for_pods().await?;
        }
        pictures = pictures.wrapping_add(1);
        let picture = watch.picture();
        if !show(context, form, &picture, if live { CLEAR } else { "" })? {
            return Ok(());
        }
        let told = picture.silent.join("\n");
        if !told.is_empty() && live {
            context.print(&format!("\n{told}\n"));
        }
    }
}

/// Prints a picture. False: nobody looks any more.
fn show(context: &Context, form: Form, picture: &Picture, before: &str) -> Result<bool, CtlError> {
    if matches!(form, Form::Table | Form::Wide) {
        let namespaces = context.global.all_namespaces || form == Form::Wide;
        let table = top_table(&picture.rows, namespaces, context.color);
        return Ok(context.print(&format!("{before}{table}")));
    }
    context.print_value(&json!({"rows": picture.rows, "errors": picture.silent}), form)
}

/// What is known at one moment.
struct Picture {
    rows: Vec<TopRow>,
    /// A line for each pod without values.
    silent: Vec<String>,
}

/// Where pods are found.
enum Origin {
    Cluster {
        access: Access,
        admin: Admin,
        gateway: Option<String>,
    },
    Port(Port),
}

/// The pods that are followed.
struct Watch {
    origin: Origin,
    board: Board,
    followed: BTreeMap<String, Followed>,
}

struct Followed {
    namespace: String,
    gateway: String,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    async fn open(context: &Context, args: &TopArgs) -> Result<Self, CtlError> {
        let origin = if let Some(port) = args.admin.port()? {
            Origin::Port(port)
        } else {
            let access = cluster::connect(&context.global).await?;
            let admin = Admin::open(&access, &context.global.install_namespace).await?;
            Origin::Cluster {
                access,
                admin,
                gateway: args.admin.gateway.clone(),
            }
        };
        let mut watch = Self {
            origin,
            board: Board::default(),
            followed: BTreeMap::new(),
        };
        watch.look_for_pods().await?;
        if watch.followed.is_empty() {
            context.note("there is no gateway pod here");
            return Err(CtlError::Told);
        }
        Ok(watch)
    }

    /// Follows the pods that came, and forgets those that went.
    async fn look_for_pods(&mut self) -> Result<(), CtlError> {
        match &self.origin {
            Origin::Port(port) => {
                let name = port.name();
                if !self.followed.contains_key(&name) {
                    let (port, board) = (port.clone(), self.board.clone());
                    let following = board.follow(name.clone(), move || {
                        let port = port.clone();
                        async move { port.get(SIGNALS_PATH).await }
                    });
                    let followed = Followed {
                        namespace: String::new(),
                        gateway: name.clone(),
                        task: tokio::spawn(following),
                    };
                    self.followed.insert(name, followed);
                }
            }
            Origin::Cluster { access, admin, gateway } => {
                let pods = cluster::gateway_pods(access, &access.scope, gateway.as_deref()).await?;
                let name = |pod: &GatewayPod| format!("{}/{}", pod.namespace, pod.name);
                let there: BTreeSet<String> = pods.iter().map(name).collect();
                self.followed.retain(|name, _| there.contains(name));
                self.board.retain(|name| there.contains(name));
                for pod in pods {
                    let name = name(&pod);
                    if self.followed.contains_key(&name) {
                        continue;
                    }
                    let (namespace, gateway) = (pod.namespace.clone(), pod.gateway.clone());
                    let (admin, board) = (admin.clone(), self.board.clone());
                    let following = board.follow(name.clone(), move || {
                        let (admin, pod) = (admin.clone(), pod.clone());
                        async move { admin.signals(&pod).await }
                    });
                    let task = tokio::spawn(following);
                    let followed = Followed {
                        namespace,
                        gateway,
                        task,
                    };
                    self.followed.insert(name, followed);
                }
            }
        }
        Ok(())
    }

    /// Waits until every pod has told its values, or why not, for a while.
    async fn first_values(&self) {
        // Who has not told anything by then is told of.
        let _ = tokio::time::timeout(FIRST_VALUES, self.board.wait_for(self.followed.len())).await;
    }

    fn picture(&self) -> Picture {
        let mut board = self.board.read();
        let (mut pods, mut silent) = (Vec::new(), Vec::new());
        for (name, followed) in &self.followed {
            match board.remove(name) {
                Some(Ok(signals)) => pods.push(PodNow {
                    namespace: followed.namespace.clone(),
                    gateway: followed.gateway.clone(),
                    signals,
                }),
                Some(Err(why)) => silent.push(format!("{name}: {why}")),
                None => silent.push(format!("{name}: no values yet")),
            }
        }
        Picture {
            rows: top_rows(&pods),
            silent,
        }
    }
}
