//! The tables, and the statements over them. PostgreSQL and SQLite have the same columns, in the same order.
//!
//! Times are whole microseconds since 1970 in UTC, hours and days their numbers since then, money whole nano-USD. A text
//! that is not known is empty; a count that is not known is null.

/// The version of the tables that this program makes.
pub(super) const VERSION: i64 = 1;

/// Microseconds in an hour.
pub(crate) const HOUR_US: i64 = 3_600_000_000;
/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

/// The columns of a row, in their order.
pub(super) const COLUMNS: &str = "at_us, request, attempt, request_id, tenant, key_name, end_user, operation, workflow, \
     route, provider, model, call, stream, usage_source, prompt_tokens, completion_tokens, total_tokens, cached_tokens, \
     cache_write_tokens, cache_write_1h_tokens, input_audio_tokens, reasoning_tokens, output_audio_tokens, price, cost, \
     saved_cache, saved_coalescing, latency_us, first_token_us, status, outcome, error";

/// What is added up: the column, and the sum over rows that it is.
pub(crate) const MEASURES: &[(&str, &str)] = &[
    ("attempts", "count(*)"),
    ("requests", "sum(CASE WHEN attempt = 0 THEN 1 ELSE 0 END)"),
    ("errors", "sum(CASE WHEN outcome = 'error' THEN 1 ELSE 0 END)"),
    ("cuts", "sum(CASE WHEN outcome = 'client_cut' THEN 1 ELSE 0 END)"),
    ("unpriced", "sum(CASE WHEN cost IS NULL THEN 1 ELSE 0 END)"),
    (
        "estimated",
        "sum(CASE WHEN usage_source = 'estimated' THEN 1 ELSE 0 END)",
    ),
    ("prompt_tokens", "sum(coalesce(prompt_tokens, 0))"),
    ("completion_tokens", "sum(coalesce(completion_tokens, 0))"),
    ("cached_tokens", "sum(coalesce(cached_tokens, 0))"),
    ("cache_write_tokens", "sum(coalesce(cache_write_tokens, 0))"),
    ("reasoning_tokens", "sum(coalesce(reasoning_tokens, 0))"),
    ("cost", "sum(coalesce(cost, 0))"),
    ("saved", "sum(saved_cache + saved_coalescing)"),
    ("latency_us", "sum(latency_us)"),
];

/// A table of sums.
pub(crate) struct RollUp {
    /// Its name.
    pub table: &'static str,
    /// The column of time, and the microseconds that it counts in.
    pub time: (&'static str, i64),
    /// What the sums are by, besides time.
    pub dimensions: &'static [&'static str],
}

/// The tables of sums. End users and workflows are many, so they are not multiplied with all the rest, nor with hours.
pub(crate) const ROLL_UPS: &[RollUp] = &[
    RollUp {
        table: "ledger_hourly",
        time: ("hour", HOUR_US),
        dimensions: &["tenant", "operation", "provider", "model", "route", "key_name"],
    },
    RollUp {
        table: "ledger_daily_users",
        time: ("day", DAY_US),
        dimensions: &["tenant", "end_user"],
    },
    RollUp {
        table: "ledger_daily_workflows",
        time: ("day", DAY_US),
        dimensions: &["tenant", "workflow"],
    },
];

impl RollUp {
    /// The statement that makes the table; `text` is the type of its texts.
    pub(super) fn create(&self, text: &str) -> String {
        let texts: Vec<_> = self
            .dimensions
            .iter()
            .map(|name| format!("{name} {text} NOT NULL, "))
            .collect();
        let sums: Vec<_> = MEASURES
            .iter()
            .map(|(name, _)| format!("{name} BIGINT NOT NULL, "))
            .collect();
        format!(
            "CREATE TABLE {} ({} BIGINT NOT NULL, {}{}PRIMARY KEY ({}))",
            self.table,
            self.time.0,
            texts.concat(),
            sums.concat(),
            self.key()
        )
    }

    fn key(&self) -> String {
        format!("{}, {}", self.time.0, self.dimensions.join(", "))
    }

    /// The statement that adds the rows of a table or query `from` to the sums.
    ///
    /// The order keeps writers that add to the same sums from waiting for each other in a circle.
    pub(super) fn add(&self, from: &str) -> String {
        let key = self.key();
        let names: Vec<_> = MEASURES.iter().map(|(name, _)| *name).collect();
        let sums: Vec<_> = MEASURES.iter().map(|(_, sum)| *sum).collect();
        let added: Vec<_> = names
            .iter()
            .map(|name| format!("{name} = total.{name} + excluded.{name}"))
            .collect();
        let places: Vec<_> = (1..=self.dimensions.len() + 1).map(|place| place.to_string()).collect();
        let places = places.join(", ");
        format!(
            "INSERT INTO {} AS total ({key}, {}) SELECT at_us / {}, {}, {} FROM {from} WHERE true GROUP BY {places} \
             ORDER BY {places} ON CONFLICT ({key}) DO UPDATE SET {}",
            self.table,
            names.join(", "),
            self.time.1,
            self.dimensions.join(", "),
            sums.join(", "),
            added.join(", "),
        )
    }
}

/// The statement that makes the table of rows, up to its primary key; `text` is the type of texts, `id` that of a request's id.
pub(super) fn create_attempts(text: &str, id: &str) -> String {
    let texts = |names: &str| {
        names
            .split(' ')
            .map(|name| format!("{name} {text} NOT NULL, "))
            .collect::<Vec<_>>()
            .concat()
    };
    let counts = |names: &str| {
        names
            .split(' ')
            .map(|name| format!("{name} BIGINT, "))
            .collect::<Vec<_>>()
            .concat()
    };
    format!(
        "CREATE TABLE ledger_attempts (at_us BIGINT NOT NULL, request {id} NOT NULL, attempt INTEGER NOT NULL, {}\
         stream BOOLEAN NOT NULL, {}{}{}cost BIGINT, saved_cache BIGINT NOT NULL, saved_coalescing BIGINT NOT NULL, \
         latency_us BIGINT NOT NULL, first_token_us BIGINT, status INTEGER, {}PRIMARY KEY (at_us, request, attempt))",
        texts("request_id tenant key_name end_user operation workflow route provider model call"),
        texts("usage_source"),
        counts(
            "prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens cache_write_1h_tokens \
             input_audio_tokens reasoning_tokens output_audio_tokens"
        ),
        texts("price"),
        texts("outcome error"),
    )
}

/// The table of single values: the version of the tables, and the time before which rows were removed.
pub(super) const CREATE_STATE: &str =
    "CREATE TABLE IF NOT EXISTS ledger_state (name VARCHAR(64) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)";

/// How a row's end is written.
pub(super) fn outcome(row: &crate::Row) -> (&'static str, &str) {
    match &row.outcome {
        crate::Outcome::Ok => ("ok", ""),
        crate::Outcome::ClientCut => ("client_cut", ""),
        crate::Outcome::Error(kind) => ("error", kind.as_str()),
    }
}

/// How the source of a row's tokens is written.
pub(super) fn usage(row: &crate::Row) -> &'static str {
    match row.usage {
        crate::UsageSource::Reported => "reported",
        crate::UsageSource::Estimated => "estimated",
        crate::UsageSource::Unknown => "unknown",
    }
}
