//! A Redis of the test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How the server keeps what it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Not at all.
    None,
    /// Every write is on disk before it is acknowledged.
    Always,
}

/// A `redis-server` on a free port of loopback, with a folder of its own.
pub struct Server {
    folder: TempDir,
    pub port: u16,
    persistence: Persistence,
    child: Child,
}

impl Server {
    pub fn start(persistence: Persistence) -> Self {
        // Somebody else may have taken a port between its choice and its use.
        for _ in 0..10 {
            let folder = tempfile::tempdir().expect("a folder");
            let port = free_port();
            let child = spawn(folder.path(), port, persistence);
            let mut server = Self {
                folder,
                port,
                persistence,
                child,
            };
            if server.answers() {
                return server;
            }
        }
        panic!("redis-server finds no port");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `kill -9`, and the same port again.
    pub fn crash(&mut self) {
        self.kill();
        self.revive();
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("waits");
    }

    pub fn revive(&mut self) {
        self.child = spawn(self.folder.path(), self.port, self.persistence);
        assert!(self.answers(), "its port is its own no more");
    }

    /// Stops the process where it is: its connections stand, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process");
        kill_process(pid, signal).expect("signals");
    }

    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url())
            .and_then(|client| client.get_connection())
            .expect("connects")
    }

    /// Waits until this very process answers; false if it has ended instead.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mine = format!("process_id:{}\r\n", self.child.id());
        loop {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            let client = redis::Client::open(self.url()).expect("a URL");
            let answer = client
                .get_connection_with_timeout(Duration::from_secs(1))
                .and_then(|mut connection| redis::cmd("INFO").arg("server").query::<String>(&mut connection));
            if answer.is_ok_and(|answer| answer.contains(&mine)) {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}

fn spawn(folder: &Path, port: u16, persistence: Persistence) -> Child {
    let append = if persistence == Persistence::Always {
        "yes"
    } else {
        "no"
    };
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", append, "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server runs; tools/setup installs it")
}
