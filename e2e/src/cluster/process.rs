//! Processes that outlive the program that started them and that another program can stop later.
//!
//! A record holds the pid together with the start time of the process, so that a pid that the kernel has given to
//! somebody else is never taken for ours and never signalled.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::command::tail;
use super::error::{ClusterError, Result, file};

/// How often a process that is told to stop is looked at.
const POLL: Duration = Duration::from_millis(20);

/// One started process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
    /// What was executed.
    pub argv: Vec<String>,
}

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) threads: u64,
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Parses the file. The command's name may hold spaces and brackets, so that fields count from the last `)`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // `state` is field 3, the number of threads field 20, and the start time field 22.
        let threads = fields.nth(16)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        Some(Self {
            state,
            threads,
            start_ticks,
        })
    }

    fn read(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

impl Record {
    /// The record of a process that runs now.
    pub(crate) fn of(pid: u32, argv: Vec<String>) -> Option<Self> {
        Stat::read(pid).map(|stat| Self {
            pid,
            start_ticks: stat.start_ticks,
            argv,
        })
    }

    /// Whether exactly this process still runs. A zombie has ended, unless other threads of it are still on their way
    /// out: until they are gone, its ports are taken.
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| self.matches(stat))
    }

    fn matches(&self, stat: Stat) -> bool {
        let ended = matches!(stat.state, 'Z' | 'X') && stat.threads <= 1;
        stat.start_ticks == self.start_ticks && !ended
    }

    /// Reads a record; `None` where there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| ClusterError::State {
                    path: path.to_owned(),
                    source,
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file("read", path)(error)),
        }
    }

    fn store(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|source| ClusterError::State {
            path: path.to_owned(),
            source,
        })?;
        write_atomic(path, &bytes)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && self.is_alive()
        {
            // The process may end between the check and the signal; then there is nothing left to do.
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks the process to end, insists after `grace`, and returns once it has ended.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.signal(Signal::TERM);
        if !self.ends_within(grace).await {
            self.signal(Signal::KILL);
            // A killed process ends as soon as it leaves the kernel; ten seconds bound a hung disk.
            self.ends_within(Duration::from_secs(10)).await;
        }
    }

    async fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// Starts a program in a session of its own, with its output appended to `log`, and records it in `record`.
///
/// The environment is reduced to `PATH` and `HOME`: proxies and tool settings of the caller's shell have no business in
/// a cluster's parts.
pub(crate) fn spawn_detached(argv: &[String], log: &Path, record: &Path) -> Result<Record> {
    let output = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(file("open", log))?;
    let errors = output.try_clone().map_err(file("open", log))?;
    let mut command = Command::new("setsid");
    command
        .args(argv)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .env_clear()
        .current_dir("/");
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command.spawn().map_err(|source| ClusterError::Spawn {
        program: "setsid".to_owned(),
        source,
    })?;
    // A new child is no group leader, so that setsid(1) executes the program under the same pid.
    let started = Record::of(child.id(), argv.to_vec());
    // Without a waiting parent an ended part would stay a zombie for as long as this program lives.
    std::thread::spawn(move || child.wait());
    let started = started.ok_or_else(|| ClusterError::Command {
        command: argv.join(" "),
        status: "it ended at once".to_owned(),
        output: log_tail(log),
    })?;
    started.store(record)?;
    Ok(started)
}

/// Writes a file so that a reader sees the old content or the new one, never a part.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(file("write", &temporary))?;
    std::fs::rename(&temporary, path).map_err(file("write", path))
}

/// The last lines of a log, for an error message.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = std::fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    tail(text.trim_end(), 2000).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(comm: &str, state: char, start: u64) -> String {
        format!("42 ({comm}) {state} 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 {start} 100 200\n")
    }

    #[test]
    fn a_stat_line_is_parsed_whatever_the_command_is_called() {
        for comm in ["sleep", "a b", "a) R 1 2", "((x))"] {
            assert_eq!(
                Stat::parse(&line(comm, 'S', 777)),
                Some(Stat {
                    state: 'S',
                    threads: 3,
                    start_ticks: 777
                }),
                "{comm}"
            );
        }
    }

    #[test]
    fn a_broken_stat_line_is_refused() {
        for text in ["", "42 (sleep", "42 (sleep) S 1 2", "42 (sleep) "] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_pid_that_now_belongs_to_another_process_is_not_ours() {
        let record = Record {
            pid: 42,
            start_ticks: 777,
            argv: Vec::new(),
        };
        assert!(record.matches(Stat {
            state: 'S',
            threads: 3,
            start_ticks: 777
        }));
        assert!(!record.matches(Stat {
            state: 'S',
            threads: 3,
            start_ticks: 778
        }));
    }

    #[test]
    fn a_zombie_has_ended_once_its_last_thread_has() {
        let record = Record {
            pid: 42,
            start_ticks: 777,
            argv: Vec::new(),
        };
        assert!(record.matches(Stat {
            state: 'Z',
            threads: 3,
            start_ticks: 777
        }));
        assert!(!record.matches(Stat {
            state: 'Z',
            threads: 1,
            start_ticks: 777
        }));
    }

    #[tokio::test]
    async fn a_recycled_pid_is_never_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let real = Record::of(child.id(), Vec::new()).unwrap();
        let recycled = Record {
            start_ticks: real.start_ticks + 1,
            ..real.clone()
        };
        recycled.stop(Duration::from_millis(50)).await;
        assert!(real.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!real.is_alive());
    }

    #[tokio::test]
    async fn a_detached_process_is_recorded_logged_and_stopped_through_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let (log, record) = (folder.path().join("p.log"), folder.path().join("p.json"));
        let argv: Vec<String> = ["sh", "-c", "echo hello; exec sleep 60"].map(str::to_owned).into();
        let started = spawn_detached(&argv, &log, &record).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while log_tail(&log) != "hello" && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        assert_eq!(log_tail(&log), "hello");
        let loaded = Record::load(&record).unwrap().unwrap();
        assert_eq!(loaded, started);
        assert!(loaded.is_alive());
        loaded.stop(Duration::from_secs(5)).await;
        assert!(!loaded.is_alive());
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (log, record) = (folder.path().join("p.log"), folder.path().join("p.json"));
        let argv: Vec<String> = ["sh", "-c", "trap '' TERM; echo armed; while :; do sleep 1; done"]
            .map(str::to_owned)
            .into();
        let started = spawn_detached(&argv, &log, &record).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while log_tail(&log) != "armed" && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        started.stop(Duration::from_millis(100)).await;
        assert!(!started.is_alive());
    }

    #[test]
    fn a_missing_record_is_none_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        assert_eq!(Record::load(&path).unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Record::load(&path), Err(ClusterError::State { .. })));
    }
}
