//! Asking the database.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Row, Type};
use tokenweir_config::money::NanoUsd;

use super::sql::{self, Statement, Value};
use super::{
    Answer, Bucket, Dimension, Filter, Forecast, Line, MAX_LINES, Order, Question, Sums, Trend, Workflows, forecast,
};
use crate::sink::schema::{HOUR_US, MEASURES};
use crate::sink::{PostgresConfig, SqliteConfig};

/// Connections for questions. They are apart from the one that takes rows, so that no question holds rows up.
const CONNECTIONS: u32 = 4;
/// How long a question may wait for one of them.
const PATIENCE: Duration = Duration::from_secs(10);
/// The history that a forecast looks at: four weeks, so that each hour of the week comes four times.
const HISTORY_US: i64 = 28 * 24 * HOUR_US;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database did not answer it.
    #[error("the ledger's database does not answer")]
    Database(#[from] sqlx::Error),
    /// The period ends before it begins, or there is no time before it.
    #[error("a period must end after it begins")]
    Period,
    /// There are more groups than can be compared.
    #[error("more than {MAX_LINES} groups to compare; ask for fewer by a filter")]
    TooMany,
}

/// Asks the ledger's database.
#[derive(Debug, Clone)]
pub struct Answers(Store);

#[derive(Debug, Clone)]
enum Store {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// A line of an answer before it is given meaning.
type Found = (Vec<String>, Vec<i64>);

impl Answers {
    /// Of PostgreSQL. Connections are made when there is a question.
    pub fn postgres(config: &PostgresConfig) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE);
        Self(Store::Postgres(pool.connect_lazy_with(config.options().clone())))
    }

    /// Of SQLite. The file is opened when there is a question.
    pub fn sqlite(config: &SqliteConfig) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE);
        let options = config.options().create_if_missing(false).pragma("query_only", "ON");
        Self(Store::Sqlite(pool.connect_lazy_with(options)))
    }

    /// Sums by names and time.
    pub async fn sums(&self, question: &Question) -> Result<Answer, QueryError> {
        if question.from_us >= question.to_us {
            return Err(QueryError::Period);
        }
        let limit = question.limit.unwrap_or(MAX_LINES).min(MAX_LINES);
        let statement = sql::answer(question, limit);
        let mut found = self.ask(&statement, question.by.len(), MEASURES.len()).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut = found.len() > limit;
        found.truncate(limit);
        let lines = found.into_iter().map(|(names, numbers)| Line {
            time_us: question.bucket.and_then(|_| numbers.first().copied()),
            names,
            sums: sums(numbers.get(1..).unwrap_or_default()),
        });
        Ok(Answer {
            from_us: statement.from_us,
            to_us: statement.to_us,
            by: question.by.clone(),
            lines: lines.collect(),
            cut,
        })
    }

    /// The groups that spent most.
    pub async fn top(&self, question: &Question, count: u32) -> Result<Answer, QueryError> {
        let question = Question {
            order: Order::Cost,
            limit: Some(count),
            bucket: None,
            ..question.clone()
        };
        self.sums(&question).await
    }

    /// Each group's sums against those of the period of the same length before, the largest change of cost first.
    pub async fn trend(&self, question: &Question, count: usize) -> Result<Vec<Trend>, QueryError> {
        let question = Question {
            bucket: None,
            limit: Some(MAX_LINES),
            ..question.clone()
        };
        let now = self.sums(&question).await?;
        // The period before what was counted, which is widened to whole hours or days: no row counts in both.
        let length = now.to_us.checked_sub(now.from_us).ok_or(QueryError::Period)?;
        let before = Question {
            from_us: now.from_us.checked_sub(length).ok_or(QueryError::Period)?,
            to_us: now.from_us,
            ..question
        };
        let before = self.sums(&before).await?;
        if now.cut || before.cut {
            return Err(QueryError::TooMany);
        }
        let mut groups: BTreeMap<Vec<String>, (Sums, Sums)> = BTreeMap::new();
        for line in now.lines {
            groups.entry(line.names).or_default().0 = line.sums;
        }
        for line in before.lines {
            groups.entry(line.names).or_default().1 = line.sums;
        }
        let mut trends: Vec<_> = groups.into_iter().map(trend).collect();
        trends.sort_by_key(|trend| std::cmp::Reverse(trend.now.cost.nanos().abs_diff(trend.before.cost.nanos())));
        trends.truncate(count);
        Ok(trends)
    }

    /// What workflows cost: all together, in the mean, and the most expensive ones. Rows without a workflow do not count.
    pub async fn workflows(&self, question: &Question, count: u32) -> Result<Workflows, QueryError> {
        let mut question = Question {
            by: vec![Dimension::Tenant, Dimension::Workflow],
            ..question.clone()
        };
        question.only.push(Filter::Known(Dimension::Workflow));
        let lines = self.top(&question, count).await?.lines;
        let found = self.ask(&sql::workflows(&question), 0, 1).await?;
        let total = found.first().map(|(_, numbers)| numbers.as_slice());
        let (count, cost) = match total {
            Some([count, cost]) => (*count, *cost),
            _ => (0, 0),
        };
        Ok(Workflows {
            count,
            cost: NanoUsd::new(cost),
            mean: NanoUsd::new(cost.checked_div(count).unwrap_or_default()),
            lines,
        })
    }

    /// What a window that began at `question.from_us` and ends at `question.to_us` will have cost, as seen at `now_us`.
    pub async fn forecast(&self, question: &Question, now_us: i64) -> Result<Forecast, QueryError> {
        let hours = Question {
            from_us: question.from_us.min(now_us.saturating_sub(HISTORY_US)),
            to_us: now_us,
            by: Vec::new(),
            bucket: Some(Bucket::Hour),
            order: Order::Time,
            limit: None,
            ..question.clone()
        };
        let answer = self.sums(&hours).await?;
        let series: Vec<_> = answer
            .lines
            .iter()
            .map(|line| (line.time_us.unwrap_or_default() / HOUR_US, line.sums.cost.nanos()))
            .collect();
        Ok(forecast(&series, question.from_us, now_us, question.to_us))
    }

    /// Asks for lines of a number, `names` texts and `numbers` more numbers.
    async fn ask(&self, statement: &Statement, names: usize, numbers: usize) -> Result<Vec<Found>, sqlx::Error> {
        match &self.0 {
            Store::Postgres(pool) => {
                let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
                for value in &statement.values {
                    query = match value {
                        Value::Integer(number) => query.bind(*number),
                        Value::Text(text) => query.bind(text.clone()),
                    };
                }
                let rows = query.fetch_all(pool).await?;
                rows.iter().map(|row| read(row, names, numbers)).collect()
            }
            Store::Sqlite(pool) => {
                let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
                for value in &statement.values {
                    query = match value {
                        Value::Integer(number) => query.bind(*number),
                        Value::Text(text) => query.bind(text.clone()),
                    };
                }
                let rows = query.fetch_all(pool).await?;
                rows.iter().map(|row| read(row, names, numbers)).collect()
            }
        }
    }
}

