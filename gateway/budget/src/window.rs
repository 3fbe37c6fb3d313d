//! Windows: over which time a limit counts. Pure functions of the limit, the time and the resets.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// How many steps a rolling window moves in over its own length. An amount counts for the length and up to one step more:
/// the error is 1/60 of the length, always on the safe side.
pub const ROLLING_STEPS: u64 = 60;

/// The shortest rolling window. Below it a rate limit is the right tool.
pub const SHORTEST_ROLLING: Duration = Duration::from_mins(1);

/// The longest rolling window.
pub const LONGEST_ROLLING: Duration = Duration::from_hours(24 * 366);

/// Why a window cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The name is in no IANA time zone database.
    #[error("{0:?} is no IANA time zone")]
    UnknownZone(String),
    /// A rolling window outside of [`SHORTEST_ROLLING`] to [`LONGEST_ROLLING`].
    #[error("a rolling window lasts from one minute to 366 days")]
    RollingLength,
    /// The calendar ends with the year 9999.
    #[error("the time lies outside of the calendar")]
    OutOfCalendar,
}

/// A unit of the calendar. Weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From the full hour of the zone's clock; a change of the clock inside an hour ends it.
    Hour,
    /// From midnight, or the first instant of a day without one. It lasts 23 or 25 hours where the clock changes.
    Day,
    /// From Monday.
    Week,
    /// From the first of the month.
    Month,
    /// From 1 January.
    Year,
}

impl CalendarUnit {
    const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// An IANA time zone, by the rules that are compiled into the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, such as `Europe/Berlin`.
    pub fn named(name: &str) -> Result<Self, WindowError> {
        TimeZoneDatabase::bundled()
            .get(name)
            .map(Self)
            .map_err(|_| WindowError::UnknownZone(name.to_owned()))
    }

    /// Coordinated universal time.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// Over which time a limit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// A unit of the calendar of a zone.
    Calendar {
        /// The unit.
        unit: CalendarUnit,
        /// Whose clock and calendar.
        zone: Zone,
    },
    /// The time up to now. Amounts leave it in [`ROLLING_STEPS`] steps.
    Rolling(Rolling),
}

/// The figures of a rolling window, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// For how long an amount counts at least.
    pub length: u64,
    /// In what steps amounts leave; an amount counts for up to one step longer than the length.
    pub step: u64,
}

impl Rolling {
    /// A rolling window of this length, in steps of [`ROLLING_STEPS`] parts of it.
    pub fn over(length: Duration) -> Result<Self, WindowError> {
        if length < SHORTEST_ROLLING || length > LONGEST_ROLLING {
            return Err(WindowError::RollingLength);
        }
        let length = u64::try_from(length.as_millis()).map_err(|_| WindowError::RollingLength)?;
        Ok(Self {
            length,
            step: length.div_ceil(ROLLING_STEPS),
        })
    }
}

/// What ends a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reset {
    /// Time does, and a person may before.
    Automatic,
    /// Only a person does: the window has no end until it is reset, whatever the calendar says.
    Manual,
}

/// The resets that people have asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resets {
    /// How many there were.
    pub count: u64,
    /// When the last one was, in milliseconds of Unix time; 0 when there was none.
    pub at: u64,
}

/// One window: what is spent in it is counted in one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Which window of its limit this is: unit, first instant and number of resets.
    pub id: String,
    /// First instant, in milliseconds of Unix time: of the calendar's window, or of the reset within it.
    pub start: u64,
    /// First instant after it; absent where time does not end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Set for rolling windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
}

impl Window {
    /// The window of which `at` (milliseconds of Unix time) is part.
    pub fn period(&self, reset: Reset, resets: Resets, at: u64) -> Result<Period, WindowError> {
        let (name, begin, end, rolling) = match (self, reset) {
            (Self::Rolling(rolling), _) => ("rolling", 0, None, Some(*rolling)),
            (Self::Calendar { .. }, Reset::Manual) => ("manual", 0, None, None),
            (Self::Calendar { unit, zone }, Reset::Automatic) => {
                let (start, end) = bounds(*unit, &zone.0, at)?;
                (unit.name(), start, Some(end), None)
            }
        };
        Ok(Period {
            id: format!("{name}-{begin}-{}", resets.count),
            start: begin.max(resets.at),
            end,
            rolling,
        })
    }

