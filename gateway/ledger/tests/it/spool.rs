//! What a spool promises, against crashes, full disks and damage.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use rand::Rng;
use tokenweir_ledger::Row;
use tokenweir_ledger::spool::{OpenError, Reader, RecordError, Spool, SpoolConfig, Trouble, aside_folder};

use crate::child;
use crate::rows::{number_of, row};

fn small(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        segment_bytes: 10_000,
        max_delay: Duration::from_micros(200),
        ..SpoolConfig::new(folder)
    }
}

async fn record(spool: &Spool, numbers: std::ops::Range<u64>) {
    let mut receipts = Vec::new();
    for number in numbers {
        receipts.push(spool.record(row(number)).await.unwrap());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

async fn read_all(reader: &mut Reader) -> Vec<Row> {
    let mut rows = Vec::new();
    while let Some(batch) = reader.next(100).await.unwrap() {
        assert!(batch.rows.len() <= 100);
        reader.done(&batch);
        rows.extend(batch.rows);
    }
    rows
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rows"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn rows_come_out_in_order_and_their_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut reader) = Spool::open(&small(folder.path())).unwrap();
    for tens in 0..10 {
        record(&spool, tens * 50..tens * 50 + 50).await;
    }
    assert!(segments(folder.path()).len() > 3);
    assert_eq!(spool.health().written, 500);
    spool.close();
    let rows = read_all(&mut reader).await;
    assert_eq!(rows, (0..500).map(row).collect::<Vec<_>>());
    assert_eq!(segments(folder.path()), Vec::<PathBuf>::new());
    let health = spool.health();
    assert_eq!((health.bytes, health.unsent_bytes, health.segments), (0, 0, 0));
    assert!(matches!(spool.try_record(row(1)), Err(RecordError::Closed(back)) if *back == row(1)));
}

#[tokio::test]
async fn rows_that_nobody_confirmed_come_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut reader) = Spool::open(&small(folder.path())).unwrap();
    record(&spool, 0..300).await;
    let batch = reader.next(100).await.unwrap().unwrap();
    assert_eq!(number_of(&batch.rows[0]), 0);
    assert!(matches!(Spool::open(&small(folder.path())), Err(OpenError::InUse(_))));
    spool.close();
    // The writing thread has the lock until it ends, which it tells by ending the reader.
    let mut count = 0;
    while let Some(batch) = reader.next(100).await.unwrap() {
        count += batch.rows.len();
        if count >= 300 {
            break;
        }
        reader.done(&batch);
    }
    drop((spool, reader));
    let (spool, mut reader) = reopen(folder.path()).await;
    record(&spool, 300..350).await;
    spool.close();
    let numbers: Vec<_> = read_all(&mut reader).await.iter().map(number_of).collect();
    assert!((250..300).all(|number| numbers.contains(&number)), "{numbers:?}");
    assert_eq!(numbers[numbers.len() - 50..], (300..350).collect::<Vec<_>>());
}

/// Opens a spool as soon as the thread of an earlier one has let go of it.
async fn reopen(folder: &Path) -> (Spool, Reader) {
    for _ in 0..5_000 {
        match Spool::open(&small(folder)) {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the spool stays locked");
}

#[tokio::test]
async fn what_was_confirmed_is_there_after_kill_nine_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut confirmed = BTreeSet::new();
    let rounds = 25;
    for round in 0..rounds {
        let first = round * 1_000_000;
        let mut process = child::command(&[], "writes_until_it_is_killed", folder.path(), first)
            .spawn()
            .unwrap();
        let until = rand::rng().random_range(0..300);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < until {
            let line = lines.next().expect("the writer ended by itself").unwrap();
            if let Some(number) = line.strip_prefix("confirmed ") {
                confirmed.insert(number.parse::<u64>().unwrap());
                seen += 1;
            }
        }
        child::kill(process);
    }
    let (spool, mut reader) = reopen(folder.path()).await;
    spool.close();
    let rows = read_all(&mut reader).await;
    let found: BTreeSet<_> = rows.iter().map(number_of).collect();
    assert_eq!(found.len(), rows.len(), "a row came twice");
    assert!(confirmed.len() > 1_000, "{} confirmed", confirmed.len());
    assert_eq!(confirmed.difference(&found).count(), 0);
    // Nothing but what was written: each row is the row of its number.
    for found in rows {
        assert_eq!(found, row(number_of(&found)));
        assert!(number_of(&found) % 1_000_000 < 100_000);
    }
    assert_eq!(spool.health().damaged, 0, "a crash tears ends and does no damage");
}

#[test]
fn a_full_disk_confirms_nothing_holds_back_and_heals_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let output = child::in_a_small_disk("fills_a_disk", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("healed after: No space left on device"), "{said}");
}

