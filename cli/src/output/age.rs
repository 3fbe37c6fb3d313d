//! Spans of time as people read them.

use k8s_openapi::jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long ago something was, in one unit of two or three digits: `90s`, `12m`, `30h`, `4d`. What is to come is `0s`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / MINUTE),
        7_200..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// The same for Unix time in milliseconds; empty for a time that no clock shows.
pub fn since_unix_ms(then: u64, now: Timestamp) -> String {
    let then = i64::try_from(then)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    then.map_or_else(String::new, |then| ago(then, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_one_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now), text);
        }
        assert_eq!(since_unix_ms(u64::MAX, now), "");
    }
}