    /// The window before `period`, whose unspent part may be carried over; none where time does not end windows, and none
    /// after a reset within `period`.
    pub fn before(&self, reset: Reset, resets: Resets, period: &Period) -> Option<Period> {
        period.end?;
        if period.start <= resets.at {
            return None;
        }
        self.period(reset, resets, period.start.checked_sub(1)?).ok()
    }

    /// A name for this kind of window that stays the same when its limit's amount changes.
    pub fn name(&self, reset: Reset) -> String {
        let reset = match reset {
            Reset::Automatic => "",
            Reset::Manual => "/manual",
        };
        match self {
            Self::Calendar { unit, zone } => format!("{}/{}{reset}", unit.name(), zone.name()),
            Self::Rolling(rolling) => format!("rolling/{}{reset}", rolling.length),
        }
    }
}

fn bounds(unit: CalendarUnit, zone: &TimeZone, at: u64) -> Result<(u64, u64), WindowError> {
    let now = i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .ok_or(WindowError::OutOfCalendar)?;
    if unit == CalendarUnit::Hour {
        return hour(zone, now);
    }
    let today = zone.to_datetime(now).date();
    let first = match unit {
        CalendarUnit::Week => today.checked_sub(i32::from(today.weekday().to_monday_zero_offset()).days()),
        CalendarUnit::Month => Ok(today.first_of_month()),
        CalendarUnit::Year => Ok(today.first_of_year()),
        CalendarUnit::Day | CalendarUnit::Hour => Ok(today),
    };
    let length = match unit {
        CalendarUnit::Week => 1.week(),
        CalendarUnit::Month => 1.month(),
        CalendarUnit::Year => 1.year(),
        CalendarUnit::Day | CalendarUnit::Hour => 1.day(),
    };
    let first = first.map_err(|_| WindowError::OutOfCalendar)?;
    let next = first.checked_add(length).map_err(|_| WindowError::OutOfCalendar)?;
    Ok((midnight(first, zone)?, midnight(next, zone)?))
}

/// The first instant of a day; where the clock skips midnight that is later.
fn midnight(day: Date, zone: &TimeZone) -> Result<u64, WindowError> {
    let start = day.to_zoned(zone.clone()).map_err(|_| WindowError::OutOfCalendar)?;
    millis(start.timestamp())
}

/// The hour of the zone's clock around `now`. Where the clock changes within an hour, the change ends one window and begins the
/// next, so that windows never overlap.
fn hour(zone: &TimeZone, now: Timestamp) -> Result<(u64, u64), WindowError> {
    const HOUR: i64 = 3_600;
    let offset = i64::from(zone.to_offset(now).seconds());
    let start = (now.as_second() + offset).div_euclid(HOUR) * HOUR - offset;
    let mut bounds = (start, start + HOUR);
    // `preceding` is strict, and a change at this very instant begins a window.
    let after = now.checked_add(1.nanosecond()).unwrap_or(now);
    if let Some(change) = zone.preceding(after).next() {
        bounds.0 = bounds.0.max(change.timestamp().as_second());
    }
    if let Some(change) = zone.following(now).next() {
        bounds.1 = bounds.1.min(change.timestamp().as_second());
    }
    let at = |second| {
        Timestamp::from_second(second)
            .map_err(|_| WindowError::OutOfCalendar)
            .and_then(millis)
    };
    Ok((at(bounds.0)?, at(bounds.1)?))
}

/// Times before 1970 cannot occur: what is asked for is not negative, and windows that began before begin with 1970 here.
fn millis(at: Timestamp) -> Result<u64, WindowError> {
    u64::try_from(at.as_millisecond().max(0)).map_err(|_| WindowError::OutOfCalendar)
}

#[cfg(test)]
mod tests;
