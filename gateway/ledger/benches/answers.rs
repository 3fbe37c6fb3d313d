//! Answers over ten million rows: makes a PostgreSQL server, sends it rows as the gateway would, and times questions.
//!
//! `cargo bench -p tokenweir-ledger --bench answers` takes some minutes and about 6 GB below the temporary folder;
//! `LEDGER_BENCH_ROWS=1000000` makes fewer rows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints what it finds and has nobody to report an error to"
)]

#[allow(dead_code, reason = "tests crash their server, which a bench does not")]
#[path = "../tests/it/database.rs"]
mod database;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokenweir_config::money::NanoUsd;
use tokenweir_ledger::query::{Answers, Bucket, Dimension, Filter, Question};
use tokenweir_ledger::sink::{Postgres, PostgresConfig, Sink};
use tokenweir_ledger::{Outcome, Row, RowId, Saved, Text, Tokens, UsageSource};

/// 90 days up to 21 November 2026.
const END_US: i64 = 1_795_298_400_000_000;
const DAY_US: i64 = 86_400_000_000;
const DAYS: i64 = 90;
const BATCH: usize = 5_000;
/// How often each question is asked.
const TIMES: usize = 5;

struct Names {
    tenants: Vec<Text>,
    operations: Vec<Text>,
    models: Vec<(Text, Text)>,
    routes: Vec<Text>,
    keys: Vec<Text>,
    users: Vec<Text>,
}

impl Names {
    fn new() -> Self {
        let many = |name: &str, count: u32| {
            (0..count)
                .map(|number| Text::new(&format!("{name}-{number}")))
                .collect()
        };
        let tenant = |number: u32| Text::new(&format!("org-{}/team-{number}", number / 5));
        let model = |number: u32| {
            (
                Text::new(&format!("provider-{}", number % 4)),
                Text::new(&format!("model-{number}")),
            )
        };
        Self {
            tenants: (0..25).map(tenant).collect(),
            operations: many("operation", 6),
            models: (0..8).map(model).collect(),
            routes: many("route", 4),
            keys: many("key", 50),
            users: many("user", 5_000),
        }
    }

    /// A row of a tenant that has its own habits: few operations, models and keys of all there are.
    fn row(&self, number: u64, at_us: i64, random: &mut StdRng) -> Row {
        let who = random.random_range(0..self.tenants.len());
        let pick = |list: &[Text], random: &mut StdRng| list[(who + random.random_range(0..2)) % list.len()].clone();
        let (provider, model) = self.models[(who + random.random_range(0..2)) % self.models.len()].clone();
        let prompt = random.random_range(50..4_000);
        Row {
            id: RowId {
                request: uuid::Uuid::from_u128((u128::from(number) << 64) | 0x7000_8000_0000_0000_0000),
                attempt: 0,
            },
            at_us,
            request_id: Text::new(&format!("req-{number:012}")),
            tenant: self.tenants[who].clone(),
            key: Some(pick(&self.keys, random)),
            end_user: Some(self.users[who * 200 + random.random_range(0..200)].clone()),
            operation: Some(pick(&self.operations, random)),
            workflow: number
                .is_multiple_of(4)
                .then(|| Text::new(&format!("wf-{}", number / 40))),
            route: self.routes[who % self.routes.len()].clone(),
            provider,
            model,
            call: Text::new("chat"),
            stream: true,
            tokens: Tokens {
                prompt: Some(prompt),
                completion: Some(random.random_range(1..800)),
                ..Tokens::default()
            },
            usage: UsageSource::Reported,
            price: Text::some("bundled-2026-11-01"),
            cost: Some(NanoUsd::new(random.random_range(10_000..40_000_000))),
            saved: Saved::default(),
            latency_us: random.random_range(200_000..9_000_000),
            first_token_us: Some(180_000),
            status: Some(200),
            outcome: Outcome::Ok,
        }
    }
}

