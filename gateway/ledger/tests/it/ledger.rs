//! Nothing lost, nothing twice, and sums equal to the nano-dollar, whatever happens in between.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use tokenweir_config::money::NanoUsd;
use tokenweir_ledger::sink::{Postgres, PostgresConfig, Sink, Sqlite, SqliteConfig, Taken};
use tokenweir_ledger::spool::{SpoolConfig, aside_folder};
use tokenweir_ledger::{Ledger, Row, Text};

use crate::child;
use crate::database::Server;
use crate::rows::{START_US, cost_of, number_of, row};

const ALL: u64 = 100_000;
const DAY: Duration = Duration::from_hours(24);
const LONG: Duration = Duration::from_mins(3);

fn postgres(server: &Server) -> Postgres {
    Postgres::new(PostgresConfig::parse(&server.url()).unwrap())
}

fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        segment_bytes: 400_000,
        ..SpoolConfig::new(folder)
    }
}

/// Records rows as settlements do: many at a time, and the next ones once these are safe.
pub async fn record(ledger: &Ledger, numbers: impl Iterator<Item = u64>) {
    let numbers: Vec<_> = numbers.collect();
    for numbers in numbers.chunks(1_000) {
        let mut receipts = Vec::new();
        for number in numbers {
            receipts.push(ledger.record(row(*number)).await.unwrap());
        }
        for receipt in receipts {
            receipt.await.unwrap();
        }
    }
}

/// The numbers of the rows in the database, after checking that each is there once and that all sums say the same.
async fn numbers_in(connection: &mut PgConnection) -> BTreeSet<u64> {
    let rows = sqlx::query("SELECT request_id, cost, attempt FROM ledger_attempts")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let mut numbers = BTreeSet::new();
    let (mut cost, mut unpriced) = (0_i64, 0_i64);
    for found in &rows {
        let number: u64 = found.get::<&str, _>(0).strip_prefix("req-").unwrap().parse().unwrap();
        assert!(numbers.insert(number), "row {number} is there twice");
        let expected = row(number);
        assert_eq!(found.get::<Option<i64>, _>(1), expected.cost.map(NanoUsd::nanos));
        assert_eq!(found.get::<i32, _>(2), i32::from(expected.id.attempt));
        match expected.cost {
            Some(_) => cost += cost_of(number),
            None => unpriced += 1,
        }
    }
    let count = i64::try_from(numbers.len()).unwrap();
    for table in ["ledger_hourly", "ledger_daily_users", "ledger_daily_workflows"] {
        let sums = format!("SELECT sum(attempts)::bigint, sum(cost)::bigint, sum(unpriced)::bigint FROM {table}");
        let sums: (i64, i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(sums))
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(sums, (count, cost, unpriced), "{table}");
    }
    numbers
}

#[tokio::test]
async fn a_database_that_crashes_in_mid_batch_has_each_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let ledger = std::sync::Arc::new(Ledger::open(&config(folder.path()), postgres(&server)).unwrap());
    let recording = tokio::spawn({
        let ledger = std::sync::Arc::clone(&ledger);
        async move { record(&ledger, 0..ALL).await }
    });
    for crash in 1..=4 {
        // The next crash comes when more has been taken, in the middle of some batch.
        let until = tokio::time::Instant::now() + LONG;
        let wanted = crash * 12_000;
        while ledger.health().database.sent < wanted {
            assert!(tokio::time::Instant::now() < until, "{:?}", ledger.health());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.crash();
        while ledger.health().database.away.is_none() {
            assert!(tokio::time::Instant::now() < until, "{:?}", ledger.health());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.resume().await;
    }
    recording.await.unwrap();
    ledger.drain(LONG).await.unwrap();
    let numbers = numbers_in(&mut server.connect().await).await;
    assert_eq!(numbers, (0..ALL).collect());
    let health = ledger.health();
    assert_eq!((health.database.away, health.spool.bytes), (None, 0));
    assert!(health.database.failures >= 4);
}

#[tokio::test]
async fn a_gateway_that_is_killed_leaves_each_confirmed_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let mut confirmed = 0;
    let mut first = 0;
    for round in 1..=8 {
        let mut process = child::command(&[], "records_until_it_is_killed", folder.path(), first)
            .env(child::DATABASE, server.url())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while confirmed < round * ALL / 8 {
            let line = lines.next().expect("the process ended by itself").unwrap();
            if let Some(below) = line.strip_prefix("confirmed below ") {
                confirmed = below.parse().unwrap();
            }
        }
        child::kill(process);
        for line in lines.map_while(Result::ok) {
            if let Some(below) = line
                .strip_prefix("confirmed below ")
                .and_then(|below| below.parse().ok())
            {
                confirmed = confirmed.max(below);
            }
        }
        // As a client that got no answer asks again: what was not confirmed is done again, with the same ids.
        first = confirmed;
    }
    let ledger = Ledger::open(&config(folder.path()), postgres(&server)).unwrap();
    ledger.drain(LONG).await.unwrap();
    let numbers = numbers_in(&mut server.connect().await).await;
    assert!(confirmed >= ALL);
    assert!((0..confirmed).all(|number| numbers.contains(&number)));
    assert!(
        numbers.len() as u64 <= confirmed + 1_000,
        "{} of {confirmed}",
        numbers.len()
    );
}

