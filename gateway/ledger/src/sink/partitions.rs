//! The partitions of the table of rows, one a day in UTC.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::schema::DAY_US;

const PREFIX: &str = "ledger_attempts_";

/// The number of the day since 1970 that a time is in.
pub(super) fn day_of(at_us: i64) -> i64 {
    at_us.div_euclid(DAY_US)
}

/// The name of a day's partition, such as `ledger_attempts_20261121`; none for a day that no calendar has.
pub(super) fn name(day: i64) -> Option<String> {
    let start = Timestamp::from_microsecond(day.checked_mul(DAY_US)?).ok()?;
    let date = start.to_zoned(TimeZone::UTC).date();
    Some(format!("{PREFIX}{}", date.strftime("%Y%m%d")))
}

/// The day whose partition has this name.
pub(super) fn day_of_name(name: &str) -> Option<i64> {
    let date = Date::strptime("%Y%m%d", name.strip_prefix(PREFIX)?).ok()?;
    let start = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(day_of(start.as_microsecond()))
}

/// The statement that makes a day's partition, if it is missing.
pub(super) fn create(day: i64) -> Option<String> {
    let name = name(day)?;
    let from = day.checked_mul(DAY_US)?;
    let to = from.checked_add(DAY_US)?;
    Some(format!(
        "CREATE TABLE IF NOT EXISTS {name} PARTITION OF ledger_attempts FOR VALUES FROM ({from}) TO ({to})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_after_its_day_and_known_by_its_name() {
        let day = day_of(1_795_298_400_000_000);
        assert_eq!(name(day).unwrap(), "ledger_attempts_20261121");
        assert_eq!(day_of_name("ledger_attempts_20261121"), Some(day));
        assert_eq!(day_of_name("ledger_attempts_20261341"), None);
        assert_eq!(day_of_name("ledger_hourly"), None);
        assert_eq!(day_of(-1), -1);
        assert_eq!(name(i64::MAX), None);
        assert_eq!(create(i64::MAX / DAY_US), None);
    }
}
