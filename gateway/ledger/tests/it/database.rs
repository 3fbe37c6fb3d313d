//! Databases for tests: a PostgreSQL server of its own, and SQLite.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

/// A PostgreSQL server in a temporary folder, on a port of its own.
pub struct Server {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
    settings: Vec<String>,
}

/// Where Debian keeps the server's programs, newest version first; else the `PATH`.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.exists().then_some((version, path))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(|| name.into(), |(_, path)| path)
}

/// The command as a user that is not root, since the server refuses root; it ends with the test's thread.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=QUIT"])
        .arg(program);
    command
}

pub fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `make setup` installs PostgreSQL"));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Server {
    /// Makes a server and starts it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Makes a server with these settings and starts it.
    pub async fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("65534:65534").arg(folder.path()));
        }
        let data = folder.path().join("data");
        run(unprivileged(&program("initdb"))
            .args([
                "--username=ledger",
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir(folder.path()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self {
            settings: settings.iter().map(ToString::to_string).collect(),
            folder,
            port,
            process: None,
        };
        server.resume().await;
        server
    }

    /// Starts the server again, on the same data and port.
    pub async fn resume(&mut self) {
        let process = unprivileged(&program("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k", ""])
            .args(self.settings.iter().flat_map(|setting| ["-c", setting.as_str()]))
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match PgConnection::connect(&self.url()).await {
                Ok(connection) => {
                    connection.close().await.unwrap();
                    return;
                }
                Err(error) => assert!(Instant::now() < deadline, "the server does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the server as a crash does: every connection breaks, and the next start recovers.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGQUIT is its immediate shutdown; after `kill -9` its children would still hold the port for a while.
            let pid = process.id().to_string();
            run(Command::new("kill").args(["-QUIT", &pid]));
            process.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://ledger@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}
