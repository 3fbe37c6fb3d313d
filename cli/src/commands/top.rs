//! `top`: what the gateways do at this moment, by route.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse, FusedFuture as _};
use serde_json::json;
use tokenweir_config::names::SIGNALS_PATH;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::admin_args::{AdminArgs, Port};
use crate::cli::{Context, Form};
use crate::cluster::{self, Access, Admin, Board, ClusterError, GatewayPod};
use crate::error::CtlError;
use crate::output::{PodNow, TopRow, clean, top_rows, top_screen, top_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl top                                   # of all gateways in the namespace, each second, until Ctrl-C
  tokenweirctl top --once --gateway edge -o json
  tokenweirctl top --url http://127.0.0.1:9901       # of one gateway without a cluster, by its admin port

Rates and times are those of the last ten seconds, from the gateways' live signals. It needs what `routes` needs. As JSON
each picture is one line, as YAML one document. Pods that do not answer are told below the table, or on standard error.
Exit code 1 if no gateway could be asked, and with --once, if one of the pods could not.";

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
    let first = watch.picture();
    if args.once {
        context.print(&answer(context, form, &first)?)?;
    }
    if args.once || first.pods == 0 {
        first.silent.iter().for_each(|line| context.note(line));
        return if first.silent.is_empty() {
            Ok(())
        } else {
            Err(CtlError::Told)
        };
    }
    let live = std::io::stdout().is_terminal() && matches!(form, Form::Table | Form::Wide);
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CtlError::io("signals"))?;
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pictures: u32 = 0;
    let mut looking = Fuse::terminated();
    let mut told = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            found = &mut looking => {
                watch.found(found);
                continue;
            }
            _ = interrupted.recv() => return Err(CtlError::Cancelled),
        }
        if pictures > 0 && pictures.is_multiple_of(PODS_EVERY) && looking.is_terminated() {
            looking = watch.origin.pods().fuse();
        }
        let picture = watch.picture();
        let goes_on = if live {
            let height = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| height.0.into());
            let table = answer(context, form, &picture)?;
            context.print(&format!("{CLEAR}{}", top_screen(&table, &picture.silent, height)))?
        } else {
            // Only what is new: whoever reads a file or a pipe has what was told before.
            if picture.silent != told {
                picture.silent.iter().for_each(|line| context.note(line));
                told.clone_from(&picture.silent);
            }
            let answer = answer(context, form, &picture)?;
            let between = if form == Form::Yaml && pictures > 0 {
                "---\n"
            } else {
                ""
            };
            context.print(&format!("{between}{answer}"))?
        };
        if !goes_on {
            return Ok(());
        }
        pictures = pictures.saturating_add(1);
    }
}

/// A picture in the form that was asked for; as JSON it is one line, so that a program can tell one from the next.
fn answer(context: &Context, form: Form, picture: &Picture) -> Result<String, CtlError> {
    let value = || json!({"rows": picture.rows, "errors": picture.silent});
    Ok(match form {
        Form::Json => format!("{}\n", value()),
        Form::Yaml => format!("{}\n", serde_saphyr::to_string(&value())?.trim_end()),
        _ => {
            let namespaces = context.global.all_namespaces || form == Form::Wide;
            top_table(&picture.rows, namespaces, context.color)
        }
    })
}

/// What is known at one moment.
struct Picture {
    /// Pods with values.
    pods: usize,
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

type Found = Result<Vec<GatewayPod>, ClusterError>;

impl Origin {
    /// The pods that are there now.
    fn pods(&self) -> BoxFuture<'static, Found> {
        match self {
            Self::Port(_) => futures::future::ready(Ok(Vec::new())).boxed(),
            Self::Cluster { access, gateway, .. } => {
                let (access, gateway) = (access.clone(), gateway.clone());
                async move { cluster::gateway_pods(&access, &access.scope, gateway.as_deref()).await }.boxed()
            }
        }
    }
}

/// The pods that are followed.
struct Watch {
    origin: Origin,
    board: Board,
    followed: BTreeMap<String, Followed>,
    /// Why it is not known which pods came or went.
    lost: Option<String>,
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
        let mut watch = Self::new(origin);
        let pods = watch.origin.pods().await?;
        watch.found(Ok(pods));
        if watch.followed.is_empty() {
            context.note("there is no gateway pod here");
            return Err(CtlError::Told);
        }
        Ok(watch)
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            board: Board::default(),
            followed: BTreeMap::new(),
            lost: None,
        }
    }

    /// Follows the pods that came, and forgets those that went. Without an answer those that are known stay.
    fn found(&mut self, found: Found) {
        let pods = match found {
            Ok(pods) => pods,
            Err(error) => {
                self.lost = Some(format!("which pods there are: {error}"));
                return;
            }
        };
        self.lost = None;
        match &self.origin {
            Origin::Port(port) => {
                let name = port.name();
                if self.followed.contains_key(&name) {
                    return;
                }
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
            Origin::Cluster { admin, .. } => {
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
    }

    /// Waits until every pod has told its values, or why not, for a while.
    async fn first_values(&self) {
        // Who has not told anything by then is told of.
        let _ = tokio::time::timeout(FIRST_VALUES, self.board.wait_for(self.followed.len())).await;
    }

    fn picture(&self) -> Picture {
        let mut board = self.board.read();
        let mut pods = Vec::new();
        let mut silent: Vec<String> = self.lost.iter().cloned().collect();
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
            pods: pods.len(),
            rows: top_rows(&pods),
            silent: silent.iter().map(|line| clean(line)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_for_pods_that_fails_is_told_and_takes_nothing_away() {
        let args = AdminArgs {
            gateway: None,
            url: Some("http://127.0.0.1:1".parse().unwrap()),
            token_file: None,
        };
        let mut watch = Watch::new(Origin::Port(args.port().unwrap().unwrap()));
        watch.found(Ok(Vec::new()));
        let refused = ClusterError::Unusable("a\nb \x1b[2J".to_owned());
        watch.found(Err(refused));
        assert_eq!(
            watch.picture().silent,
            ["which pods there are: a b [2J", "127.0.0.1:1: no values yet"]
        );
        watch.found(Ok(Vec::new()));
        assert_eq!(watch.picture().silent, ["127.0.0.1:1: no values yet"]);
    }
}
