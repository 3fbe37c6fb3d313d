//! The front door: one command from nothing to a gateway that serves and scales, one that tells what is there, and one
//! that removes what was made.

mod down;
mod error;
mod live;
mod quickstart;
mod record;
mod status;
mod terminal;
mod view;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use kube::Client;

pub use down::down;
pub use error::{Result, UpError};
pub use live::{LONGEST, LoadOptions, Outcome};
pub use quickstart::Quickstart;
pub use record::Record;
pub use status::status;
pub use terminal::Terminal;

use crate::cluster::{self, Cluster, Folders, Options, Progress};
use crate::harness::helm::Helm;
use crate::harness::install::{self, Images};
use crate::harness::openai::{Chat, Connections, Failure, OpenAi};
use crate::harness::{HarnessError, Objects, admin, reach, wait};

/// The field manager of what the front door applies.
const MANAGER: &str = "tokenweir-up";
/// From applied to served, with image start and configuration: seconds; with room for a slow machine.
const READY_LIMIT: Duration = Duration::from_mins(3);
/// Tokens of the chat that is shown.
const SHOWN_TOKENS: u32 = 48;

/// Whether load is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLoad {
    /// If this run installed or changed anything: a second run is fast and changes nothing.
    Changed,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How `up` runs.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// How the cluster is found.
    pub cluster: Options,
    /// Whether load is driven.
    pub when_load: WhenLoad,
    /// How load is driven.
    pub load: LoadOptions,
    /// Where it is noted what was made.
    pub record: PathBuf,
}

impl UpOptions {
    /// Options of the environment, with load if anything changed.
    pub fn from_env(progress: Progress) -> Self {
        let cluster = Options::from_env(progress);
        let record = Record::path(&cluster.folders);
        Self {
            cluster,
            when_load: WhenLoad::Changed,
            load: LoadOptions::default(),
            record,
        }
    }
}

/// What `up` did.
#[derive(Debug)]
pub struct Up {
    /// Whether anything was installed or changed.
    pub changed: bool,
    /// What the load showed, if it was driven.
    pub load: Option<Outcome>,
}

/// Everything from nothing to a gateway that serves. Running it again changes nothing.
pub async fn up(options: &UpOptions, terminal: &mut Terminal) -> Result<Up> {
    let started = Instant::now();
    let (folders, progress) = (&options.cluster.folders, &options.cluster.progress);
    let cluster = cluster::find_or_start(options.cluster.clone())
        .await
        .map_err(UpError::at(
            "get a cluster",
            "run `make cluster` to see this step alone; docs/local-cluster.md explains it",
        ))?;
    let mut record = note_cluster(options, &cluster)?;
    let images = Images::build(&cluster, folders, progress).await.map_err(UpError::at(
        "build programs and images",
        "the compiler's or buildah's own words stand above; repair and run `make up` again",
    ))?;
    let client = cluster
        .client()
        .await
        .map_err(UpError::at("connect to the cluster", "run `make status`"))?;
    let installed = install(options, &cluster, &client, &images, &mut record).await?;
    let example = load_example(folders, Some(&images))?;
    let objects = Objects::new(client.clone(), MANAGER);
    let applied = apply(&objects, &example, progress).await?;
    record.example_applied = true;
    save(&record, options)?;
    wait_ready(&objects, &example, progress).await?;
    let (base, key) = door(&client, &example).await?;
    show_completion(&base.url(), &key, &example, terminal).await?;
    let changed = installed || applied;
    let wants_load = match options.when_load {
        WhenLoad::Always => true,
        WhenLoad::Never => false,
        WhenLoad::Changed => changed,
    };
    let load = if wants_load {
        Some(show_load(&client, &example, &base.url(), &key, &options.load, terminal).await?)
    } else {
        None
    };
    summary(&cluster, &example, &base, terminal);
    terminal.line(format!("\ndone in {} s", started.elapsed().as_secs()));
    Ok(Up { changed, load })
}

/// Drives load through an example that is up, and shows it.
pub async fn load(options: &UpOptions, terminal: &mut Terminal) -> Result<Outcome> {
    let (client, example) = find_example(options).await?;
    let (base, key) = door(&client, &example).await?;
    show_load(&client, &example, &base.url(), &key, &options.load, terminal).await
}

async fn find_example(options: &UpOptions) -> Result<(Client, Quickstart)> {
    let hint = "run `make up` first";
    let found = cluster::find(&options.cluster)
        .await
        .map_err(UpError::at("find the cluster", hint))?;
    let cluster = found.ok_or_else(|| {
        let missing = HarnessError::Missing {
            object: "this machine".to_owned(),
            missing: "running cluster".to_owned(),
        };
        UpError::at("find the cluster", hint)(missing)
    })?;
    let client = cluster
        .client()
        .await
        .map_err(UpError::at("connect to the cluster", hint))?;
    Ok((client, load_example(&options.cluster.folders, None)?))
}

