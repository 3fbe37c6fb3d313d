//! The command line, as people use it, against a real cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokenweir_e2e::harness::wait;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::pages::programs;
use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, TestResult, World, beside};

/// For one command: ten times what the slowest takes on a calm machine.
const LIMIT: Duration = Duration::from_mins(1);

struct Ctl<'a> {
    world: &'a World,
    program: PathBuf,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// The output of a command that did what it was asked for.
    fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }
}

impl Ctl<'_> {
    async fn run(&self, args: &[&str]) -> Ran {
        self.run_as(&self.program, args, "").await
    }

    async fn run_as(&self, program: &Path, args: &[&str], input: &str) -> Ran {
        let mut command = Command::new(program);
        command.args(args).args(["-n", &self.world.namespace]);
        command
            .env("KUBECONFIG", self.world.cluster.kubeconfig())
            .env_remove("TOKENWEIR_API_KEY")
            .env_remove("TOKENWEIR_INSTALL_NAMESPACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("its input is piped");
        // A command that does not read its input may be over already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = timeout(LIMIT, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("{args:?} did not end within {LIMIT:?}"))
            .expect("the program ends");
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[test]
fn tokenweirctl_tells_what_the_cluster_does_and_speaks_through_it() {
    beside(async |world| {
        let program = programs(&world).await?.join("tokenweirctl");
        let ctl = Ctl { world: &world, program };
        Stack::default().start(&world).await?;
        stack::ready_pods(&world, 2, READY).await?;

        all_is_ok(&ctl).await?;
        objects_and_routes_are_told(&ctl).await?;
        chats_are_answered(&ctl).await;
        files_are_judged(&ctl).await;
        Ok(())
    });
}

/// Health is told by the pods a moment after all is programmed.
async fn all_is_ok(ctl: &Ctl<'_>) -> TestResult {
    wait::poll("every object to be ok", READY, async || {
        let table = ctl.run(&["get"]).await.done().out;
        let state = |name: &str| {
            let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
            row.and_then(|row| row.split_whitespace().nth(1))
        };
        let names = [
            "llmgateway/edge",
            "modelprovider/sim",
            "modelroute/chat",
            "tenant/acme",
            "tenant/globex",
        ];
        if names.into_iter().all(|name| state(name) == Some("ok")) {
            Ok(())
        } else {
            Err(table)
        }
    })
    .await
}

async fn objects_and_routes_are_told(ctl: &Ctl<'_>) -> TestResult {
    let route = ctl.run(&["get", "route", "chat", "-o", "json"]).await.done().json();
    assert_eq!(route["spec"]["model"], MODEL);
    assert_eq!(ctl.run(&["get", "route", "none"]).await.code, Some(1));

    let generation = stack::object(ctl.world, "LLMGateway", "edge").await?.data["status"]["configGeneration"].clone();
    let told = ctl.run(&["describe", "gateway/edge", "-o", "json"]).await.done().json();
    let pods = told["pods"].as_array().unwrap_or_else(|| panic!("{told}"));
    assert_eq!(pods.len(), 2, "{told}");
    assert!(
        pods.iter()
            .all(|pod| pod["generation"] == generation && pod["ready"] == true),
        "{told}"
    );
    let text = ctl.run(&["describe", "provider", "sim"]).await.done().out;
    assert_eq!(text.matches("   Healthy   ").count(), 2, "{text}");

    let routes = ctl.run(&["routes", "-o", "json"]).await.done().json();
    let [route] = routes["routes"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        panic!("{routes}")
    };
    assert_eq!(
        (&route["route"], &route["gateway"], &route["generation"]),
        (&"chat".into(), &"edge".into(), &generation)
    );
    let target = &route["targets"][0];
    assert_eq!(
        (&target["provider"], &target["health"]),
        (&"sim".into(), &"Healthy".into())
    );
    Ok(())
}

async fn chats_are_answered(ctl: &Ctl<'_>) {
    for dialect in ["openai", "anthropic"] {
        let args = [
            "chat",
            "--tenant",
            "acme",
            "--max-tokens",
            "20",
            "--dialect",
            dialect,
            "Hello",
            "-o",
            "json",
        ];
        let chat = ctl.run(&args).await.done().json();
        assert_eq!(
            (&chat["outputTokens"], &chat["provider"]),
            (&20.into(), &"sim".into()),
            "{chat}"
        );
        assert!(chat["firstTokenMs"].as_f64() <= chat["totalMs"].as_f64(), "{chat}");
    }
    let wrong = ctl.run(&["chat", "--tenant", "acme", "-m", "none", "Hello"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.err.contains("404 model_not_found") && wrong.err.contains("request id"),
        "{}",
        wrong.err
    );

    // The chats of a moment ago are in the windows of ten seconds still.
    let top = ctl.run(&["top", "--once", "-o", "json"]).await.done().json();
    let rows = top["rows"].as_array().cloned().unwrap_or_default();
    let row = rows
        .iter()
        .find(|row| row["route"] == "chat")
        .unwrap_or_else(|| panic!("{top}"));
    assert!(row["pods"] == 2 && row["tokensPerSecond"].as_f64() > Some(0.0), "{top}");
}

async fn files_are_judged(ctl: &Ctl<'_>) {
    let manifests = Stack::default().manifests();
    let manifests = manifests.replace(
        "metadata: {name:",
        &format!("metadata: {{namespace: {}, name:", ctl.world.namespace),
    );
    let check = ["check", "--server", "-f", "-"];
    let checked = ctl.run_as(&ctl.program, &check, &manifests).await.done();
    assert!(checked.out.contains("the API server would take"), "{}", checked.out);
    // Nothing of ours: only the API server knows what is wrong with it.
    let wrong = manifests.replace("containerPort: 8000", "containerPort: 80000");
    let checked = ctl
        .run_as(&ctl.program, &[&check[..], &["-o", "json"]].concat(), &wrong)
        .await;
    let found = checked.json();
    let field = found["findings"][0]["field"].as_str().unwrap_or_default();
    assert!(checked.code == Some(1) && field.ends_with("].containerPort"), "{found}");
}

#[test]
fn tokenweirctl_is_a_plugin_of_kubectl() {
    beside(async |world| {
        let program = programs(&world).await?.join("tokenweirctl");
        let ctl = Ctl { world: &world, program };
        world.apply(&Stack::default().gateway()).await?;
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().display().to_string();
        let links = ctl.run(&["plugin", "install", "--dir", &dir]).await.done().out;
        assert_eq!(links.lines().count(), 2, "{links}");
        let path = format!("{dir}:{}", std::env::var("PATH").unwrap_or_default());
        let mut kubectl = Command::new(world.cluster.kubectl());
        kubectl.env("PATH", &path);
        let output = kubectl
            .env("KUBECONFIG", world.cluster.kubeconfig())
            .args(["tokenweir", "get", "gateways", "-o", "name", "-n", &world.namespace])
            .output();
        let output = output.await.expect("kubectl can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            text,
            "llmgateway.tokenweir.dev/edge\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let completer = folder.path().join("kubectl_complete-tokenweir");
        let output = Command::new(completer)
            .args(["get", "modelr"])
            .output()
            .await
            .expect("it can be run");
        assert!(
            String::from_utf8_lossy(&output.stdout).starts_with("modelroute\t"),
            "{output:?}"
        );
        Ok(())
    });
}
