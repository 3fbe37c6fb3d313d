//! The other process of a test: this program again, running one of the tests here that are ignored otherwise.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenweir_ledger::Ledger;
use tokenweir_ledger::sink::{Postgres, PostgresConfig};
use tokenweir_ledger::spool::{Spool, SpoolConfig, Trouble};

use crate::rows::row;

const FOLDER: &str = "LEDGER_TEST_FOLDER";
const FIRST: &str = "LEDGER_TEST_FIRST";
/// The variable with the URL of the database.
pub const DATABASE: &str = "LEDGER_TEST_DATABASE";

/// The command that runs `child::NAME` of this program, after the words of `before`.
pub fn command(before: &[&str], name: &str, folder: &Path, first: u64) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match before {
        [] => Command::new(&program),
        [word, words @ ..] => {
            let mut command = Command::new(word);
            command.args(words).arg(&program);
            command
        }
    };
    command
        .args(["--ignored", "--exact", &format!("child::{name}")])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The command that runs `child::NAME` with a file system of one mebibyte at `folder` that is nobody else's.
pub fn in_a_small_disk(name: &str, folder: &Path) -> Command {
    let mount = r#"mount -t tmpfs -o size=1m ledger "$LEDGER_TEST_FOLDER" && exec "$@""#;
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let mut before = vec!["unshare", "--mount"];
    if !root {
        // Who is not root may mount in a user namespace.
        before.extend(["--user", "--map-root-user"]);
    }
    before.extend(["sh", "-c", mount, "sh"]);
    command(&before, name, folder, 0)
}

/// Ends a process as `kill -9` does.
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

/// Says a line to the test that started this process. The test's own capture of output is passed by.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.write_all(b"\n").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn writes_until_it_is_killed() {
    let mut number: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let config = SpoolConfig {
        // Many segments, so that some are begun and closed around the kill.
        segment_bytes: 20_000,
        ..SpoolConfig::new(folder())
    };
    let (spool, _reader) = Spool::open(&config).unwrap();
    say("open");
    loop {
        let mut receipts = Vec::new();
        for _ in 0..20 {
            receipts.push((number, spool.record(row(number)).await.unwrap()));
            number += 1;
        }
        for (number, receipt) in receipts {
            receipt.await.unwrap();
            say(&format!("confirmed {number}"));
        }
    }
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn records_until_it_is_killed() {
    let mut number: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let config = SpoolConfig {
        segment_bytes: 400_000,
        ..SpoolConfig::new(folder())
    };
    let ledger = Ledger::open(&config, database()).unwrap();
    loop {
        crate::ledger::record(&ledger, number..number + 500).await;
        number += 500;
        say(&format!("confirmed below {number}"));
    }
}

fn database() -> Postgres {
    Postgres::new(PostgresConfig::parse(&std::env::var(DATABASE).unwrap()).unwrap())
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn records_onto_a_full_disk() {
    let config = SpoolConfig {
        segment_bytes: 50_000,
        queue: 2_000,
        ..SpoolConfig::new(folder().join("spool"))
    };
    let ledger = Arc::new(Ledger::open(&config, database()).unwrap());
    let recording = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { crate::ledger::record(&ledger, 0..100_000).await }
    });
    let deadline = Instant::now() + Duration::from_mins(1);
    while !matches!(ledger.health().spool.trouble, Some(Trouble::Disk { .. })) {
        assert!(Instant::now() < deadline, "{:?}", ledger.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    say("full");
    recording.await.unwrap();
    ledger.drain(Duration::from_mins(3)).await.unwrap();
    say("drained");
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn fills_a_disk() {
    let ballast = folder().join("ballast");
    std::fs::write(&ballast, vec![1; 700_000]).unwrap();
    let config = SpoolConfig {
        segment_bytes: 50_000,
        queue: 100,
        ..SpoolConfig::new(folder().join("spool"))
    };
    let (spool, mut reader) = Spool::open(&config).unwrap();
    let spool = Arc::new(spool);
    // More than what is free, and more than what the queue holds.
    let all = 4_000;
    let recording = tokio::spawn({
        let spool = Arc::clone(&spool);
        async move {
            let mut receipts = Vec::new();
            for number in 0..all {
                receipts.push(spool.record(row(number)).await.unwrap());
            }
            for receipt in receipts {
                receipt.await.unwrap();
            }
        }
    });
    let deadline = Instant::now() + Duration::from_mins(1);
    let error = loop {
        if let Some(Trouble::Disk { error, .. }) = spool.health().trouble {
            break error;
        }
        assert!(Instant::now() < deadline, "{:?}", spool.health());
        tokio::task::yield_now().await;
    };
    // What waits is bounded by the queue, and nothing was confirmed that is not on disk.
    let health = spool.health();
    assert!(health.queued <= 100, "{health:?}");
    assert!(health.written < all, "{health:?}");
    assert!(!recording.is_finished());
    std::fs::remove_file(&ballast).unwrap();
    recording.await.unwrap();
    let health = spool.health();
    assert_eq!((health.trouble, health.written), (None, all));
    spool.close();
    let mut numbers = std::collections::BTreeSet::new();
    while let Some(batch) = reader.next(1_000).await.unwrap() {
        numbers.extend(batch.rows.iter().map(crate::rows::number_of));
        reader.done(&batch);
    }
    assert_eq!(numbers, (0..all).collect());
    say(&format!("healed after: {error}"));
}
