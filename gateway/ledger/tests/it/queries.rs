//! Answers, against the same sums made by hand from the rows.

use std::collections::BTreeMap;

use tokenweir_config::money::NanoUsd;
use tokenweir_ledger::query::{Answers, Bucket, Dimension, Filter, Order, QueryError, Question, Sums};
use tokenweir_ledger::sink::{Postgres, PostgresConfig, Sink, Sqlite, SqliteConfig};
use tokenweir_ledger::{Outcome, Row, Text, UsageSource};

use crate::database::Server;
use crate::rows::{START_US, row};

const HOUR_US: i64 = 3_600_000_000;

/// Rows over four days.
fn rows() -> Vec<Row> {
    let spread = |number: u64| {
        let mut row = row(number);
        row.at_us = START_US + i64::try_from(number).unwrap() * 4 * 24 * HOUR_US / 3_000;
        row.usage = if number.is_multiple_of(9) {
            UsageSource::Estimated
        } else {
            UsageSource::Reported
        };
        row
    };
    (0..3_000).map(spread).collect()
}

fn all_time(by: &[Dimension]) -> Question {
    Question {
        from_us: START_US,
        to_us: START_US + 5 * 24 * HOUR_US,
        by: by.to_vec(),
        ..Question::default()
    }
}

fn name(row: &Row, dimension: Dimension) -> String {
    let optional = |text: &Option<Text>| text.as_ref().map_or("", Text::as_str).to_owned();
    match dimension {
        Dimension::Tenant => row.tenant.to_string(),
        Dimension::Operation => optional(&row.operation),
        Dimension::Provider => row.provider.to_string(),
        Dimension::Model => row.model.to_string(),
        Dimension::Route => row.route.to_string(),
        Dimension::Key => optional(&row.key),
        Dimension::EndUser => optional(&row.end_user),
        Dimension::Workflow => optional(&row.workflow),
    }
}

