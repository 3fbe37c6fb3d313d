//! Processes under measurement: started on given CPUs, watched in `/proc`, ended when dropped.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::BenchError;

/// Linux counts CPU time in `/proc` in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// A process that ends with its guard.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    /// What it says on standard error. A file, since a program waits once a pipe that nobody reads is full.
    said: File,
}

impl Running {
    /// Starts a program on the given CPUs (all when empty), with its output dropped. What it
    /// says on standard error is kept for the error of [`check`](Self::check).
    pub fn start(program: &Path, arguments: &[String], cpus: &str) -> Result<Self, BenchError> {
        Self::start_with(program, arguments, cpus, &[])
    }

    /// The same with further variables in its environment.
    pub fn start_with(
        program: &Path,
        arguments: &[String],
        cpus: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, BenchError> {
        let said = tempfile::tempfile()?;
        let mut command = on_cpus(program, cpus);
        let child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone()?)
            .spawn()
            .map_err(|source| BenchError::Start {
                program: program.into(),
                source,
            })?;
        let name = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self { child, name, said })
    }

    /// The process id. `taskset` replaces itself by the program, so it is the program's own.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if the process has ended.
    pub fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let mut said = Vec::new();
                self.said.rewind()?;
                self.said.read_to_end(&mut said)?;
                let said = String::from_utf8_lossy(&said);
                Err(BenchError::Silent {
                    what: self.name.clone(),
                    reason: format!("it ended with {status}: {}", said.trim()),
                })
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command for a program that runs on the given CPUs, all when empty.
pub fn on_cpus(program: &Path, cpus: &str) -> Command {
    if cpus.is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cpus).arg(program);
    command
}

/// Free loopback addresses, all different. A port stays free unless another program takes it in the meantime.
pub fn free_addresses<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    // All are held at once: a port that is let go may be handed out again at once.
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

/// Waits until a port takes connections.
pub async fn wait_for_port(address: SocketAddr, at_most: Duration) -> Result<(), BenchError> {
    let deadline = Instant::now() + at_most;
    loop {
        match tokio::net::TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(BenchError::Silent {
                    what: address.to_string(),
                    reason: error.to_string(),
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn read(path: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(path).map_err(|source| BenchError::File {
        path: path.into(),
        source,
    })
}

fn odd(path: &Path) -> BenchError {
    BenchError::File {
        path: path.into(),
        source: std::io::Error::other("unexpected contents"),
    }
}

/// CPU time that a process has used, user and system, all threads.
pub fn cpu_time(process: u32) -> Result<Duration, BenchError> {
    let (user, system) = cpu_split(process)?;
    Ok(user + system)
}

/// CPU time that a process has used in its own code and in the kernel, all threads.
pub fn cpu_split(process: u32) -> Result<(Duration, Duration), BenchError> {
    let path = PathBuf::from(format!("/proc/{process}/stat"));
    let (user, system) = ticks(&read(&path)?).ok_or_else(|| odd(&path))?;
    Ok((TICK * user, TICK * system))
}

fn ticks(stat: &str) -> Option<(u32, u32)> {
    // The program's name stands in parentheses and may hold anything, so fields are counted behind the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some((fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?))
}

/// What a program prints, once it has ended well.
pub fn output_of(command: &mut Command) -> Result<String, BenchError> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BenchError::Start {
            program: program.clone(),
            source,
        })?;
    if !output.status.success() {
        return Err(BenchError::Silent {
            what: program.display().to_string(),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Resident memory of a process, in kibibytes.
pub fn resident_kib(process: u32) -> Result<u64, BenchError> {
    let path = PathBuf::from(format!("/proc/{process}/status"));
    let text = read(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| odd(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(ticks(stat), Some((250, 50)));
        assert_eq!(ticks("7 (a) S"), None);
    }

    #[test]
    fn the_own_process_has_memory_and_used_time() {
        let began = Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(40) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time(std::process::id()).unwrap() >= Duration::from_millis(10));
        assert!(resident_kib(std::process::id()).unwrap() > 1000);
    }

    #[tokio::test]
    async fn a_process_that_ended_tells_why() {
        let arguments = ["-c".to_owned(), "echo no such model >&2; exit 3".to_owned()];
        let mut running = Running::start(Path::new("sh"), &arguments, "").unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            match running.check() {
                Err(error) => break error.to_string(),
                Ok(()) => assert!(Instant::now() < deadline, "it runs on"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert!(
            error.contains("exit status: 3") && error.contains("no such model"),
            "{error}"
        );
    }

    #[test]
    fn free_addresses_are_all_different() {
        let addresses = free_addresses::<20>().unwrap();
        let ports: std::collections::BTreeSet<u16> = addresses.iter().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 20);
    }

    #[test]
    fn a_process_ends_with_its_guard() {
        let running = Running::start(Path::new("sleep"), &["60".into()], "").unwrap();
        let id = running.id();
        assert!(cpu_time(id).is_ok());
        drop(running);
        assert!(cpu_time(id).is_err());
    }
}
