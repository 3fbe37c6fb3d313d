//! Spans of minutes, hours or days, as lives of keys are counted: `90m`, `12h`, `90d`.

use std::fmt;
use std::str::FromStr;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rules;

/// Units with their minutes and the most digits before them, longest first, which is also the order in which one is
/// chosen to print.
const UNITS: [(char, u32, usize); 3] = [('d', 24 * 60, 4), ('h', 60, 5), ('m', 1, 6)];

/// A span of whole minutes. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u32);

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span; write a whole number of minutes, hours or days, such as 90m, 12h or 90d")]
pub struct SpanError(String);

impl Span {
    /// A number of hours.
    pub const fn from_hours(hours: u16) -> Self {
        Self(hours as u32 * 60)
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 as u64 * 60
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SpanError(text.to_owned());
        let (unit, minutes, most) = UNITS
            .into_iter()
            .find(|(unit, ..)| text.ends_with(*unit))
            .ok_or_else(wrong)?;
        let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
        let plain = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || digits.starts_with('0') {
            return Err(wrong());
        }
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        Ok(Self(count * minutes))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |minutes: u32| self.0.is_multiple_of(minutes);
        let (unit, minutes, _) = UNITS
            .into_iter()
            .find(|(_, minutes, _)| fits(*minutes))
            .unwrap_or(('m', 1, 6));
        write!(f, "{}{unit}", self.0 / minutes)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rule: Rule = rules::is_span();
        json_schema!({
            "type": "string",
            "maxLength": 7,
            "x-kubernetes-validations": [rule],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_hours_and_days_are_read_and_printed_in_the_largest_unit() {
        for (text, seconds, printed) in [
            ("1m", 60, "1m"),
            ("90m", 5_400, "90m"),
            ("24h", 86_400, "1d"),
            ("90d", 7_776_000, "90d"),
            ("9999d", 863_913_600, "9999d"),
            ("36h", 129_600, "36h"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.as_secs(), span.to_string().as_str()),
                (seconds, printed),
                "{text}"
            );
            assert_eq!(printed.parse(), Ok(span));
        }
        for wrong in [
            "", "d", "0d", "01d", "1", "1s", "1.5h", "-1h", "1h30m", "10000d", "100000h", "1000000m", "1D", "１d",
        ] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
