//! What a request costs on the hot path: CPU time, system calls, instructions by function, allocations; for the gateway
//! and the bare proxy alike.

mod callgrind;
mod strace;

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use callgrind::Counts;
use strace::Calls;

use crate::arena::TOKENS;
use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs, Server};
use crate::load::Report;
use crate::process::{cpu_split, output_of};
use crate::runner::{Scenario, Target};
use crate::{machine, table};

/// Functions with a row of their own.
const FUNCTIONS: usize = 25;
/// Crates with a row of their own.
const CRATES: usize = 12;
/// System calls that are rarer than this for each request are those of the runtime's own life.
const RARE: f64 = 0.005;

/// How the profile is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Measured seconds of each run.
    pub seconds: u64,
    /// Connections of the load.
    pub connections: usize,
    /// Bytes of a request body.
    pub size: usize,
    /// CPUs of the measured program. Empty: all.
    pub target_cpus: String,
    /// CPUs of upstream and load. Empty: all.
    pub other_cpus: String,
}

/// What a request costs one of both.
struct Cost {
    /// Microseconds of CPU time in the program and in the kernel.
    user: f64,
    system: f64,
    calls: Calls,
    counts: Counts,
    /// Requests under the instruction count.
    counted: f64,
}

/// Which of both is measured.
#[derive(Clone, Copy)]
enum Which {
    Bare,
    Ours,
}

/// Measures both, and returns the profile as Markdown.
pub async fn measure(programs: &Programs, options: &Options) -> Result<String, BenchError> {
    let machine = machine::describe();
    let upstream = fixture::upstream(programs, &options.other_cpus, TOKENS, 1).await?;
    let configuration = Configuration::write(upstream.address)?;
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        programs,
        options,
        upstream: &upstream,
        configuration: &configuration,
        folder: folder.path(),
    };
    let bare = bench.cost(Which::Bare).await?;
    let ours = bench.cost(Which::Ours).await?;
    Ok(text(&machine, options, &bare, &ours))
}

struct Bench<'a> {
    programs: &'a Programs,
    options: &'a Options,
    upstream: &'a Server,
    configuration: &'a Configuration,
    folder: &'a Path,
}

impl Bench<'_> {
    async fn cost(&self, which: Which) -> Result<Cost, BenchError> {
        let server = self.start(which, self.programs).await?;
        let target = target(which, &server);
        // Fills pools and caches.
        self.load(&target)?;
        let before = cpu_split(target.process)?;
        let report = self.load(&target)?;
        let after = cpu_split(target.process)?;
        let answered = report.answered.max(1) as f64;
        let micros = |after: std::time::Duration, before| after.saturating_sub(before).as_secs_f64() * 1e6 / answered;
        let (user, system) = (micros(after.0, before.0), micros(after.1, before.1));
        let calls = self.calls(&target)?;
        drop(server);
        let (counts, counted) = self.counts(which).await?;
        Ok(Cost {
            user,
            system,
            calls,
            counts,
            counted,
        })
    }

    async fn start(&self, which: Which, programs: &Programs) -> Result<Server, BenchError> {
        let cpus = &self.options.target_cpus;
        match which {
            Which::Bare => fixture::proxy(programs, cpus, 1, self.upstream.address).await,
            Which::Ours => Ok(fixture::gateway(programs, cpus, 1, self.configuration).await?.server),
        }
    }

    fn load(&self, target: &Target) -> Result<Report, BenchError> {
        let options = self.options;
        let scenario = Scenario {
            size: options.size,
            stream: false,
            tokens: TOKENS,
            connections: options.connections,
            rate: None,
        };
        target.load(&self.programs.bench, &options.other_cpus, options.seconds, &scenario)
    }

    /// System calls for each request.
    fn calls(&self, target: &Target) -> Result<Calls, BenchError> {
        let summary = self.folder.join("strace");
        let mut tracer = Command::new("strace");
        tracer
            .args(["--summary-only", "--follow-forks", "--quiet=all"])
            .arg(format!("--attach={}", target.process))
            .arg("--output")
            .arg(&summary)
            .stdin(Stdio::null());
        let mut tracer = tracer.spawn().map_err(|source| BenchError::Start {
            program: "strace".into(),
            source,
        })?;
        let report = self.load(target);
        if let Some(pid) = i32::try_from(tracer.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::INT).map_err(std::io::Error::from)?;
        }
        tracer.wait()?;
        let text = read(&summary)?;
        Ok(Calls::parse(&text).per(report?.answered.max(1) as f64))
    }

    /// Instructions and calls by function, and for how many requests.
    async fn counts(&self, which: Which) -> Result<(Counts, f64), BenchError> {
        let name = match which {
            Which::Bare => "bare",
            Which::Ours => "ours",
        };
        let out = self.folder.join(name);
        let mut programs = self.programs.clone();
        programs.gateway = self.under_callgrind(&programs.gateway, &out)?;
        programs.bench = self.under_callgrind(&programs.bench, &out)?;
        let server = self.start(which, &programs).await?;
        let target = target(which, &server);
        self.load(&target)?;
        let dump = || {
            output_of(
                Command::new("callgrind_control")
                    .arg("-d")
                    .arg(target.process.to_string()),
            )
        };
        // What was counted so far goes into the first file, so that the second one has the load alone.
        dump()?;
        let report = self.load(&target)?;
        dump()?;
        let text = read(&out.with_extension("2"))?;
        Ok((Counts::parse(&text), report.answered.max(1) as f64))
    }

    /// A script that runs a program under callgrind.
    fn under_callgrind(&self, program: &Path, out: &Path) -> Result<PathBuf, BenchError> {
        let name = program.file_name().unwrap_or_default();
        let script = self.folder.join(name);
        let text = format!(
            "#!/bin/sh\nexec valgrind --tool=callgrind --callgrind-out-file='{}' '{}' \"$@\"\n",
            out.display(),
            program.display()
        );
        let failed = |source| BenchError::File {
            path: script.clone(),
            source,
        };
        std::fs::write(&script, text).map_err(failed)?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(script)
    }
}

