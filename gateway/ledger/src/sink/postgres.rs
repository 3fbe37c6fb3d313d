//! PostgreSQL 14 and later: partitions by day, `COPY` in batches, and one statement that takes rows and adds them up.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tracing::info;

use super::schema::{self, COLUMNS, DAY_US, ROLL_UPS, VERSION};
use super::{Sink, SinkError, Taken, copy, limited, partitions, split_expired};
use crate::Row;

/// The advisory lock that changes of tables are made under, so that replicas that start together do not meet: "TWLEDGER".
const LOCK: i64 = 0x5457_4c45_4447_4552;
/// How much text is handed to the connection at once.
const CHUNK: usize = 256 * 1024;

/// Why a text is no URL of a database. It does not say the text, which has the password.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It does not begin as one.
    #[error("a URL of PostgreSQL begins with postgres:// or postgresql://")]
    Scheme,
    /// Something in it is wrong.
    #[error("not a URL of PostgreSQL")]
    Parts(#[source] sqlx::Error),
}

/// Which database, and what is kept in it.
#[derive(Clone)]
pub struct PostgresConfig {
    /// How to connect, as a URL says it: with `sslmode` and `sslrootcert`, if need be.
    options: PgConnectOptions,
    /// For how long rows are kept; without it for ever. Sums by end user and workflow are kept as long as the rows, the
    /// others for ever.
    pub retention: Option<Duration>,
    /// For how many days to come partitions are made.
    pub days_ahead: u16,
}

impl PostgresConfig {
    /// The database of a URL such as `postgres://user:password@host/database?sslmode=verify-full`.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        // The driver reads any scheme as its own.
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(UrlError::Scheme);
        }
        let options = PgConnectOptions::from_str(url).map_err(UrlError::Parts)?;
        Ok(Self {
            // A statement that hangs, a lock that is not free and a transaction that was forgotten all end by themselves, on the
            // server too.
            options: options.application_name("tokenweir-ledger").options([
                ("statement_timeout", "60s"),
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "60s"),
            ]),
            retention: None,
            days_ahead: 7,
        })
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        f.debug_struct("PostgresConfig")
            .field("retention", &self.retention)
            .field("days_ahead", &self.days_ahead)
            .finish_non_exhaustive()
    }
}

/// Keeps rows in PostgreSQL.
pub struct Postgres {
    config: PostgresConfig,
    connection: Option<PgConnection>,
    /// Days whose partitions are there.
    days: HashSet<i64>,
    take: String,
}

impl Postgres {
    /// A database that is connected to when there is something for it.
    pub fn new(config: PostgresConfig) -> Self {
        Self {
            config,
            connection: None,
            days: HashSet::new(),
            take: take_statement(),
        }
    }