fn load_example(folders: &Folders, images: Option<&Images>) -> Result<Quickstart> {
    Quickstart::load(&folders.source.join("examples/quickstart"), images).map_err(UpError::at(
        "read examples/quickstart",
        "`git status examples` shows what was changed there",
    ))
}

/// Notes whether the cluster was started here, keeping what an earlier run noted about the same cluster.
fn note_cluster(options: &UpOptions, cluster: &Cluster) -> Result<Record> {
    let hint = "`make down` removes what earlier runs made";
    let earlier = Record::load(&options.record).map_err(UpError::at("read what earlier runs made", hint))?;
    let context = options.cluster.context.clone();
    let record = match earlier {
        // A cluster that was started just now holds nothing of an earlier run.
        Some(earlier) if !cluster.was_started() && earlier.context == context => earlier,
        Some(earlier) if earlier.context != context && !cluster.was_started() => {
            let other = HarnessError::Missing {
                object: format!("the record of what `make up` made in {}", earlier.cluster),
                missing: "mention of this cluster".to_owned(),
            };
            let hint = "run `make down` with the KUBE_CONTEXT of the other cluster first";
            return Err(UpError::at("use another cluster than before", hint)(other));
        }
        _ => Record {
            cluster_started: cluster.was_started(),
            context,
            ..Record::default()
        },
    };
    let record = Record {
        cluster: cluster.description(),
        ..record
    };
    save(&record, options)?;
    Ok(record)
}

fn save(record: &Record, options: &UpOptions) -> Result<()> {
    record.save(&options.record).map_err(UpError::at(
        "note what was made",
        "check that the state folder can be written",
    ))
}

async fn install(
    options: &UpOptions,
    cluster: &Cluster,
    client: &Client,
    images: &Images,
    record: &mut Record,
) -> Result<bool> {
    let hint = format!(
        "look at `kubectl get pods -n {}` and the pods' logs; `make status` shows an overview",
        install::NAMESPACE
    );
    let failed = || UpError::at::<HarnessError>("install the charts", hint.clone());
    let helm = Helm::new(cluster);
    for name in [install::CRD_RELEASE, install::RELEASE] {
        let there = helm.status(name, install::NAMESPACE).await.map_err(failed())?.is_some();
        if !there && !record.releases.iter().any(|known| known == name) {
            record.releases.push(name.to_owned());
        }
    }
    if !install::namespace_exists(client).await.map_err(failed())? {
        record.namespace_made = true;
    }
    // Before the deed: an install that fails half-way is removed by `down` as well.
    save(record, options)?;
    let (folders, progress) = (&options.cluster.folders, &options.cluster.progress);
    let touched = install::charts(cluster, folders, images, progress)
        .await
        .map_err(failed())?;
    Ok(!touched.is_empty())
}

/// Applies the example. Returns whether anything changed.
async fn apply(objects: &Objects, example: &Quickstart, progress: &Progress) -> Result<bool> {
    progress.step(format!(
        "applying examples/quickstart to the namespace {}",
        example.namespace
    ));
    let hint = "the message names the field; `kubectl explain` describes it";
    let failed = || UpError::at::<HarnessError>("apply examples/quickstart", hint);
    let mut changed = false;
    for object in &example.objects {
        changed |= objects.ensure(object).await.map_err(failed())?;
    }
    Ok(changed)
}

/// Waits for every object that can tell whether it works, and says so one by one.
async fn wait_ready(objects: &Objects, example: &Quickstart, progress: &Progress) -> Result<()> {
    progress.step("waiting until everything is ready");
    let hint = format!(
        "`kubectl describe tokenweir -n {}` shows conditions, `kubectl get events -n {0}` what happened",
        example.namespace
    );
    let waits: FuturesUnordered<_> = example
        .judged()
        .map(|(object, condition)| async move {
            let found = objects.wait_condition(object, condition, "True", READY_LIMIT).await?;
            progress.step(format!(
                "{} {condition}: {}",
                crate::harness::objects::describe(object),
                found.message
            ));
            Ok::<(), HarnessError>(())
        })
        .collect();
    waits
        .try_collect::<()>()
        .await
        .map_err(UpError::at("see the example ready", hint))
}

/// The way to the gateway's Service, and the key that opens it.
async fn door(client: &Client, example: &Quickstart) -> Result<(reach::Route, String)> {
    let hint = format!(
        "`kubectl get services,secrets,tenants -n {}` shows what is there",
        example.namespace
    );
    let failed = || UpError::at::<HarnessError>("find the gateway's door", hint.clone());
    let key = wait::poll(format!("Secret {}", example.key_secret), READY_LIMIT, || async {
        let key = admin::secret_field(client, &example.namespace, &example.key_secret, &example.key_field).await;
        key.map_err(|error| error.chain())
    });
    let key = key.await.map_err(failed())?;
    let route = reach::service(client, &example.namespace, &example.gateway, example.port)
        .await
        .map_err(failed())?;
    Ok((route, key))
}

