//! SQLite, embedded: the same tables without partitions, for one replica.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, QueryBuilder};
use tokenweir_config::money::NanoUsd;
use tracing::info;

use super::schema::{self, COLUMNS, DAY_US, ROLL_UPS, VERSION};
use super::{Sink, SinkError, Taken, integer, limited, partitions, split_expired};
use crate::{Row, Text};

/// Rows in one statement: 33 values each, and SQLite takes 32,766.
const ROWS_AT_ONCE: usize = 500;
/// Rows that one statement removes, so that a long list of old rows does not keep new ones waiting.
const REMOVED_AT_ONCE: i64 = 20_000;

/// Which file, and what is kept in it.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The file. SQLite keeps two more beside it.
    pub file: PathBuf,
    /// For how long rows are kept; without it for ever. Sums by end user and workflow are kept as long as the rows, the
    /// others for ever.
    pub retention: Option<Duration>,
}

impl SqliteConfig {
    /// The database in this file.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            retention: None,
        }
    }

    pub(crate) fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // The spool's copy is removed once a commit is through, so a commit has to survive a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
    }
}

/// Keeps rows in a file.
pub struct Sqlite {
    config: SqliteConfig,
    connection: Option<SqliteConnection>,
}

impl Sqlite {
    /// A file that is opened when there is something for it.
    pub fn new(config: SqliteConfig) -> Self {
        Self {
            config,
            connection: None,
        }
    }