#[tokio::test]
async fn a_disk_that_fills_up_while_the_database_is_away_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    server.crash();
    let mut process = child::in_a_small_disk("records_onto_a_full_disk", folder.path())
        .env(child::DATABASE, server.url())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut wait_for = |wanted: &str| {
        let mut said = Vec::new();
        for line in lines.by_ref() {
            said.push(line.unwrap());
            if said.last().is_some_and(|line| line.starts_with(wanted)) {
                return;
            }
        }
        panic!("{said:?} without {wanted}");
    };
    wait_for("full");
    server.resume().await;
    wait_for("drained");
    assert!(process.wait().unwrap().success());
    let numbers = numbers_in(&mut server.connect().await).await;
    assert_eq!(numbers, (0..ALL).collect());
}

#[tokio::test]
async fn a_row_that_the_database_refuses_is_set_aside_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let mut connection = server.connect().await;
    postgres(&server).maintain(START_US).await.unwrap();
    let poison = [7, 8, 4_999, 61_234, 99_999];
    let list = poison.map(|number| format!("'req-{number}'")).join(", ");
    let constraint = format!("ALTER TABLE ledger_attempts ADD CONSTRAINT poison CHECK (request_id NOT IN ({list}))");
    sqlx::query(sqlx::AssertSqlSafe(constraint))
        .execute(&mut connection)
        .await
        .unwrap();
    let ledger = Ledger::open(&config(folder.path()), postgres(&server)).unwrap();
    record(&ledger, 0..ALL).await;
    ledger.drain(LONG).await.unwrap();
    let mut expected: BTreeSet<_> = (0..ALL).collect();
    expected.retain(|number| !poison.contains(number));
    assert_eq!(numbers_in(&mut connection).await, expected);
    let refused = refused(folder.path());
    assert_eq!(
        refused.iter().map(|(_, row)| number_of(row)).collect::<Vec<_>>(),
        poison
    );
    for (reason, found) in refused {
        assert!(reason.contains("poison"), "{reason}");
        assert_eq!(found, row(number_of(&found)));
    }
    assert_eq!(ledger.health().database.refused, 5);
}

/// The reasons and rows in the file of rows that were refused.
fn refused(spool: &Path) -> Vec<(String, Row)> {
    let text = fs::read_to_string(aside_folder(spool).join("refused.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let row = serde_json::from_value(line["row"].take()).unwrap();
            (line["reason"].as_str().unwrap().to_owned(), row)
        })
        .collect()
}

#[tokio::test]
async fn replicas_that_start_together_and_send_the_same_rows_count_them_once() {
    let server = Server::start().await;
    let rows: Vec<_> = (0..3_000).map(row).collect();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let mut sink = postgres(&server);
        let rows = rows.clone();
        tasks.push(tokio::spawn(async move {
            sink.maintain(START_US).await.unwrap();
            let mut taken = Vec::new();
            for rows in rows.chunks(500) {
                taken.push(sink.insert(rows).await.unwrap());
            }
            taken
        }));
    }
    let (mut fresh, mut known) = (0, 0);
    for task in tasks {
        for taken in task.await.unwrap() {
            fresh += taken.fresh;
            known += taken.known;
        }
    }
    assert_eq!((fresh, known), (3_000, 9_000));
    assert_eq!(numbers_in(&mut server.connect().await).await, (0..3_000).collect());
}