#[tokio::test]
async fn a_spool_at_its_bound_waits_for_the_reader_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig {
        max_bytes: 30_000,
        queue: 10,
        ..small(folder.path())
    };
    let (spool, mut reader) = Spool::open(&config).unwrap();
    let spool = std::sync::Arc::new(spool);
    let recording = tokio::spawn({
        let spool = std::sync::Arc::clone(&spool);
        async move { record(&spool, 0..2_000).await }
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !matches!(spool.health().trouble, Some(Trouble::Full { .. })) || spool.health().queued < 10 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", spool.health());
        tokio::task::yield_now().await;
    }
    let health = spool.health();
    assert!(health.waited > 0);
    // The bound may be passed by one batch, which is no more than what the queue holds.
    assert!(health.bytes < 40_000, "{health:?}");
    let refused = spool.try_record(row(9_999));
    assert!(
        matches!(&refused, Err(RecordError::Full(back)) if **back == row(9_999)),
        "{refused:?}"
    );
    let mut numbers = Vec::new();
    while numbers.len() < 2_000 {
        let batch = reader.next(100).await.unwrap().unwrap();
        reader.done(&batch);
        numbers.extend(batch.rows.iter().map(number_of));
    }
    recording.await.unwrap();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
    assert_eq!(spool.health().trouble, None);
}

#[tokio::test]
async fn a_segment_that_is_old_is_closed_and_removed_without_new_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig {
        segment_age: Duration::from_millis(20),
        ..small(folder.path())
    };
    let (spool, mut reader) = Spool::open(&config).unwrap();
    record(&spool, 0..3).await;
    let batch = reader.next(10).await.unwrap().unwrap();
    assert_eq!(batch.rows.len(), 3);
    reader.done(&batch);
    // The reader removes it while it waits for rows that do not come.
    let gone = async {
        while !segments(folder.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(20), gone);
    tokio::select! {
        batch = reader.next(10) => panic!("{batch:?}"),
        gone = gone => gone.unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn damage_anywhere_costs_the_rows_it_hits_and_is_kept_aside(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=255_u8), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (spool, reader) = Spool::open(&small(folder.path())).unwrap();
            record(&spool, 0..150).await;
            drop((spool, reader));
            let files = segments(folder.path());
            for (file, place, change) in &damage {
                let path = &files[file.index(files.len())];
                let mut bytes = fs::read(path).unwrap();
                let place = place.index(bytes.len());
                bytes[place] ^= change;
                fs::write(path, bytes).unwrap();
            }
            let (spool, mut reader) = reopen(folder.path()).await;
            record(&spool, 150..160).await;
            spool.close();
            let rows = read_all(&mut reader).await;
            for found in &rows {
                assert_eq!(found, &row(number_of(found)));
            }
            let numbers: BTreeSet<_> = rows.iter().map(number_of).collect();
            assert_eq!(numbers.len(), rows.len());
            // One changed byte is in one row.
            assert!(numbers.len() >= 160 - damage.len(), "{} rows", numbers.len());
            assert!((150..160).all(|number| numbers.contains(&number)));
            let health = spool.health();
            if numbers.len() < 160 {
                assert!(health.damaged + health.torn > 0, "{health:?}");
                let kept = fs::read_dir(aside_folder(folder.path())).unwrap().count();
                assert_eq!(kept as u64, health.damaged + health.torn);
            }
        });
    }
}
