//! Durations as people write them: `250ms`, `30s`, `1h30m`, `30d`.

use std::fmt;
use std::str::FromStr;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rules;

/// Longest text of a duration. It bounds what the API server must assume that a rule over one costs.
const MAX_LENGTH: usize = 32;

/// Units with their milliseconds, longest first, which is also the order in which a duration is printed.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A span of time with a resolution of one millisecond.
///
/// Reads Go's notation with the units `ms`, `s`, `m` and `h`, and `d` for 24 hours. Printing gives the shortest equal
/// form in units up to `h`, which Go and CEL also read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("a duration is empty; write for example 30s")]
    Empty,
    /// A number without a unit.
    #[error("{0:?} has a number without a unit; the units are ms, s, m, h and d")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("{text:?} has the unknown unit {unit:?}; the units are ms, s, m, h and d")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// A number that cannot be read.
    #[error("{0:?} is not a duration; write for example 250ms, 30s or 1h30m")]
    Malformed(String),
    /// Finer than a millisecond.
    #[error("{0:?} is finer than one millisecond")]
    TooFine(String),
    /// Too long to count.
    #[error("{0:?} is too long")]
    TooLong(String),
}

impl Duration {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// A number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A number of seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds as u64 * 1_000)
    }

    /// Whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Seconds, rounded up, so that a limit is never shortened.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// The standard library's form.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            if number.is_empty() {
                return Err(DurationError::Malformed(text.to_owned()));
            }
            if unit.is_empty() {
                return Err(DurationError::NoUnit(text.to_owned()));
            }
            let Some(&(_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(DurationError::UnknownUnit {
                    text: text.to_owned(),
                    unit: unit.to_owned(),
                });
            };
            total = scaled(number, millis, text)?
                .checked_add(total)
                .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

/// `number` (digits with at most one point) times `millis`, exactly.
fn scaled(number: &str, millis: u64, text: &str) -> Result<u64, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    if whole.is_empty() || fraction.is_some_and(|f| f.is_empty() || f.contains('.')) {
        return Err(malformed());
    }
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    let total = whole.checked_mul(millis).ok_or_else(too_long)?;
    let fraction = fraction.unwrap_or_default().trim_end_matches('0');
    if fraction.is_empty() {
        return Ok(total);
    }
    // No unit times a decimal with more than nine places is a whole number of milliseconds: 1d is 2^10 * 3^3 * 5^5 ms.
    let places = u32::try_from(fraction.len()).ok().filter(|p| *p <= 9);
    let places = places.ok_or_else(|| DurationError::TooFine(text.to_owned()))?;
    let scale = 10_u64.pow(places);
    let part = fraction
        .parse::<u64>()
        .map_err(|_| malformed())?
        .checked_mul(millis)
        .ok_or_else(too_long)?;
    if part % scale != 0 {
        return Err(DurationError::TooFine(text.to_owned()));
    }
    total.checked_add(part / scale).ok_or_else(too_long)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, millis) in &UNITS[1..] {
            if rest >= *millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rule: Rule = rules::is_duration();
        json_schema!({
            "type": "string",
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": [rule],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Result<u64, DurationError> {
        text.parse::<Duration>().map(Duration::as_millis)
    }

    #[test]
    fn the_notation_of_go_and_days_are_read() {
        for (text, expected) in [
            ("250ms", 250),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("0.001s", 1),
            ("30d", 2_592_000_000),
            ("1d12h", 129_600_000),
            ("0", 0),
            ("0s", 0),
            ("1m30s500ms", 90_500),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_its_reason() {
        assert_eq!(millis(""), Err(DurationError::Empty));
        assert_eq!(millis("30"), Err(DurationError::NoUnit("30".into())));
        assert_eq!(
            millis("5x"),
            Err(DurationError::UnknownUnit {
                text: "5x".into(),
                unit: "x".into()
            })
        );
        for text in ["-5s", "s", "1..5s", ".5s", "5.s", " 5s", "1.2.3s"] {
            assert!(matches!(millis(text), Err(DurationError::Malformed(_))), "{text}");
        }
        assert_eq!(millis("0.5ms"), Err(DurationError::TooFine("0.5ms".into())));
        assert!(matches!(
            millis("99999999999999999999h"),
            Err(DurationError::TooLong(_))
        ));
        assert!(matches!(
            millis("18446744073709551615h"),
            Err(DurationError::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn printing_and_reading_gives_the_same(millis in 0..u64::MAX / 4) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Duration>();
        }
    }
}
