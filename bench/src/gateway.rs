//! The gateway against the bare proxy, alternating in one run, over sizes, connections and kinds of answers.

use std::fmt::Write;

use crate::arena::{Arena, TOKENS};
use crate::document::Section;
use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs};
use crate::load::percentile;
use crate::process::resident_kib;
use crate::runner::{Target, millis};
use crate::{closed, machine, open, peers};

/// How the comparison is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Measured seconds of each run.
    pub seconds: u64,
    /// Runs of each target per row; they alternate.
    pub rounds: usize,
    /// Connections, a row each.
    pub connections: Vec<usize>,
    /// Bytes of request bodies, a row each; streams take the first.
    pub sizes: Vec<usize>,
    /// Events of a stream.
    pub chunks: u64,
    /// CPUs of the measured program. Empty: all.
    pub target_cpus: String,
    /// CPUs of upstream and load. Empty: all.
    pub other_cpus: String,
    /// Threads of the measured program.
    pub threads: usize,
    /// Starts measured for the time to the first answer.
    pub starts: usize,
}

impl Options {
    /// The command that measures the same.
    pub(crate) fn command(&self) -> String {
        let list = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!(
            "tokenweir-bench gateway --sizes {} --connections {} --seconds {} --rounds {}",
            list(&self.sizes),
            list(&self.connections),
            self.seconds,
            self.rounds
        )
    }
}

/// Measures, and returns the figures as Markdown.
pub async fn compare(programs: &Programs, options: &Options) -> Result<Vec<Section>, BenchError> {
    let machine = machine::describe();
    let upstream = fixture::upstream(programs, &options.other_cpus, TOKENS, options.chunks).await?;
    let configuration = Configuration::write(upstream.address)?;
    let (starts, idle) = starts(programs, options, &configuration).await?;
    let proxy = fixture::proxy(programs, &options.target_cpus, options.threads, upstream.address).await?;
    let gateway = fixture::gateway(programs, &options.target_cpus, options.threads, &configuration).await?;
    let arena = Arena {
        programs,
        options,
        bare: Target {
            name: "bare proxy",
            address: proxy.address,
            process: proxy.running.id(),
            model: "sim".into(),
            key: None,
            headers: Vec::new(),
        },
        ours: Target {
            name: "gateway",
            address: gateway.server.address,
            process: gateway.server.running.id(),
            model: MODEL.into(),
            key: Some(KEY.into()),
            headers: Vec::new(),
        },
    };
    let about = arena.describe(&machine);
    let closed = closed::measure(&arena)?;
    let open = open::measure(&arena)?;
    let mut start = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        start,
        "Exec to first answered request: median {:.1} ms, slowest {:.1} ms of {} starts. Resident memory after that request: \
         median {:.1} MiB; after all the load above: {:.1} MiB.",
        millis(percentile(&starts, 50)),
        millis(percentile(&starts, 100)),
        starts.len(),
        mebibytes(percentile(&idle, 50)),
        mebibytes(resident_kib(arena.ours.process)?),
    );
    let peers = peers::compare(programs, options, upstream.address, &arena.ours).await?;
    Ok(vec![
        Section::new("closed", format!("{about}\n{closed}")),
        Section::new("open", open),
        Section::new("start", start),
        Section::new("peers", peers),
    ])
}

/// Times to the first answer in microseconds and memory in kibibytes, both sorted.
async fn starts(
    programs: &Programs,
    options: &Options,
    configuration: &Configuration,
) -> Result<(Vec<u64>, Vec<u64>), BenchError> {
    let mut starts = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..options.starts.max(1) {
        let gateway = fixture::gateway(programs, "", options.threads, configuration).await?;
        starts.push(u64::try_from(gateway.first_answer.as_micros()).unwrap_or(u64::MAX));
        idle.push(resident_kib(gateway.server.running.id())?);
    }
    starts.sort_unstable();
    idle.sort_unstable();
    Ok((starts, idle))
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
