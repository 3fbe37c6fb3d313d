//! Answers as CSV.

use jiff::Timestamp;
use tokenweir_config::money::NanoUsd;

use super::{Answer, Sums};

/// Why an answer has no form as CSV.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the answer as CSV")]
pub struct ExportError(#[from] csv::Error);

/// A table as RFC 4180 says, in memory.
pub(super) struct Table(csv::Writer<Vec<u8>>);

impl Table {
    pub fn new(heads: &[&str]) -> Result<Self, ExportError> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        writer.write_record(heads)?;
        Ok(Self(writer))
    }

    pub fn line(&mut self, fields: impl Iterator<Item = String>) -> Result<(), ExportError> {
        Ok(self.0.write_record(fields.map(String::into_bytes))?)
    }

    pub fn into_text(self) -> Result<String, ExportError> {
        let bytes = self
            .0
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))?;
        // All that was written is text.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A name that a spreadsheet does not take for a formula: names may come from clients, and a spreadsheet runs what begins
/// with one of these signs.
pub(super) fn harmless(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{name}")
    } else {
        name.to_owned()
    }
}

/// A time as ISO 8601 in UTC; empty for one that no calendar has.
pub(super) fn time(at_us: i64) -> String {
    let Ok(time) = Timestamp::from_microsecond(at_us) else {
        return String::new();
    };
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The columns of sums, and what stands in them.
type Column = (&'static str, fn(&Sums) -> String);

const SUMS: &[Column] = &[
    ("attempts", |sums| sums.attempts.to_string()),
    ("requests", |sums| sums.requests.to_string()),
    ("errors", |sums| sums.errors.to_string()),
    ("cuts", |sums| sums.cuts.to_string()),
    ("unpriced", |sums| sums.unpriced.to_string()),
    ("estimated", |sums| sums.estimated.to_string()),
    ("prompt_tokens", |sums| sums.prompt_tokens.to_string()),
    ("completion_tokens", |sums| sums.completion_tokens.to_string()),
    ("cached_tokens", |sums| sums.cached_tokens.to_string()),
    ("cache_write_tokens", |sums| sums.cache_write_tokens.to_string()),
    ("reasoning_tokens", |sums| sums.reasoning_tokens.to_string()),
    ("cost_usd", |sums| usd(sums.cost)),
    ("saved_usd", |sums| usd(sums.saved)),
    ("latency_us", |sums| sums.latency_us.to_string()),
];

/// An amount in dollars, exact.
pub(super) fn usd(amount: NanoUsd) -> String {
    amount.to_string()
}

/// An answer as CSV, with a line of heads. Money is in dollars, exact to the ninth decimal.
pub fn to_csv(answer: &Answer) -> Result<String, ExportError> {
    let buckets = answer.lines.iter().any(|line| line.time_us.is_some());
    let mut heads: Vec<_> = buckets.then_some("time").into_iter().collect();
    heads.extend(answer.by.iter().map(|by| by.name()));
    heads.extend(SUMS.iter().map(|(name, _)| *name));
    let mut table = Table::new(&heads)?;
    for line in &answer.lines {
        let at = line.time_us.map(time);
        let names = line.names.iter().map(|name| harmless(name));
        let sums = SUMS.iter().map(|(_, of)| of(&line.sums));
        table.line(at.into_iter().chain(names).chain(sums))?;
    }
    table.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Dimension, Line};

    #[test]
    fn csv_is_quoted_exact_and_harmless_in_a_spreadsheet() {
        let answer = Answer {
            from_us: 0,
            to_us: 1,
            by: vec![Dimension::Tenant, Dimension::EndUser],
            lines: vec![Line {
                time_us: Some(1_795_298_400_000_000),
                names: vec!["a,\"b\"".into(), "=1+1".into()],
                sums: Sums {
                    attempts: 2,
                    cost: NanoUsd::new(1_000_000_001),
                    ..Sums::default()
                },
            }],
            cut: false,
        };
        assert_eq!(
            to_csv(&answer).unwrap(),
            "time,tenant,end_user,attempts,requests,errors,cuts,unpriced,estimated,prompt_tokens,completion_tokens,\
             cached_tokens,cache_write_tokens,reasoning_tokens,cost_usd,saved_usd,latency_us\r\n\
             2026-11-21T22:00:00Z,\"a,\"\"b\"\"\",'=1+1,2,0,0,0,0,0,0,0,0,0,0,1.000000001,0,0\r\n"
        );
    }
}