    /// The connection, made ready if there is none.
    async fn connected(&mut self) -> Result<PgConnection, SinkError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = PgConnection::connect_with(self.config.options()).await?;
        migrate(&mut connection).await?;
        // One batch's rows; the table is empty again at each end of a transaction.
        connection
            .execute("CREATE TEMPORARY TABLE IF NOT EXISTS ledger_staging (LIKE ledger_attempts) ON COMMIT DELETE ROWS")
            .await?;
        self.days.clear();
        info!("the ledger is connected to PostgreSQL");
        Ok(connection)
    }

    async fn take(&mut self, rows: &[Row]) -> Result<Taken, SinkError> {
        let mut connection = self.connected().await?;
        let missing: Vec<_> = rows
            .iter()
            .map(|row| partitions::day_of(row.at_us))
            .filter(|day| !self.days.contains(day))
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let taken = take_in(&mut connection, &missing, rows, &self.take).await;
        match &taken {
            Ok(_) => self.days.extend(missing),
            // The transaction was rolled back and the connection is as good as before.
            Err(SinkError::Refused(_)) => {}
            // In doubt, a new connection. What was dropped here is rolled back by the server.
            Err(_) => return taken,
        }
        self.connection = Some(connection);
        taken
    }

    async fn tidy(&mut self, now_us: i64) -> Result<(), SinkError> {
        let mut connection = self.connected().await?;
        let today = partitions::day_of(now_us);
        let days: Vec<_> = (today..=today.saturating_add(self.config.days_ahead.into())).collect();
        let mut transaction = connection.begin().await?;
        make_partitions(&mut transaction, &days).await?;
        transaction.commit().await?;
        if let Some(retention) = self.config.retention {
            let retention_us = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
            let oldest = partitions::day_of(now_us.saturating_sub(retention_us));
            retire(&mut connection, oldest).await?;
            self.days.retain(|day| *day >= oldest);
        }
        self.days.extend(days);
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for Postgres {
    async fn insert(&mut self, rows: &[Row]) -> Result<Taken, SinkError> {
        limited(self.take(rows)).await
    }

    async fn maintain(&mut self, now_us: i64) -> Result<(), SinkError> {
        limited(self.tidy(now_us)).await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The statement that moves what is staged to the table of rows and adds what is new to the sums, all or nothing.
fn take_statement() -> String {
    let fresh = format!(
        "fresh AS (INSERT INTO ledger_attempts ({COLUMNS}) SELECT {COLUMNS} FROM ledger_staging \
         ON CONFLICT DO NOTHING RETURNING *)"
    );
    let added = ROLL_UPS
        .iter()
        .map(|roll_up| format!("{}_added AS ({})", roll_up.table, roll_up.add("fresh")));
    let steps: Vec<_> = std::iter::once(fresh).chain(added).collect();
    format!("WITH {} SELECT count(*) FROM fresh", steps.join(", "))
}

async fn take_in(connection: &mut PgConnection, missing: &[i64], rows: &[Row], take: &str) -> Result<Taken, SinkError> {
    let mut transaction = connection.begin().await?;
    match stage_and_take(&mut transaction, missing, rows, take).await {
        Ok(taken) => {
            transaction.commit().await?;
            Ok(taken)
        }
        Err(error @ SinkError::Refused(_)) => {
            transaction.rollback().await.map_err(SinkError::Unavailable)?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

async fn stage_and_take(
    connection: &mut PgConnection,
    missing: &[i64],
    rows: &[Row],
    take: &str,
) -> Result<Taken, SinkError> {
    if !missing.is_empty() {
        // Before the row that is shared below, as the one that removes partitions takes them.
        lock_tables(connection).await?;
    }
    // Shared with other writers, against the one that removes partitions.
    let floor_us: Option<i64> = sqlx::query_scalar("SELECT value FROM ledger_state WHERE name = 'floor_us' FOR SHARE")
        .fetch_optional(&mut *connection)
        .await?;
    let floor_us = floor_us.unwrap_or(i64::MIN);
    let (kept, expired) = split_expired(rows, floor_us);
    let wanted: Vec<_> = missing
        .iter()
        .copied()
        .filter(|day| kept.iter().any(|row| partitions::day_of(row.at_us) == *day))
        .collect();
    make_partitions(connection, &wanted).await?;
    copy_rows(connection, &kept).await?;
    let fresh: i64 = sqlx::query_scalar(AssertSqlSafe(take.to_owned()))
        .fetch_one(&mut *connection)
        .await?;
    let fresh = u64::try_from(fresh).unwrap_or_default();
    Ok(Taken {
        fresh,
        known: (kept.len() as u64).saturating_sub(fresh),
        expired,
    })
}

async fn copy_rows(connection: &mut PgConnection, rows: &[&Row]) -> Result<(), SinkError> {
    let mut copying = connection
        .copy_in_raw(&format!("COPY ledger_staging ({COLUMNS}) FROM STDIN"))
        .await?;
    let mut text = String::with_capacity(CHUNK + 8 * 1024);
    let mut rows = rows.iter().peekable();
    while let Some(row) = rows.next() {
        copy::append(row, &mut text);
        if text.len() >= CHUNK || rows.peek().is_none() {
            copying.send(text.as_bytes()).await?;
            text.clear();
        }
    }
    copying.finish().await?;
    Ok(())
}

/// Makes partitions that are missing, within the transaction of `connection`.
async fn make_partitions(connection: &mut PgConnection, days: &[i64]) -> Result<(), SinkError> {
    if days.is_empty() {
        return Ok(());
    }
    lock_tables(connection).await?;
    // A day that no calendar has gets no partition, and its row is refused for that.
    for statement in days.iter().filter_map(|day| partitions::create(*day)) {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

async fn lock_tables(connection: &mut PgConnection) -> Result<(), SinkError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes the partitions of days before `oldest`. From then on no row of those days is taken, since nobody could tell whether
/// it had been there.
async fn retire(connection: &mut PgConnection, oldest: i64) -> Result<(), SinkError> {
    let mut transaction = connection.begin().await?;
    lock_tables(&mut transaction).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid \
         WHERE inhparent = 'ledger_attempts'::regclass",
    )
    .fetch_all(&mut *transaction)
    .await?;
    let old: Vec<_> = names
        .iter()
        .filter(|name| partitions::day_of_name(name).is_some_and(|day| day < oldest))
        .collect();
    let floor_us = oldest.saturating_mul(DAY_US);
    sqlx::query(
        "INSERT INTO ledger_state AS state (name, value) VALUES ('floor_us', $1) \
         ON CONFLICT (name) DO UPDATE SET value = greatest(state.value, excluded.value)",
    )
    .bind(floor_us)
    .execute(&mut *transaction)
    .await?;
    for name in &old {
        transaction.execute(AssertSqlSafe(format!("DROP TABLE {name}"))).await?;
    }
    for statement in [
        "DELETE FROM ledger_daily_users WHERE day < $1",
        "DELETE FROM ledger_daily_workflows WHERE day < $1",
    ] {
        sqlx::query(statement).bind(oldest).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    if !old.is_empty() {
        info!(
            partitions = old.len(),
            "removed rows of the ledger that are older than they are to be kept"
        );
    }
    Ok(())
}

/// Makes the tables, or brings them to this version.
async fn migrate(connection: &mut PgConnection) -> Result<(), SinkError> {
    let mut transaction = connection.begin().await?;
    lock_tables(&mut transaction).await?;
    transaction.execute(schema::CREATE_STATE).await?;
    let version: Option<i64> = sqlx::query_scalar("SELECT value FROM ledger_state WHERE name = 'version'")
        .fetch_optional(&mut *transaction)
        .await?;
    match version {
        Some(VERSION) => {}
        Some(found) => return Err(SinkError::Newer { found, known: VERSION }),
        None => {
            // Bytes in their order, as in SQLite: the order of a locale changes with the system's library.
            let text = "TEXT COLLATE \"C\"";
            let attempts = schema::create_attempts(text, "UUID");
            let mut statements = vec![
                format!("{attempts} PARTITION BY RANGE (at_us)"),
                format!("INSERT INTO ledger_state (name, value) VALUES ('version', {VERSION})"),
            ];
            statements.extend(ROLL_UPS.iter().map(|roll_up| roll_up.create(text)));
            for statement in statements {
                transaction.execute(AssertSqlSafe(statement)).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_of_postgres_is_refused_and_no_password_is_shown() {
        assert!(matches!(
            PostgresConfig::parse("http://example.com"),
            Err(UrlError::Scheme)
        ));
        assert!(matches!(
            PostgresConfig::parse("postgres://localhost/ledger?sslmode=maybe"),
            Err(UrlError::Parts(_))
        ));
        let config = PostgresConfig::parse("postgres://ann:secret@localhost/ledger").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
