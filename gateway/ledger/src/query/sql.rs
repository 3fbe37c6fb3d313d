//! Questions as SQL, the same for PostgreSQL and SQLite. Only names of columns and tables that are written here become part
//! of a statement; what was asked for is bound.

use super::{Bucket, Dimension, Filter, Order, Question};
use crate::sink::schema::{DAY_US, HOUR_US, MEASURES, ROLL_UPS, RollUp};

/// A value that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i64),
    Text(String),
}

/// A statement with what is bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub text: String,
    pub values: Vec<Value>,
    /// What is counted: the range that was asked for, widened to what the table knows.
    pub from_us: i64,
    pub to_us: i64,
}

impl Statement {
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy)]
enum Source {
    Sums(&'static RollUp),
    /// No table of sums has all that was asked for together.
    Rows,
}

impl Source {
    fn of(question: &Question) -> Self {
        let filters = question.only.iter().map(|filter| match filter {
            Filter::Is(dimension, _) | Filter::Known(dimension) => *dimension,
            Filter::Under(_) => Dimension::Tenant,
        });
        let needed: Vec<_> = question
            .by
            .iter()
            .copied()
            .chain(filters)
            .map(Dimension::column)
            .collect();
        let covers = |roll_up: &&RollUp| {
            let fine = question.bucket != Some(Bucket::Hour) || roll_up.time.1 == HOUR_US;
            fine && needed.iter().all(|name| roll_up.dimensions.contains(name))
        };
        ROLL_UPS.iter().find(covers).map_or(Self::Rows, Self::Sums)
    }

    fn table(self) -> &'static str {
        match self {
            Self::Sums(roll_up) => roll_up.table,
            Self::Rows => "ledger_attempts",
        }
    }

    /// The column of time, and the microseconds that it counts in.
    fn time(self) -> (&'static str, i64) {
        match self {
            Self::Sums(roll_up) => roll_up.time,
            Self::Rows => ("at_us", 1),
        }
    }

    /// The microseconds that ranges are widened to.
    fn step(self) -> i64 {
        match self {
            Self::Sums(roll_up) => roll_up.time.1,
            Self::Rows => HOUR_US,
        }
    }

    /// All sums, as whole numbers. One that is too large is an error of the database.
    fn sums(self) -> String {
        let sums: Vec<_> = MEASURES
            .iter()
            .map(|(name, sum)| match self {
                Self::Sums(_) => format!("CAST(coalesce(sum({name}), 0) AS BIGINT)"),
                Self::Rows => format!("CAST(coalesce({sum}, 0) AS BIGINT)"),
            })
            .collect();
        sums.join(", ")
    }
}

/// The statement that answers a question: the bucket's start or 0, the names, the sums. It asks for one line above the limit, which
/// tells whether there are more.
pub(super) fn answer(question: &Question, limit: u32) -> Statement {
    let source = Source::of(question);
    let mut statement = begin(question, source);
    let (time, unit) = source.time();
    let bucket = match question.bucket {
        None => "CAST(0 AS BIGINT)".to_owned(),
        Some(Bucket::Hour) => format!("{time} / {} * {HOUR_US}", HOUR_US / unit),
        Some(Bucket::Day) => format!("{time} / {} * {DAY_US}", DAY_US / unit),
    };
    let names: Vec<_> = question.by.iter().map(|by| format!(", {}", by.column())).collect();
    let names = names.concat();
    let filters = conditions(question, source, &mut statement);
    let places: Vec<_> = (1..=question.by.len() + 1).map(|place| place.to_string()).collect();
    let places = places.join(", ");
    let cost = MEASURES
        .iter()
        .position(|(name, _)| *name == "cost")
        .unwrap_or_default();
    let order = match question.order {
        Order::Time => places.clone(),
        Order::Cost => format!("{} DESC, {places}", question.by.len() + 2 + cost),
    };
    let limit = statement.bind(Value::Integer(i64::from(limit) + 1));
    // Grouped even where it is by nothing: no rows then give no line.
    statement.text = format!(
        "SELECT {bucket}{names}, {} FROM {} WHERE {filters} GROUP BY {places} ORDER BY {order} LIMIT {limit}",
        source.sums(),
        source.table(),
    );
    statement
}