#[tokio::test]
async fn every_column_of_a_row_is_what_the_row_says() {
    let server = Server::start().await;
    let mut odd = row(12);
    odd.model = Text::new("back\\slash \\N 'quote' \u{fffd} ünï");
    odd.price = None;
    odd.cost = None;
    assert_eq!(postgres(&server).insert(&[odd.clone(), odd]).await.unwrap().fresh, 1);
    let text: String = sqlx::query_scalar("SELECT row_to_json(a)::text FROM ledger_attempts a")
        .fetch_one(&mut server.connect().await)
        .await
        .unwrap();
    let expected = serde_json::json!({
        "at_us": START_US + 12_000, "request": "01930000-0000-7000-8000-00000000000c", "attempt": 0,
        "request_id": "req-12", "tenant": "acme", "key_name": "k1", "end_user": "", "operation": "summarise",
        "workflow": "wf-1", "route": "fast", "provider": "openai", "model": "back\\slash \\N 'quote' \u{fffd} ünï",
        "call": "chat", "stream": true, "usage_source": "reported", "prompt_tokens": 112, "completion_tokens": 12,
        "total_tokens": null, "cached_tokens": 50, "cache_write_tokens": null, "cache_write_1h_tokens": null,
        "input_audio_tokens": null, "reasoning_tokens": null, "output_audio_tokens": null, "price": "", "cost": null,
        "saved_cache": 5, "saved_coalescing": 0, "latency_us": 250_012, "first_token_us": 90_000, "status": 200,
        "outcome": "ok", "error": "",
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
}

#[tokio::test]
async fn days_are_made_ahead_and_removed_when_they_are_old_and_late_rows_of_them_are_set_aside() {
    let server = Server::start().await;
    let mut config = PostgresConfig::parse(&server.url()).unwrap();
    config.retention = Some(30 * DAY);
    config.days_ahead = 3;
    let mut sink = Postgres::new(config);
    let day_us = i64::try_from(DAY.as_micros()).unwrap();
    let mut old = row(1);
    old.at_us -= 40 * day_us;
    assert_eq!(sink.insert(&[old.clone(), row(2)]).await.unwrap().fresh, 2);
    sink.maintain(START_US).await.unwrap();
    let mut connection = server.connect().await;
    let names: Vec<String> =
        sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname ~ '^ledger_attempts_[0-9]+$' ORDER BY 1")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(
        names,
        ["20261121", "20261122", "20261123", "20261124"].map(|day| format!("ledger_attempts_{day}"))
    );
    // The sums by tenant stay, and the row is not counted again.
    let expired = Taken {
        fresh: 0,
        known: 1,
        expired: vec![0],
    };
    assert_eq!(sink.insert(&[old, row(2)]).await.unwrap(), expired);
    let attempts: i64 = sqlx::query_scalar("SELECT sum(attempts)::bigint FROM ledger_hourly")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(attempts, 2);
    let by_user: i64 = sqlx::query_scalar("SELECT sum(attempts)::bigint FROM ledger_daily_users")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(by_user, 1);
}

#[tokio::test]
async fn tables_of_a_later_version_are_left_alone_and_rows_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    postgres(&server).maintain(START_US).await.unwrap();
    let mut connection = server.connect().await;
    sqlx::query("UPDATE ledger_state SET value = 99 WHERE name = 'version'")
        .execute(&mut connection)
        .await
        .unwrap();
    let ledger = Ledger::open(&config(folder.path()), postgres(&server)).unwrap();
    record(&ledger, 0..10).await;
    let left = ledger.drain(Duration::from_millis(300)).await.unwrap_err();
    assert!(left.unsent_bytes > 0);
    let (_, why) = ledger.health().database.away.unwrap();
    assert!(why.contains("version 99"), "{why}");
}

#[tokio::test]
async fn sqlite_has_each_row_once_and_sets_aside_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let mut sink = Sqlite::new(SqliteConfig::new(&file));
    let first: Vec<_> = (0..700).chain(650..660).map(row).collect();
    let taken = sink.insert(&first).await.unwrap();
    assert_eq!((taken.fresh, taken.known), (700, 10));
    let mut connection = sqlx::SqliteConnection::connect_with(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&file)
            .busy_timeout(LONG),
    )
    .await
    .unwrap();
    sqlx::query(
        "CREATE TRIGGER poison BEFORE INSERT ON ledger_attempts WHEN NEW.request_id IN ('req-1007', 'req-9000') \
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let spool = folder.path().join("spool");
    let ledger = Ledger::open(&config(&spool), sink).unwrap();
    // The first 700 come again.
    record(&ledger, 0..20_000).await;
    ledger.drain(LONG).await.unwrap();
    let health = ledger.health().database;
    assert_eq!((health.sent, health.known, health.refused), (19_298, 700, 2));
    let expected: i64 = (0..20_000)
        .filter(|number| *number != 1_007 && *number != 9_000)
        .filter_map(|number| row(number).cost)
        .map(NanoUsd::nanos)
        .sum();
    for table in [
        "ledger_attempts",
        "ledger_hourly",
        "ledger_daily_users",
        "ledger_daily_workflows",
    ] {
        let sum = format!("SELECT sum(cost) FROM {table}");
        let sum: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sum))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(sum, expected, "{table}");
    }
    assert_eq!(
        refused(&spool)
            .iter()
            .map(|(_, row)| number_of(row))
            .collect::<Vec<_>>(),
        [1_007, 9_000]
    );
}