async fn fill(config: &PostgresConfig, rows: u64) {
    let mut sink = Postgres::new(config.clone());
    let (names, mut random) = (Names::new(), StdRng::seed_from_u64(1));
    let mut batch = Vec::with_capacity(BATCH);
    let begin = Instant::now();
    for number in 0..rows {
        let passed = i64::try_from(u128::from(number) * u128::from((DAYS * DAY_US).unsigned_abs()) / u128::from(rows));
        batch.push(names.row(number, END_US - DAYS * DAY_US + passed.unwrap(), &mut random));
        if batch.len() == BATCH || number + 1 == rows {
            assert_eq!(sink.insert(&batch).await.unwrap().fresh, batch.len() as u64);
            batch.clear();
        }
        if (number + 1).is_multiple_of(1_000_000) {
            let rate = (number + 1) as f64 / begin.elapsed().as_secs_f64();
            println!("{} rows, {rate:.0} a second", number + 1);
        }
    }
}

fn questions() -> Vec<(&'static str, Question)> {
    let last = |days: i64, by: &[Dimension]| Question {
        from_us: END_US - days * DAY_US,
        to_us: END_US,
        by: by.to_vec(),
        ..Question::default()
    };
    let mut questions = vec![
        ("90 days by tenant", last(90, &[Dimension::Tenant])),
        (
            "90 days by operation and model",
            last(90, &[Dimension::Operation, Dimension::Model]),
        ),
        ("90 days by key", last(90, &[Dimension::Key])),
        (
            "90 days by day",
            Question {
                bucket: Some(Bucket::Day),
                ..last(90, &[])
            },
        ),
        ("30 days by end user", last(30, &[Dimension::EndUser])),
        (
            "7 days by hour and provider",
            Question {
                bucket: Some(Bucket::Hour),
                ..last(7, &[Dimension::Provider])
            },
        ),
        (
            "1 day by end user and model, from rows",
            last(1, &[Dimension::EndUser, Dimension::Model]),
        ),
    ];
    let under = Question {
        only: vec![Filter::Under("org-1".into())],
        ..last(90, &[Dimension::Tenant, Dimension::Model])
    };
    questions.push(("90 days of one organisation by tenant and model", under));
    questions
}

async fn ask(answers: &Answers) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut time = |name: &str, took: Duration, lines: usize| {
        println!("{:8.1} ms  {lines:6} lines  {name}", took.as_secs_f64() * 1e3);
        slowest = slowest.max(took);
    };
    for (name, question) in questions() {
        for _ in 0..TIMES {
            let begin = Instant::now();
            let answer = answers.sums(&question).await.unwrap();
            time(name, begin.elapsed(), answer.lines.len());
        }
    }
    let month = Question {
        from_us: END_US - 30 * DAY_US,
        to_us: END_US,
        by: vec![Dimension::Tenant],
        ..Question::default()
    };
    for _ in 0..TIMES {
        let begin = Instant::now();
        let top = answers.top(&month, 10).await.unwrap();
        time("30 days, top 10 tenants", begin.elapsed(), top.lines.len());
        let begin = Instant::now();
        let trend = answers.trend(&month, 10).await.unwrap();
        time("30 days against the 30 before, by tenant", begin.elapsed(), trend.len());
        let begin = Instant::now();
        let workflows = answers.workflows(&month, 10).await.unwrap();
        time("30 days, cost per workflow", begin.elapsed(), workflows.lines.len());
        let begin = Instant::now();
        answers
            .forecast(
                &Question {
                    to_us: END_US + 10 * DAY_US,
                    ..month.clone()
                },
                END_US,
            )
            .await
            .unwrap();
        time("forecast of a window of 40 days", begin.elapsed(), 1);
    }
    slowest
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows = std::env::var("LEDGER_BENCH_ROWS").map_or(10_000_000, |rows| rows.parse().unwrap());
    // Durability is not what is measured here.
    let server = database::Server::start_with(&[
        "fsync=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "max_wal_size=1GB",
    ])
    .await;
    let config = PostgresConfig::parse(&server.url()).unwrap();
    fill(&config, rows).await;
    let answers = Answers::postgres(&config);
    let slowest = ask(&answers).await;
    println!("slowest of all over {rows} rows: {:.1} ms", slowest.as_secs_f64() * 1e3);
}
