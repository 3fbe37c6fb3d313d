//! The bare proxy and the gateway in front of one upstream, and a load on each in turn.

use std::fmt::Write;

use crate::error::BenchError;
use crate::fixture::Programs;
use crate::gateway::Options;
use crate::load::Report;
use crate::runner::{Scenario, Target, median};

/// Tokens of an answer in one piece.
pub(crate) const TOKENS: u64 = 16;

/// Both targets of a comparison.
pub(crate) struct Arena<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) options: &'a Options,
    pub(crate) bare: Target,
    pub(crate) ours: Target,
}

/// What the bare proxy and the gateway did under the same load.
pub(crate) struct Pair {
    pub(crate) bare: Report,
    pub(crate) ours: Report,
}

impl Arena<'_> {
    /// What is asked for: answers to bodies of each size, and streams for the first of them.
    pub(crate) fn requests(&self, connections: usize) -> impl Iterator<Item = Scenario> {
        let options = self.options;
        let whole = options.sizes.iter().map(|size| (*size, false, TOKENS));
        let streams = options.sizes.first().map(|size| (*size, true, options.chunks));
        whole.chain(streams).map(move |(size, stream, tokens)| Scenario {
            size,
            stream,
            tokens,
            connections,
            rate: None,
        })
    }

    /// The same load on both, in turn, as often as the options say.
    pub(crate) fn pair(&self, scenario: &Scenario) -> Result<Pair, BenchError> {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds.max(1) {
            bare.push(self.run(&self.bare, scenario)?);
            ours.push(self.run(&self.ours, scenario)?);
        }
        Ok(Pair {
            bare: median(&bare),
            ours: median(&ours),
        })
    }

    fn run(&self, target: &Target, scenario: &Scenario) -> Result<Report, BenchError> {
        let options = self.options;
        target.load(&self.programs.bench, &options.other_cpus, options.seconds, scenario)
    }

    /// How all figures of this comparison are made.
    pub(crate) fn describe(&self, machine: &str) -> String {
        let options = self.options;
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{machine}. `{}`: answers of {TOKENS} tokens, streams of {} events; target on CPUs {} with {} threads, upstream \
             and load on CPUs {}; {} s a run after 1 s of warm-up, median of {} alternating runs.\n",
            options.command(),
            options.chunks,
            shown(&options.target_cpus),
            options.threads,
            shown(&options.other_cpus),
            options.seconds,
            options.rounds
        );
        out
    }
}

/// What a request is, and how large, for a table.
pub(crate) fn names(scenario: &Scenario) -> [String; 2] {
    let kind = if scenario.stream { "stream" } else { "chat" };
    [kind.to_owned(), body(scenario.size)]
}

fn body(size: usize) -> String {
    if size >= 1024 && size.is_multiple_of(1024) {
        format!("{} KiB", size / 1024)
    } else {
        format!("{size} B")
    }
}

fn shown(cpus: &str) -> &str {
    if cpus.is_empty() { "all" } else { cpus }
}
