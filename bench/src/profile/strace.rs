//! What `strace --summary-only` says.

use std::collections::BTreeMap;

/// System calls by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Calls(BTreeMap<String, f64>);

impl Calls {
    /// Reads the table: share, seconds, microseconds a call, calls, errors if there were any, name.
    pub(super) fn parse(summary: &str) -> Self {
        let row = |line: &str| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let numbers = fields.first()?.parse::<f64>().is_ok() && fields.len() >= 5;
            let name = *fields.last()?;
            let calls = fields.get(3)?.parse::<f64>().ok()?;
            (numbers && name != "total").then(|| (name.to_owned(), calls))
        };
        Self(summary.lines().filter_map(row).collect())
    }

    /// The same for each of so many requests.
    pub(super) fn per(self, requests: f64) -> Self {
        Self(
            self.0
                .into_iter()
                .map(|(name, calls)| (name, calls / requests))
                .collect(),
        )
    }

    /// All of them.
    pub(super) fn sum(&self) -> f64 {
        self.0.values().sum()
    }

    /// Those of one name.
    pub(super) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// The names of which there are more than so many, the most first.
    pub(super) fn above(&self, least: f64) -> Vec<&str> {
        let mut all: Vec<(&str, f64)> = self.0.iter().map(|(name, calls)| (&**name, *calls)).collect();
        all.retain(|(_, calls)| *calls > least);
        all.sort_by(|one, other| other.1.total_cmp(&one.1));
        all.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.600000           3       200           writev
 40.00    0.400000           2       400       100 recvfrom
  0.00    0.000000           0         1           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    1.000000           2       601       100 total
";

    #[test]
    fn calls_are_read_with_and_without_errors_and_without_the_sum() {
        let calls = Calls::parse(SUMMARY).per(100.0);
        assert_eq!(
            (calls.of("writev"), calls.of("recvfrom"), calls.of("none")),
            (2.0, 4.0, 0.0)
        );
        assert!((calls.sum() - 6.01).abs() < 1e-9);
        assert_eq!(calls.above(0.5), ["recvfrom", "writev"]);
    }
}