async fn show_completion(base: &str, key: &str, example: &Quickstart, terminal: &mut Terminal) -> Result<()> {
    let prompt = "Why does autoscaling by live signals react faster?";
    terminal.heading(&format!("One chat with the model {}", example.model));
    terminal.line(format!("> {prompt}\n"));
    let chat = Chat {
        prompt: prompt.to_owned(),
        ..Chat::new(&example.model, SHOWN_TOKENS)
    };
    let openai = OpenAi::new(base, key, Connections::KeepAlive);
    let shown = openai.stream(&chat, |text| terminal.piece(text)).await;
    let completion = shown.map_err(|failure| {
        let hint = format!(
            "`kubectl logs -n {} -l tokenweir.dev/gateway={}`",
            example.namespace, example.gateway
        );
        UpError::at("stream a chat completion", hint)(unserved(base, &failure))
    })?;
    terminal.line(format!(
        "\n\n{} prompt + {} completion tokens, first token after {} ms, all after {} ms",
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.first_token.as_millis(),
        completion.total.as_millis()
    ));
    Ok(())
}

fn unserved(base: &str, failure: &Failure) -> HarnessError {
    HarnessError::Unreachable {
        target: base.to_owned(),
        reason: failure.to_string(),
    }
}

async fn show_load(
    client: &Client,
    example: &Quickstart,
    base: &str,
    key: &str,
    options: &LoadOptions,
    terminal: &mut Terminal,
) -> Result<Outcome> {
    terminal.heading(&format!(
        "Load: {} clients for at most {} s; the HPA reads the adapter and adds pods",
        options.clients,
        options.limit.min(LONGEST).as_secs()
    ));
    let hint = format!(
        "`kubectl describe hpa -n {}` says what the HPA thinks",
        example.namespace
    );
    let outcome = live::drive(client, example, base, key, options, terminal)
        .await
        .map_err(UpError::at("drive load", hint))?;
    let (tally, history) = (&outcome.tally, &outcome.history);
    let rise = history.first_rise().map_or_else(
        || "the HPA saw no reason for more pods".to_owned(),
        |after| {
            format!(
                "the HPA wanted more after {} s, at most {} pods were ready",
                after.as_secs(),
                history.most_ready()
            )
        },
    );
    terminal.line(format!(
        "\n{} answers with {} tokens, {} refused, {} failed; {rise}",
        tally.finished, tally.tokens, tally.refused, tally.failed
    ));
    for failure in tally.failures.iter().take(3) {
        terminal.line(format!("  {failure}"));
    }
    Ok(outcome)
}

fn summary(cluster: &Cluster, example: &Quickstart, base: &reach::Route, terminal: &mut Terminal) {
    let namespace = &example.namespace;
    let (secret, field) = (&example.key_secret, &example.key_field);
    terminal.heading("Ready");
    let url = if base.is_direct() {
        format!("{}/v1", base.url())
    } else {
        terminal.line(format!(
            "  first, in another terminal:  eval \"$(make -s env)\"; kubectl port-forward -n {namespace} service/{} 8080:{}",
            example.gateway, example.port
        ));
        "http://127.0.0.1:8080/v1".to_owned()
    };
    terminal.line(format!("  cluster  {}", cluster.description()));
    terminal.line(format!("  URL      {}", terminal.strong(&url)));
    terminal.line(format!("  key      Secret {namespace}/{secret}, field {field}"));
    terminal.heading("Try next");
    let chat = format!(
        "{{\"model\":\"{}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}",
        example.model
    );
    for line in [
        "eval \"$(make -s env)\"    # kubectl, helm and KUBECONFIG for this shell".to_owned(),
        format!("export OPENAI_BASE_URL={url}"),
        format!(
            "export OPENAI_API_KEY=$(kubectl get secret -n {namespace} {secret} -o jsonpath='{{.data.{field}}}' | base64 -d)"
        ),
        "curl -fsS $OPENAI_BASE_URL/models -H \"authorization: Bearer $OPENAI_API_KEY\"".to_owned(),
        format!(
            "curl -fsSN $OPENAI_BASE_URL/chat/completions -H \"authorization: Bearer $OPENAI_API_KEY\" -H 'content-type: application/json' -d '{chat}'"
        ),
        format!("kubectl get tokenweir,hpa,pods -n {namespace}"),
        "make load      # drive load again and watch it scale".to_owned(),
        "make status    # what is there".to_owned(),
        "make down      # remove everything this made".to_owned(),
    ] {
        terminal.line(format!("  {line}"));
    }
}
