//! How old a value is, whatever the gateway's clock says.
//!
//! A frame says when its values were measured, by the gateway's clock, which may be wrong by any amount. The difference
//! between a frame's arrival and its measurement is that error plus the time on the way. The smallest difference seen
//! is the error plus the shortest way, so a frame that differs by more was delayed by the rest, and is that much older
//! than it looks: frames that pile up behind a stalled connection are not taken for fresh ones, and a gateway that sends
//! the same measurement again and again grows old.
//!
//! The smallest difference may creep up by [`DRIFT`], so that clocks that run at different speeds stay in step.

use std::time::Duration;

/// Share of the elapsed time by which the smallest difference may grow: 1 percent, twenty times what a clock that is
/// being slewed by NTP drifts, and small enough that a frozen measurement is found out.
const DRIFT: f64 = 0.01;

/// Maps one gateway's clock onto the local monotonic clock. One for each connection.
#[derive(Debug, Clone, Default)]
pub struct ClockMap {
    state: Option<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Smallest difference of arrival and measurement, in milliseconds.
    offset: f64,
    received: Duration,
    measured_ms: u64,
}

impl ClockMap {
    /// Takes a frame in and returns when it was measured on the local monotonic clock: never later than `received`.
    pub fn measured(&mut self, received: Duration, measured_unix_ms: u64) -> Duration {
        let difference = received.as_secs_f64() * 1_000.0 - measured_unix_ms as f64;
        let offset = match self.state {
            // A clock that went backwards was set; what was learned of it no longer holds.
            Some(last) if measured_unix_ms >= last.measured_ms => {
                let elapsed = received.saturating_sub(last.received).as_secs_f64() * 1_000.0;
                difference.min(last.offset + elapsed * DRIFT)
            }
            _ => difference,
        };
        self.state = Some(State {
            offset,
            received,
            measured_ms: measured_unix_ms,
        });
        let late = Duration::try_from_secs_f64((difference - offset) / 1_000.0).unwrap_or_default();
        received.saturating_sub(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_clock_that_is_a_day_off_makes_nothing_older() {
        for skew in [0, DAY_MS] {
            let mut map = ClockMap::default();
            for tick in 0..100 {
                let received = ms(10_000 + tick * 250);
                assert_eq!(map.measured(received, 20 * DAY_MS - skew + tick * 250), received);
            }
        }
    }

    #[test]
    fn a_frame_that_was_held_up_is_as_old_as_its_delay() {
        let mut map = ClockMap::default();
        map.measured(ms(10_000), 1_000_000);
        let measured = map.measured(ms(13_000), 1_000_250);
        let age = ms(13_000).saturating_sub(measured);
        assert!(age > ms(2_700) && age <= ms(2_750), "{age:?}");
    }

    #[test]
    fn a_measurement_that_stands_still_grows_old() {
        let mut map = ClockMap::default();
        let mut age = Duration::ZERO;
        for tick in 0..240 {
            let received = ms(tick * 250);
            age = received.saturating_sub(map.measured(received, 1_000_000));
        }
        assert!(age > Duration::from_secs(59), "{age:?}");
    }

    #[test]
    fn clocks_that_drift_apart_stay_in_step() {
        let mut map = ClockMap::default();
        let mut age = Duration::ZERO;
        for tick in 0_u64..400_000 {
            let received = ms(tick * 250);
            // 500 ppm slow for more than a day.
            let measured = 1_000_000 + tick * 250 - tick * 250 / 2_000;
            age = received.saturating_sub(map.measured(received, measured));
        }
        assert!(age < ms(10), "{age:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_is_learned_anew() {
        let mut map = ClockMap::default();
        map.measured(ms(1_000), 5_000_000);
        assert_eq!(map.measured(ms(1_250), 1_000_000), ms(1_250));
        assert_eq!(map.measured(ms(1_500), 1_000_250), ms(1_500));
    }

    #[test]
    fn an_absurd_time_does_no_harm() {
        let mut map = ClockMap::default();
        for measured in [u64::MAX, 0, u64::MAX, 7] {
            assert!(map.measured(ms(1_000), measured) <= ms(1_000));
        }
    }
}
