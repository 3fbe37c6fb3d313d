//! Money, as integers from parse to report.
//!
//! Amounts are whole nano-USD, a billionth of a dollar; prices of tokens are whole nano-USD a million tokens. Both are
//! written as plain decimals of dollars with up to nine decimals, which is exact both ways: nothing here is ever a
//! floating-point number. Arithmetic never wraps: it is checked, or stops at the ends of the range.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nano-USD in a dollar.
const NANOS: u64 = 1_000_000_000;

/// Decimals that a nano-USD needs.
const DECIMALS: usize = 9;

/// Why a text is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is not a plain decimal.
    #[error("not a plain decimal of dollars, such as 0.25")]
    NotDecimal,
    /// It is finer than a nano-USD.
    #[error("more than nine decimals")]
    TooFine,
    /// It is above what can be counted: 9,223,372,036.854775807 dollars of an amount, twice that of a rate.
    #[error("above what can be counted")]
    TooLarge,
}

/// An amount of money in nano-USD; below zero for what is given back. Up to 9.2 billion dollars.
///
/// As text and in JSON it is a decimal string of dollars: `"250"`, `"0.000000001"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of whole nano-USD.
    pub const fn new(nanos: i64) -> Self {
        Self(nanos)
    }

    /// An amount of whole dollars; the largest one if it is above that.
    pub const fn dollars(dollars: u32) -> Self {
        Self((dollars as i64).saturating_mul(1_000_000_000))
    }

    /// The amount in nano-USD.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, if it is in range.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The difference, if it is in range.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The multiple, if it is in range.
    pub const fn checked_mul(self, times: i64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The sum, or the end of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or the end of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The multiple, or the end of the range.
    #[must_use]
    pub const fn saturating_mul(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is below nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// The sum of all, or the end of the range that it passed first.
impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let magnitude = i128::from(nanos(digits)?);
        let signed = if negative { -magnitude } else { magnitude };
        i64::try_from(signed).map(Self).map_err(|_| MoneyError::TooLarge)
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        decimal(f, self.0.unsigned_abs())
    }
}

/// The price of a million tokens in nano-USD. Up to 18 billion dollars, and never below zero.
///
/// As text and in JSON it is a decimal string of dollars: `"0.0375"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// Free of charge.
    pub const FREE: Self = Self(0);

    /// A rate of whole nano-USD a million tokens.
    pub const fn new(nanos_per_million: u64) -> Self {
        Self(nanos_per_million)
    }

    /// Nano-USD a million tokens; femto-USD (10⁻¹⁵ dollars) a token.
    pub const fn nanos_per_million(self) -> u64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        nanos(text).map(Self)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0)
    }
}

/// Reads digits, and behind a point up to nine more.
fn nanos(text: &str) -> Result<u64, MoneyError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(MoneyError::NotDecimal),
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(MoneyError::NotDecimal);
    }
    if fraction.len() > DECIMALS {
        return Err(MoneyError::TooFine);
    }
    let dollars: u64 = whole.parse().map_err(|_| MoneyError::TooLarge)?;
    let below = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(DECIMALS)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (dollars.checked_mul(NANOS))
        .and_then(|nanos| nanos.checked_add(below))
        .ok_or(MoneyError::TooLarge)
}

/// Writes dollars without trailing zeros.
fn decimal(f: &mut fmt::Formatter<'_>, nanos: u64) -> fmt::Result {
    let (dollars, below) = (nanos / NANOS, nanos % NANOS);
    if below == 0 {
        return write!(f, "{dollars}");
    }
    let below = format!("{below:09}");
    write!(f, "{dollars}.{}", below.trim_end_matches('0'))
}

macro_rules! as_string {
    ($type:ty, $expected:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

as_string!(NanoUsd, "a string with a decimal of dollars");
as_string!(Rate, "a string with the dollars of a million tokens");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_exactly() {
        for (text, nanos) in [
            ("0", 0),
            ("250.00", 250_000_000_000),
            ("0.1", 100_000_000),
            ("0.000000001", 1),
            ("-0.5", -500_000_000),
            ("9223372036.854775807", i64::MAX),
            ("-9223372036.854775808", i64::MIN),
            ("007", 7_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(NanoUsd::new(nanos)), "{text}");
        }
        assert_eq!("0.0375".parse(), Ok(Rate::new(37_500_000)));
        assert_eq!("18446744073.709551615".parse(), Ok(Rate::new(u64::MAX)));
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for (text, error) in [
            ("", MoneyError::NotDecimal),
            (".5", MoneyError::NotDecimal),
            ("5.", MoneyError::NotDecimal),
            ("+5", MoneyError::NotDecimal),
            ("--5", MoneyError::NotDecimal),
            ("1e3", MoneyError::NotDecimal),
            ("1,000", MoneyError::NotDecimal),
            ("1.2.3", MoneyError::NotDecimal),
            (" 1", MoneyError::NotDecimal),
            ("٣", MoneyError::NotDecimal),
            ("$1", MoneyError::NotDecimal),
            ("0.0000000001", MoneyError::TooFine),
            ("9223372036.854775808", MoneyError::TooLarge),
            ("99999999999999999999999", MoneyError::TooLarge),
        ] {
            assert_eq!(text.parse::<NanoUsd>(), Err(error), "{text}");
        }
        assert_eq!("-1".parse::<Rate>(), Err(MoneyError::NotDecimal));
        assert_eq!("18446744073.709551616".parse::<Rate>(), Err(MoneyError::TooLarge));
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let one = NanoUsd::new(1);
        assert_eq!(NanoUsd::MAX.checked_add(one), None);
        assert_eq!(NanoUsd::MAX.saturating_add(one), NanoUsd::MAX);
        assert_eq!(NanoUsd::new(i64::MIN).checked_sub(one), None);
        assert_eq!(NanoUsd::MAX.checked_mul(2), None);
        assert_eq!([NanoUsd::MAX, one, one].into_iter().sum::<NanoUsd>(), NanoUsd::MAX);
        assert_eq!(NanoUsd::dollars(2).nanos(), 2_000_000_000);
    }

    #[test]
    fn numbers_of_json_are_refused_since_they_would_be_floats() {
        assert!(serde_json::from_str::<NanoUsd>("1").is_err());
        assert!(serde_json::from_str::<Rate>("0.5").is_err());
        assert_eq!(serde_json::from_str::<Rate>("\"0.5\"").unwrap(), Rate::new(500_000_000));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nanos: i64, rate: u64) {
            let (amount, rate) = (NanoUsd::new(nanos), Rate::new(rate));
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let json = serde_json::to_string(&(amount, rate)).unwrap();
            prop_assert_eq!(serde_json::from_str::<(NanoUsd, Rate)>(&json).unwrap(), (amount, rate));
        }

        #[test]
        fn foreign_text_never_panics(text in "[-+0-9.eE]{0,40}|.{0,20}") {
            let _ = text.parse::<NanoUsd>();
            let _ = text.parse::<Rate>();
        }
    }
}
