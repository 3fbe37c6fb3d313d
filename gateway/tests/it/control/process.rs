//! A gateway as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::http::{DEADLINE, wait_for};

/// A running gateway; it is killed when this is dropped.
pub struct Gateway {
    pub child: Child,
    pub output: Lines,
    pub log: Lines,
}

/// What a process has printed so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.clone();
        tokio::spawn(async move {
            let mut source = BufReader::new(source).lines();
            while let Ok(Some(line)) = source.next_line().await {
                shared.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    /// The rest of the first line that holds `before`.
    pub fn after(&self, before: &str) -> Option<String> {
        let lines = self.0.lock().unwrap();
        lines
            .iter()
            .find_map(|line| line.split_once(before).map(|(_, rest)| rest.trim().to_owned()))
    }
}

/// The program with arguments and nothing of this machine's environment that it would read.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenweir-gateway"));
    for name in [
        "POD_NAMESPACE",
        "POD_NAME",
        "TOKENWEIR_GATEWAY",
        "TOKENWEIR_STATE_DIR",
        "KUBECONFIG",
    ] {
        command.env_remove(name);
    }
    command.args(args).args(["--workers", "1"]).kill_on_drop(true);
    command
}

impl Gateway {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["--log-format", "text"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Lines::follow(child.stdout.take().unwrap());
        let log = Lines::follow(child.stderr.take().unwrap());
        Self { child, output, log }
    }

    /// Kills it and waits for its end, after which its ports are free for the next one.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Serves a folder on free ports.
    pub fn serve_folder(folder: &Path, state: &Path, more: &[&str]) -> Self {
        let mut command = command(&[
            "--config",
            folder.to_str().unwrap(),
            "--state-dir",
            state.to_str().unwrap(),
        ]);
        command.args(["--admin-listen", "127.0.0.1:0", "--telemetry-listen", "127.0.0.1:0"]);
        command.args(["--listen", "127.0.0.1:0"]).args(more);
        Self::start(command)
    }

    async fn printed(&self, what: &str) -> String {
        let found = wait_for(what, || async { self.output.after(what) });
        tokio::time::timeout(DEADLINE, found)
            .await
            .unwrap_or_else(|_| panic!("no {what}: {}", self.log.text()))
    }

    /// Where requests go, without a path.
    pub async fn data(&self) -> String {
        self.printed("URL ").await.trim_end_matches("/v1").to_owned()
    }

    /// Where `/status` is.
    pub async fn status(&self) -> String {
        self.printed("Status ").await
    }

    /// The telemetry port, without a path.
    pub async fn telemetry(&self) -> String {
        self.printed("Metrics ").await.trim_end_matches("/metrics").to_owned()
    }

    /// The API key of the first tenant.
    pub async fn key(&self) -> String {
        let line = self.printed("API key ").await;
        let path = line.split_once(" (").map_or(line.as_str(), |(path, _)| path);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let done = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Waits for the end and gives the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it goes on: {}", self.log.text()))
            .unwrap()
            .code()
    }
}