    async fn connected(&mut self) -> Result<SqliteConnection, SinkError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = SqliteConnection::connect_with(&self.config.options()).await?;
        migrate(&mut connection).await?;
        connection
            .execute(AssertSqlSafe(format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS ledger_staging AS SELECT {COLUMNS} FROM ledger_attempts WHERE false"
            )))
            .await?;
        info!(file = %self.config.file.display(), "the ledger is connected to SQLite");
        Ok(connection)
    }

    async fn take(&mut self, rows: &[Row]) -> Result<Taken, SinkError> {
        let mut connection = self.connected().await?;
        // Writing from the start: a transaction that began by reading may find that it cannot write any more.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let taken = match stage_and_take(&mut transaction, rows).await {
            Ok(taken) => {
                transaction.commit().await?;
                taken
            }
            Err(error @ SinkError::Refused(_)) => {
                transaction.rollback().await.map_err(SinkError::Unavailable)?;
                self.connection = Some(connection);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.connection = Some(connection);
        Ok(taken)
    }

    async fn tidy(&mut self, now_us: i64) -> Result<(), SinkError> {
        let mut connection = self.connected().await?;
        if let Some(retention) = self.config.retention {
            let retention_us = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
            let oldest = partitions::day_of(now_us.saturating_sub(retention_us));
            retire(&mut connection, oldest).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for Sqlite {
    async fn insert(&mut self, rows: &[Row]) -> Result<Taken, SinkError> {
        limited(self.take(rows)).await
    }

    async fn maintain(&mut self, now_us: i64) -> Result<(), SinkError> {
        limited(self.tidy(now_us)).await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

async fn stage_and_take(connection: &mut SqliteConnection, rows: &[Row]) -> Result<Taken, SinkError> {
    let floor_us: Option<i64> = sqlx::query_scalar("SELECT value FROM ledger_state WHERE name = 'floor_us'")
        .fetch_optional(&mut *connection)
        .await?;
    let (kept, expired) = split_expired(rows, floor_us.unwrap_or(i64::MIN));
    connection.execute("DELETE FROM ledger_staging").await?;
    for rows in kept.chunks(ROWS_AT_ONCE) {
        stage(connection, rows).await?;
    }
    // What is known already, and what comes twice in this batch.
    connection
        .execute(
            "DELETE FROM ledger_staging AS staged WHERE EXISTS (SELECT 1 FROM ledger_attempts AS kept WHERE \
             kept.at_us = staged.at_us AND kept.request = staged.request AND kept.attempt = staged.attempt) OR rowid \
             NOT IN (SELECT min(rowid) FROM ledger_staging GROUP BY at_us, request, attempt)",
        )
        .await?;
    let fresh = connection
        .execute(AssertSqlSafe(format!(
            "INSERT INTO ledger_attempts ({COLUMNS}) SELECT {COLUMNS} FROM ledger_staging"
        )))
        .await?
        .rows_affected();
    for roll_up in ROLL_UPS {
        connection.execute(AssertSqlSafe(roll_up.add("ledger_staging"))).await?;
    }
    Ok(Taken {
        fresh,
        known: (kept.len() as u64).saturating_sub(fresh),
        expired,
    })
}

async fn stage(connection: &mut SqliteConnection, rows: &[&Row]) -> Result<(), SinkError> {
    let mut query = QueryBuilder::new(format!("INSERT INTO ledger_staging ({COLUMNS}) "));
    query.push_values(rows, |mut values, row| {
        let tokens = &row.tokens;
        let (outcome, error) = schema::outcome(row);
        values.push_bind(row.at_us);
        values.push_bind(row.id.request.to_string());
        values.push_bind(i64::from(row.id.attempt));
        values.push_bind(row.request_id.as_str().to_owned());
        values.push_bind(row.tenant.as_str().to_owned());
        for text in [&row.key, &row.end_user, &row.operation, &row.workflow] {
            values.push_bind(text.as_ref().map_or("", Text::as_str).to_owned());
        }
        for text in [&row.route, &row.provider, &row.model, &row.call] {
            values.push_bind(text.as_str().to_owned());
        }
        values.push_bind(row.stream);
        values.push_bind(schema::usage(row));
        for count in [
            tokens.prompt,
            tokens.completion,
            tokens.total,
            tokens.cached,
            tokens.cache_write,
            tokens.cache_write_1h,
            tokens.input_audio,
            tokens.reasoning,
            tokens.output_audio,
        ] {
            values.push_bind(count.map(integer));
        }
        values.push_bind(row.price.as_ref().map_or("", Text::as_str).to_owned());
        values.push_bind(row.cost.map(NanoUsd::nanos));
        values.push_bind(row.saved.cache.nanos());
        values.push_bind(row.saved.coalescing.nanos());
        values.push_bind(integer(row.latency_us));
        values.push_bind(row.first_token_us.map(integer));
        values.push_bind(row.status.map(i64::from));
        values.push_bind(outcome);
        values.push_bind(error.to_owned());
    });
    query.build().execute(connection).await?;
    Ok(())
}

/// Removes rows of days before `oldest`, as in PostgreSQL.
async fn retire(connection: &mut SqliteConnection, oldest: i64) -> Result<(), SinkError> {
    let floor_us = oldest.saturating_mul(DAY_US);
    sqlx::query(
        "INSERT INTO ledger_state (name, value) VALUES ('floor_us', $1) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
    )
    .bind(floor_us)
    .execute(&mut *connection)
    .await?;
    loop {
        let removed = sqlx::query(
            "DELETE FROM ledger_attempts WHERE rowid IN (SELECT rowid FROM ledger_attempts WHERE at_us < $1 LIMIT $2)",
        )
        .bind(floor_us)
        .bind(REMOVED_AT_ONCE)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if removed == 0 {
            break;
        }
    }
    for statement in [
        "DELETE FROM ledger_daily_users WHERE day < $1",
        "DELETE FROM ledger_daily_workflows WHERE day < $1",
    ] {
        sqlx::query(statement).bind(oldest).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Makes the tables, or brings them to this version.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), SinkError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    transaction.execute(schema::CREATE_STATE).await?;
    let version: Option<i64> = sqlx::query_scalar("SELECT value FROM ledger_state WHERE name = 'version'")
        .fetch_optional(&mut *transaction)
        .await?;
    match version {
        Some(VERSION) => {}
        Some(found) => return Err(SinkError::Newer { found, known: VERSION }),
        None => {
            let mut statements = vec![
                schema::create_attempts("TEXT", "TEXT"),
                format!("INSERT INTO ledger_state (name, value) VALUES ('version', {VERSION})"),
            ];
            statements.extend(
                ROLL_UPS
                    .iter()
                    .map(|roll_up| format!("{} WITHOUT ROWID", roll_up.create("TEXT"))),
            );
            for statement in statements {
                transaction.execute(AssertSqlSafe(statement)).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(())
}