/// The statement that says how many workflows there were and what they cost together. The question must be by tenant and
/// workflow.
pub(super) fn workflows(question: &Question) -> Statement {
    let source = Source::of(question);
    let mut statement = begin(question, source);
    let filters = conditions(question, source, &mut statement);
    statement.text = format!(
        "SELECT count(*), CAST(coalesce(sum(cost), 0) AS BIGINT) FROM (SELECT sum(cost) AS cost FROM {} WHERE {filters} \
         GROUP BY tenant, workflow) AS workflows",
        source.table(),
    );
    statement
}

fn begin(question: &Question, source: Source) -> Statement {
    let step = source.step();
    let from_us = question.from_us.div_euclid(step).saturating_mul(step);
    let to_us = question
        .to_us
        .saturating_add(step - 1)
        .div_euclid(step)
        .saturating_mul(step);
    Statement {
        text: String::new(),
        values: Vec::new(),
        from_us,
        to_us,
    }
}

fn conditions(question: &Question, source: Source, statement: &mut Statement) -> String {
    let (time, unit) = source.time();
    let (from, to) = (statement.from_us / unit, statement.to_us / unit);
    let from = statement.bind(Value::Integer(from));
    let to = statement.bind(Value::Integer(to));
    let mut conditions = vec![format!("{time} >= {from}"), format!("{time} < {to}")];
    for filter in &question.only {
        conditions.push(match filter {
            Filter::Is(dimension, name) => {
                let place = statement.bind(Value::Text(name.clone()));
                format!("{} = {place}", dimension.column())
            }
            Filter::Known(dimension) => format!("{} <> ''", dimension.column()),
            Filter::Under(tenant) => {
                // In the order of bytes, all paths below a tenant stand between `tenant/` and `tenant0`.
                let own = statement.bind(Value::Text(tenant.clone()));
                let first = statement.bind(Value::Text(format!("{tenant}/")));
                let end = statement.bind(Value::Text(format!("{tenant}0")));
                format!("(tenant = {own} OR (tenant >= {first} AND tenant < {end}))")
            }
        });
    }
    conditions.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(by: &[Dimension]) -> Question {
        Question {
            from_us: HOUR_US + 1,
            to_us: 2 * HOUR_US + 1,
            by: by.to_vec(),
            ..Question::default()
        }
    }

    #[test]
    fn the_first_table_of_sums_that_knows_everything_answers() {
        let table = |question: &Question| Source::of(question).table();
        assert_eq!(table(&question(&[])), "ledger_hourly");
        assert_eq!(table(&question(&[Dimension::Key, Dimension::Model])), "ledger_hourly");
        assert_eq!(table(&question(&[Dimension::EndUser])), "ledger_daily_users");
        assert_eq!(table(&question(&[Dimension::Workflow])), "ledger_daily_workflows");
        assert_eq!(
            table(&question(&[Dimension::EndUser, Dimension::Model])),
            "ledger_attempts"
        );
        let mut by_hour = question(&[Dimension::Workflow]);
        by_hour.bucket = Some(Bucket::Hour);
        assert_eq!(table(&by_hour), "ledger_attempts");
        let mut filtered = question(&[Dimension::EndUser]);
        filtered.only.push(Filter::Is(Dimension::Model, "m".into()));
        assert_eq!(table(&filtered), "ledger_attempts");
    }

    #[test]
    fn ranges_are_widened_to_what_the_table_knows_and_names_are_bound() {
        let mut asked = question(&[Dimension::Tenant]);
        asked.only.push(Filter::Under("a' OR 1=1 --".into()));
        let statement = answer(&asked, 10);
        assert_eq!((statement.from_us, statement.to_us), (HOUR_US, 3 * HOUR_US));
        assert_eq!(statement.values[..2], [Value::Integer(1), Value::Integer(3)]);
        assert_eq!(statement.values[3], Value::Text("a' OR 1=1 --/".into()));
        assert!(!statement.text.contains('\''), "{}", statement.text);
    }

    #[test]
    fn a_range_at_the_end_of_time_does_not_overflow() {
        let mut asked = question(&[Dimension::Workflow]);
        (asked.from_us, asked.to_us) = (i64::MIN, i64::MAX);
        let statement = answer(&asked, 10);
        assert!(statement.from_us < statement.to_us);
    }
}
