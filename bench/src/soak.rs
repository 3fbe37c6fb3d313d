//! Memory: over a million requests, and with thousands of streams at once.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs};
use crate::load::{Connection, Shape};
use crate::machine;
use crate::process::resident_kib;
use crate::runner::{Scenario, Target};

/// Seconds of load between two looks at the memory.
const SLICE: u64 = 3;
/// Connections of that load.
const CONNECTIONS: usize = 64;
/// Streams are opened so many at a time, so that no backlog overflows.
const OPENED_AT_ONCE: usize = 50;
/// The first token of a held stream comes after this time, and each further one: slow enough that all of them are held
/// at once on one core, fast enough that none counts as stalled.
const HELD_LATENCY: &str = "fixed;first=1000;token=2000";
/// Tokens of a held stream.
const HELD_TOKENS: u64 = 30;

/// Drives requests through one gateway until there were so many, and holds so many streams in another; returns the
/// memory of both as text.
pub async fn measure(programs: &Programs, requests: u64, streams: usize) -> Result<String, BenchError> {
    let mut out = format!("{}.\n", machine::describe());
    out.push_str(&flat(programs, requests).await?);
    out.push_str(&held(programs, streams).await?);
    Ok(out)
}

async fn flat(programs: &Programs, requests: u64) -> Result<String, BenchError> {
    let sim = fixture::sim(programs, "", "").await?;
    let configuration = Configuration::write(sim.address)?;
    let gateway = fixture::gateway(programs, "", 1, &configuration).await?;
    let target = Target {
        name: "gateway",
        address: gateway.server.address,
        process: gateway.server.running.id(),
        model: MODEL.into(),
        key: Some(KEY.into()),
        headers: Vec::new(),
    };
    let mut done = 0;
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let mut stream = false;
    while done < requests {
        let scenario = Scenario {
            size: 256,
            stream,
            tokens: 4,
            connections: CONNECTIONS,
            rate: None,
        };
        done += target.load(&programs.bench, "", SLICE, &scenario)?.requests;
        seen.push((done, resident_kib(target.process)?));
        // Most are answers in one piece, some are streams.
        stream = seen.len() % 4 == 3;
    }
    let highest = seen.iter().map(|(_, kib)| *kib).max().unwrap_or_default();
    let mut out = String::new();
    if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "Resident memory of the gateway: {:.1} MiB after {} requests, {:.1} MiB after {}, at most {:.1} MiB in between ({} looks).",
            mebibytes(first.1),
            first.0,
            mebibytes(last.1),
            last.0,
            mebibytes(highest),
            seen.len()
        );
    }
    Ok(out)
}

async fn held(programs: &Programs, streams: usize) -> Result<String, BenchError> {
    tokenweir_process::raise_file_limit()?;
    let sim = fixture::sim(programs, "", HELD_LATENCY).await?;
    let configuration = Configuration::write(sim.address)?;
    let gateway = fixture::gateway(programs, "", 1, &configuration).await?;
    let process = gateway.server.running.id();
    let before = resident_kib(process)?;
    let shape = Shape::chat(MODEL, 256, true, HELD_TOKENS).with_key(Some(KEY));
    let began = Instant::now();
    let mut readers = Vec::new();
    for _ in 0..streams {
        let mut connection = Connection::open(gateway.server.address).await?;
        let shape = shape.clone();
        readers.push(tokio::spawn(async move { connection.request(&shape).await }));
        if readers.len() % OPENED_AT_ONCE == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // In the middle of the streams: all are open, and each has had several tokens.
    let opened = began.elapsed();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let running = readers.iter().filter(|reader| !reader.is_finished()).count();
    let while_held = resident_kib(process)?;
    let mut answered = 0;
    for reader in readers {
        reader.await.map_err(std::io::Error::other)??;
        answered += 1;
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{running} of {streams} streams held at once (opened in {:.1} s): resident memory {:.1} MiB, {:.1} MiB before, {:.1} KiB a \
         stream; all {answered} ended with [DONE].",
        opened.as_secs_f64(),
        mebibytes(while_held),
        mebibytes(before),
        while_held.saturating_sub(before) as f64 / running.max(1) as f64
    );
    Ok(out)
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