fn read(path: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(path).map_err(|source| BenchError::File {
        path: path.into(),
        source,
    })
}

fn target(which: Which, server: &Server) -> Target {
    let (name, model, key) = match which {
        Which::Bare => ("bare proxy", "sim", None),
        Which::Ours => ("gateway", MODEL, Some(KEY.into())),
    };
    Target {
        name,
        address: server.address,
        process: server.running.id(),
        model: model.into(),
        key,
        headers: Vec::new(),
    }
}

fn text(machine: &str, options: &Options, bare: &Cost, ours: &Cost) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{machine}. `tokenweir-bench profile --connections {} --size {}`: closed loop; CPU time as Linux counts it, system calls \
         with `strace`, instructions and calls with `valgrind --tool=callgrind`, which sees the program and not the kernel.\n",
        options.connections, options.size
    );
    let per = |cost: &Cost, number: u64| number as f64 / cost.counted;
    let row = |what: &str, of: &dyn Fn(&Cost) -> String| vec![what.to_owned(), of(bare), of(ours)];
    let mut rows = vec![
        row("CPU in the program, µs", &|cost| format!("{:.1}", cost.user)),
        row("CPU in the kernel, µs", &|cost| format!("{:.1}", cost.system)),
        row("instructions in the program", &|cost| {
            format!("{:.0}", per(cost, cost.counts.instructions()))
        }),
        row("allocations", &|cost| {
            format!("{:.1}", per(cost, cost.counts.allocations()))
        }),
        row("system calls", &|cost| format!("{:.2}", cost.calls.sum())),
    ];
    for name in ours.calls.above(RARE) {
        rows.push(row(&format!("of these `{name}`"), &|cost| {
            format!("{:.2}", cost.calls.of(name))
        }));
    }
    out.push_str(&table::format(&["for each request", "bare proxy", "gateway"], &rows));
    out.push_str("\nInstructions for each request by crate (`libc` and the like by what they do):\n\n");
    let crates = ours.counts.by_crate();
    let theirs = bare.counts.by_crate();
    let rows: Vec<Vec<String>> = crates
        .iter()
        .take(CRATES)
        .map(|(name, number)| {
            let other = theirs
                .iter()
                .find(|(theirs, _)| theirs == name)
                .map_or(0, |(_, number)| *number);
            vec![
                format!("`{name}`"),
                format!("{:.0}", per(bare, other)),
                format!("{:.0}", per(ours, *number)),
            ]
        })
        .collect();
    out.push_str(&table::format(&["crate", "bare proxy", "gateway"], &rows));
    out.push_str(
        "\nThe gateway's functions with the most instructions of their own, what is inlined into them included:\n\n",
    );
    let all = ours.counts.instructions().max(1) as f64;
    let rows: Vec<Vec<String>> = ours
        .counts
        .by_function()
        .into_iter()
        .take(FUNCTIONS)
        .map(|(name, number)| {
            vec![
                format!("{:.0}", per(ours, number)),
                format!("{:.1}%", number as f64 * 100.0 / all),
                format!("`{name}`"),
            ]
        })
        .collect();
    out.push_str(&table::format(&["instructions", "share", "function"], &rows));
    out
}
