use proptest::prelude::*;

use super::*;

fn at(text: &str) -> u64 {
    let time: Timestamp = text.parse().expect("a time");
    u64::try_from(time.as_millisecond()).expect("after 1970")
}

fn calendar(unit: CalendarUnit, zone: &str) -> Window {
    Window::Calendar {
        unit,
        zone: Zone::named(zone).expect("a zone"),
    }
}

fn bounds_of(unit: CalendarUnit, zone: &str, time: &str) -> (u64, u64) {
    let period = calendar(unit, zone)
        .period(Reset::Automatic, Resets::default(), at(time))
        .expect("a window");
    (period.start, period.end.expect("an end"))
}

#[test]
fn days_follow_the_clock_of_the_zone_through_its_changes() {
    let spring = bounds_of(CalendarUnit::Day, "Europe/Berlin", "2026-03-29T12:00:00Z");
    assert_eq!(spring, (at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")));
    let autumn = bounds_of(CalendarUnit::Day, "Europe/Berlin", "2026-10-25T12:00:00Z");
    assert_eq!(autumn, (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")));
}

#[test]
fn a_day_without_midnight_begins_with_its_first_instant() {
    let day = bounds_of(CalendarUnit::Day, "America/Santiago", "2026-09-06T12:00:00Z");
    assert_eq!(day.0, at("2026-09-06T04:00:00Z"));
}

#[test]
fn weeks_begin_on_monday_and_months_on_the_first() {
    let week = bounds_of(CalendarUnit::Week, "UTC", "2026-11-22T23:59:59Z");
    assert_eq!(week, (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z")));
    let month = bounds_of(CalendarUnit::Month, "Asia/Tokyo", "2026-11-30T15:00:00Z");
    assert_eq!(month, (at("2026-11-30T15:00:00Z"), at("2026-12-31T15:00:00Z")));
    let year = bounds_of(CalendarUnit::Year, "America/New_York", "2026-07-01T00:00:00Z");
    assert_eq!(year, (at("2026-01-01T05:00:00Z"), at("2027-01-01T05:00:00Z")));
}

#[test]
fn an_hour_that_the_clock_repeats_is_two_windows() {
    let first = bounds_of(CalendarUnit::Hour, "Europe/Berlin", "2026-10-25T00:30:00Z");
    let second = bounds_of(CalendarUnit::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z");
    assert_eq!(first, (at("2026-10-25T00:00:00Z"), at("2026-10-25T01:00:00Z")));
    assert_eq!(second, (at("2026-10-25T01:00:00Z"), at("2026-10-25T02:00:00Z")));
    // Half an hour is skipped on Lord Howe Island: at half past three in the afternoon of UTC.
    let cut = bounds_of(CalendarUnit::Hour, "Australia/Lord_Howe", "2026-10-03T15:29:00Z");
    let rest = bounds_of(CalendarUnit::Hour, "Australia/Lord_Howe", "2026-10-03T15:30:00Z");
    assert_eq!(cut.1, at("2026-10-03T15:30:00Z"));
    assert_eq!(rest, (at("2026-10-03T15:30:00Z"), at("2026-10-03T16:00:00Z")));
}

#[test]
fn a_reset_begins_a_window_of_its_own_and_ends_what_is_carried_over() {
    let month = calendar(CalendarUnit::Month, "UTC");
    let time = at("2026-11-21T12:00:00Z");
    let none = Resets::default();
    let once = Resets {
        count: 1,
        at: at("2026-11-20T00:00:00Z"),
    };
    let before = month.period(Reset::Automatic, none, time).expect("a window");
    let after = month.period(Reset::Automatic, once, time).expect("a window");
    assert_ne!(before.id, after.id);
    assert_eq!((after.start, after.end), (once.at, before.end));
    assert!(month.before(Reset::Automatic, none, &before).is_some());
    assert_eq!(month.before(Reset::Automatic, once, &after), None);
}

#[test]
fn a_manual_window_lasts_until_it_is_reset() {
    let month = calendar(CalendarUnit::Month, "UTC");
    let now = month.period(Reset::Manual, Resets::default(), at("2026-11-21T12:00:00Z"));
    let later = month.period(Reset::Manual, Resets::default(), at("2029-01-01T12:00:00Z"));
    assert_eq!(now, later);
    assert_eq!(now.expect("a window").end, None);
}

#[test]
fn what_is_no_window_is_refused() {
    assert_eq!(
        Zone::named("Europe/Atlantis"),
        Err(WindowError::UnknownZone("Europe/Atlantis".to_owned()))
    );
    assert_eq!(Rolling::over(Duration::from_secs(59)), Err(WindowError::RollingLength));
    let year = calendar(CalendarUnit::Year, "UTC");
    for time in [u64::MAX, at("9999-12-30T00:00:00Z")] {
        assert_eq!(
            year.period(Reset::Automatic, Resets::default(), time),
            Err(WindowError::OutOfCalendar)
        );
    }
}

#[test]
fn kinds_of_windows_have_names_of_their_own() {
    let month = calendar(CalendarUnit::Month, "Europe/Berlin");
    assert_eq!(month.name(Reset::Automatic), "month/Europe/Berlin");
    assert_eq!(month.name(Reset::Manual), "month/Europe/Berlin/manual");
    let rolling = Window::Rolling(Rolling::over(Duration::from_hours(1)).expect("a length"));
    assert_eq!(rolling.name(Reset::Automatic), "rolling/3600000");
}

fn units() -> impl Strategy<Value = CalendarUnit> {
    prop::sample::select(vec![
        CalendarUnit::Hour,
        CalendarUnit::Day,
        CalendarUnit::Week,
        CalendarUnit::Month,
        CalendarUnit::Year,
    ])
}

proptest! {
    #[test]
    fn windows_of_a_calendar_follow_on_each_other_without_gap_or_overlap(
        unit in units(),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]),
        time in 1_300_000_000_000_u64..2_500_000_000_000,
    ) {
        let window = calendar(unit, zone);
        let period = |at| window.period(Reset::Automatic, Resets::default(), at).expect("a window");
        let here = period(time);
        let end = here.end.expect("an end");
        prop_assert!(here.start <= time && time < end);
        prop_assert_eq!(&period(here.start), &here);
        prop_assert_eq!(&period(end - 1), &here);
        prop_assert_eq!(period(end).start, end);
        prop_assert_eq!(period(here.start - 1).end, Some(here.start));
        prop_assert_eq!(window.before(Reset::Automatic, Resets::default(), &here), Some(period(here.start - 1)));
    }
}
