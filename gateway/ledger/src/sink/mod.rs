//! Where rows are kept: a database that takes each row once.

mod copy;
mod partitions;
mod postgres;
pub(crate) mod schema;
mod sqlite;

use std::time::Duration;

use crate::Row;
pub use postgres::{Postgres, PostgresConfig, UrlError};
pub use sqlite::{Sqlite, SqliteConfig};

/// How long a try to reach or to use a database may take as a whole: above what the server's own limits allow a statement, so
/// that it ends only what hangs on a dead connection.
const LIMIT: Duration = Duration::from_secs(90);

/// Why a database did not take rows.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It could not be asked, or is not in the state that it should be in. The same rows may be taken later.
    #[error("the database cannot be used")]
    Unavailable(#[source] sqlx::Error),
    /// It did not answer in time.
    #[error("the database does not answer")]
    Silent,
    /// Its tables are of a later version of Tokenweir.
    #[error("the database has version {found} of the ledger's tables, and this program knows {known}")]
    Newer {
        /// The version that was found.
        found: i64,
        /// The version that this program makes.
        known: i64,
    },
    /// It was asked and refuses one of the rows for what is in it. None of them was taken.
    #[error("the database refuses a row")]
    Refused(#[source] sqlx::Error),
}

impl From<sqlx::Error> for SinkError {
    fn from(error: sqlx::Error) -> Self {
        if refuses(&error) {
            Self::Refused(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

/// Whether an error is about what is in the rows. Only then is a row set aside: a full disk, a missing table or a lost right
/// must keep rows waiting instead.
fn refuses(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else {
        return matches!(error, sqlx::Error::Encode(_));
    };
    if let Some(postgres) = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        let code = postgres.code();
        // A row without a partition for it violates a check that has no name. The partition can be made.
        let partition = code == "23514" && postgres.constraint().is_none();
        // Class 22 is data that a type cannot hold, class 23 a violated constraint.
        return (code.starts_with("22") || code.starts_with("23")) && !partition;
    }
    // SQLite's codes are numbers whose lowest byte is the kind: 18 too big, 19 a violated constraint, 20 a wrong type. Of a sum
    // that it cannot hold it says no more than this text.
    let kind = database
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    matches!(kind, Some(18..=20)) || database.message() == "integer overflow"
}

/// What became of rows that a database took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Rows that it did not have.
    pub fresh: u64,
    /// Rows that it had already.
    pub known: u64,
    /// Places of rows that are older than what it still keeps. It did not take them, since it could not know whether it had
    /// them before.
    pub expired: Vec<usize>,
}

/// A database that takes rows once each, however often it gets them.
pub trait Sink: Send + 'static {
    /// Takes all rows, or none of them and says why.
    fn insert(&mut self, rows: &[Row]) -> impl Future<Output = Result<Taken, SinkError>> + Send;

    /// Makes room for the days to come, and removes what is older than it is to be kept.
    fn maintain(&mut self, now_us: i64) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// A limit on the whole of what a database is asked to do.
async fn limited<T>(asked: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
    tokio::time::timeout(LIMIT, asked)
        .await
        .unwrap_or(Err(SinkError::Silent))
}

/// The bounded integer of a database. Nothing that a row holds is above it: tokens are bounded, and 292,000 years pass in as
/// many microseconds.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Which rows are not older than `floor_us`, and the places of those that are.
fn split_expired(rows: &[Row], floor_us: i64) -> (Vec<&Row>, Vec<usize>) {
    let mut expired = Vec::new();
    let mut kept = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        if row.at_us < floor_us {
            expired.push(place);
        } else {
            kept.push(row);
        }
    }
    (kept, expired)
}