fn counts(row: &Row, filter: &Filter) -> bool {
    match filter {
        Filter::Is(dimension, wanted) => name(row, *dimension) == *wanted,
        Filter::Known(dimension) => !name(row, *dimension).is_empty(),
        Filter::Under(tenant) => {
            let path = row.tenant.as_str();
            path == tenant
                || path
                    .strip_prefix(tenant.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        }
    }
}

/// What the answer must be.
fn by_hand(rows: &[Row], question: &Question) -> BTreeMap<(Option<i64>, Vec<String>), Sums> {
    let number = |count: Option<u64>| i64::try_from(count.unwrap_or_default()).unwrap();
    let mut groups: BTreeMap<_, Sums> = BTreeMap::new();
    for row in rows {
        if !question.only.iter().all(|filter| counts(row, filter)) {
            continue;
        }
        let bucket = question.bucket.map(|bucket| {
            let length = if bucket == Bucket::Hour { HOUR_US } else { 24 * HOUR_US };
            row.at_us / length * length
        });
        let names = question.by.iter().map(|by| name(row, *by)).collect();
        let sums = groups.entry((bucket, names)).or_default();
        sums.attempts += 1;
        sums.requests += i64::from(row.id.attempt == 0);
        sums.errors += i64::from(matches!(row.outcome, Outcome::Error(_)));
        sums.cuts += i64::from(row.outcome == Outcome::ClientCut);
        sums.unpriced += i64::from(row.cost.is_none());
        sums.estimated += i64::from(row.usage == UsageSource::Estimated);
        sums.prompt_tokens += number(row.tokens.prompt);
        sums.completion_tokens += number(row.tokens.completion);
        sums.cached_tokens += number(row.tokens.cached);
        sums.cache_write_tokens += number(row.tokens.cache_write);
        sums.reasoning_tokens += number(row.tokens.reasoning);
        sums.cost = sums.cost.saturating_add(row.cost.unwrap_or_default());
        sums.saved = sums
            .saved
            .saturating_add(row.saved.cache)
            .saturating_add(row.saved.coalescing);
        sums.latency_us += i64::try_from(row.latency_us).unwrap();
    }
    groups
}

fn questions() -> Vec<Question> {
    let mut questions = vec![all_time(&[])];
    questions.extend(Dimension::ALL.map(|by| all_time(&[by])));
    for bucket in [Bucket::Hour, Bucket::Day] {
        for by in [
            vec![],
            vec![Dimension::Tenant, Dimension::Model],
            vec![Dimension::Workflow],
        ] {
            questions.push(Question {
                bucket: Some(bucket),
                ..all_time(&by)
            });
        }
    }
    // What no table of sums knows together is answered from the rows.
    questions.push(all_time(&[Dimension::EndUser, Dimension::Model]));
    questions.push(all_time(&[Dimension::Workflow, Dimension::EndUser]));
    let filters = [
        Filter::Under("acme".into()),
        Filter::Under("acme/search".into()),
        Filter::Is(Dimension::Model, "qwen".into()),
        Filter::Is(Dimension::EndUser, String::new()),
        Filter::Known(Dimension::Workflow),
        Filter::Is(Dimension::Tenant, "' OR '1'='1".into()),
    ];
    for filter in filters {
        questions.push(Question {
            only: vec![filter.clone()],
            ..all_time(&[Dimension::Tenant])
        });
        questions.push(Question {
            only: vec![filter, Filter::Is(Dimension::Provider, "vllm".into())],
            ..all_time(&[Dimension::Route])
        });
    }
    questions
}

/// A database with the rows, and those who ask it.
async fn both() -> (Server, tempfile::TempDir, [Answers; 2]) {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let postgres = PostgresConfig::parse(&server.url()).unwrap();
    let sqlite = SqliteConfig::new(folder.path().join("ledger.db"));
    let rows = rows();
    let (mut first, mut second) = (Postgres::new(postgres.clone()), Sqlite::new(sqlite.clone()));
    // In batches, so that sums are added to sums.
    for rows in rows.chunks(700) {
        assert_eq!(first.insert(rows).await.unwrap().fresh, rows.len() as u64);
        assert_eq!(second.insert(rows).await.unwrap().fresh, rows.len() as u64);
    }
    (server, folder, [Answers::postgres(&postgres), Answers::sqlite(&sqlite)])
}

#[tokio::test]
async fn answers_are_the_sums_of_the_rows_in_both_databases() {
    let (_server, _folder, stores) = both().await;
    let rows = rows();
    for question in questions() {
        let expected: Vec<_> = by_hand(&rows, &question).into_iter().collect();
        for answers in &stores {
            let answer = answers.sums(&question).await.unwrap();
            let found: Vec<_> = answer
                .lines
                .into_iter()
                .map(|line| ((line.time_us, line.names), line.sums))
                .collect();
            assert_eq!(found, expected, "{question:?} of {answers:?}");
        }
    }
}

#[tokio::test]
async fn the_top_the_trend_and_workflows_are_what_the_sums_say() {
    let (_server, _folder, stores) = both().await;
    let rows = rows();
    for answers in &stores {
        let question = all_time(&[Dimension::Operation]);
        let mut expected: Vec<_> = by_hand(&rows, &question).into_iter().collect();
        expected.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.cost));
        let top = answers.top(&question, 2).await.unwrap();
        assert!(top.cut);
        assert!(!answers.top(&question, 3).await.unwrap().cut);
        let found: Vec<_> = top
            .lines
            .iter()
            .map(|line| (line.names.clone(), line.sums.cost))
            .collect();
        assert_eq!(
            found,
            [0, 1].map(|place: usize| (expected[place].0.1.clone(), expected[place].1.cost))
        );

        // Two days against the two before them.
        let middle = START_US + 2 * 24 * HOUR_US;
        let late = Question {
            from_us: middle,
            to_us: middle + 2 * 24 * HOUR_US,
            ..all_time(&[Dimension::Provider])
        };
        // Widened to whole hours, with no hour in both.
        let late = Question {
            from_us: late.from_us + 1,
            to_us: late.to_us - 1,
            ..late
        };
        let (before, now): (Vec<_>, Vec<_>) = rows.iter().cloned().partition(|row| row.at_us < middle);
        let (before, now) = (by_hand(&before, &late), by_hand(&now, &late));
        let trends = answers.trend(&late, 10).await.unwrap();
        assert_eq!(trends.len(), 3);
        for trend in trends {
            let key = (None, trend.names.clone());
            assert_eq!((trend.now, trend.before), (now[&key], before[&key]));
            let (now, before) = (trend.now.cost.nanos(), trend.before.cost.nanos());
            assert_eq!(trend.growth_permille, Some((now - before) * 1_000 / before));
        }

        let workflows = answers.workflows(&all_time(&[]), 3).await.unwrap();
        let mut expected: Vec<_> = by_hand(&rows, &all_time(&[Dimension::Tenant, Dimension::Workflow]))
            .into_iter()
            .filter(|((_, names), _)| !names[1].is_empty())
            .collect();
        let cost: NanoUsd = expected.iter().map(|(_, sums)| sums.cost).sum();
        assert_eq!(
            (workflows.count, workflows.cost),
            (i64::try_from(expected.len()).unwrap(), cost)
        );
        assert_eq!(workflows.mean.nanos(), cost.nanos() / workflows.count);
        expected.sort_by(|(a, one), (b, two)| two.cost.cmp(&one.cost).then(a.cmp(b)));
        let expected: Vec<_> = expected.into_iter().take(3).map(|((_, names), _)| names).collect();
        assert_eq!(
            workflows.lines.into_iter().map(|line| line.names).collect::<Vec<_>>(),
            expected
        );
    }
}

#[tokio::test]
async fn a_forecast_adds_what_is_left_to_what_is_spent() {
    let (_server, _folder, stores) = both().await;
    let rows = rows();
    let now = START_US + 4 * 24 * HOUR_US;
    let spent: NanoUsd = rows.iter().filter_map(|row| row.cost).sum();
    for answers in &stores {
        // As much time is left as has passed, at a rate that hardly varies.
        let window = Question {
            to_us: now + 4 * 24 * HOUR_US,
            ..all_time(&[])
        };
        let forecast = answers.forecast(&window, now).await.unwrap();
        assert_eq!(forecast.spent, spent);
        let off = forecast.expected.nanos() - 2 * spent.nanos();
        assert!(off.abs() < spent.nanos() / 20, "{forecast:?}");
        assert!(forecast.low <= forecast.expected && forecast.expected <= forecast.high);
    }
}

#[tokio::test]
async fn a_period_that_ends_before_it_begins_has_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let answers = Answers::sqlite(&SqliteConfig::new(folder.path().join("none.db")));
    let mut question = all_time(&[]);
    std::mem::swap(&mut question.from_us, &mut question.to_us);
    question.order = Order::Cost;
    assert!(matches!(answers.sums(&question).await, Err(QueryError::Period)));
    std::mem::swap(&mut question.from_us, &mut question.to_us);
    assert!(matches!(answers.sums(&question).await, Err(QueryError::Database(_))));
}