fn read<'a, R>(row: &'a R, names: usize, numbers: usize) -> Result<Found, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'a, R::Database> + Type<R::Database>,
    String: Decode<'a, R::Database> + Type<R::Database>,
{
    let first = std::iter::once(row.try_get(0));
    let rest = (names + 1..=names + numbers).map(|place| row.try_get(place));
    Ok((
        (1..=names).map(|place| row.try_get(place)).collect::<Result<_, _>>()?,
        first.chain(rest).collect::<Result<_, _>>()?,
    ))
}

/// The sums of a line, whose numbers are in the order of [`MEASURES`].
fn sums(numbers: &[i64]) -> Sums {
    let number = |name: &str| {
        let place = MEASURES.iter().position(|(measure, _)| *measure == name);
        place.and_then(|place| numbers.get(place)).copied().unwrap_or_default()
    };
    Sums {
        attempts: number("attempts"),
        requests: number("requests"),
        errors: number("errors"),
        cuts: number("cuts"),
        unpriced: number("unpriced"),
        estimated: number("estimated"),
        prompt_tokens: number("prompt_tokens"),
        completion_tokens: number("completion_tokens"),
        cached_tokens: number("cached_tokens"),
        cache_write_tokens: number("cache_write_tokens"),
        reasoning_tokens: number("reasoning_tokens"),
        cost: NanoUsd::new(number("cost")),
        saved: NanoUsd::new(number("saved")),
        latency_us: number("latency_us"),
    }
}

fn trend((names, (now, before)): (Vec<String>, (Sums, Sums))) -> Trend {
    let (cost, was) = (i128::from(now.cost.nanos()), i128::from(before.cost.nanos()));
    let growth = ((cost - was) * 1000).checked_div(was);
    Trend {
        names,
        now,
        before,
        growth_permille: growth.map(|growth| i64::try_from(growth).unwrap_or(i64::MAX)),
    }
}
