use super::*;

const RULE: Rule = Rule {
    consecutive_errors: 3,
    eject_for: Duration::from_secs(10),
};

/// No connection.
const REFUSED: Trouble<'_> = Trouble {
    error: UpstreamErrorKind::Connect,
    loss: None,
};
/// An answer that broke off by itself.
const BROKEN: Trouble<'_> = Trouble {
    error: UpstreamErrorKind::Interrupted,
    loss: None,
};

fn fail(breaker: &Breaker, now: Instant, times: u32) {
    for _ in 0..times {
        let pass = breaker.enter(now, &RULE).expect("it is in");
        breaker.failed(&pass, now, &RULE, REFUSED, || true);
    }
}

/// A request is let through, now if need be as a trial, and answered.
fn answered(breaker: &Breaker, now: Instant) -> Epoch {
    let pass = breaker.enter(now, &RULE).expect("it is in, or may be tried");
    breaker.succeeded(&pass, now, &RULE)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn failures_in_a_row_take_out_and_a_success_between_them_starts_anew() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    fail(&breaker, start, 2);
    answered(&breaker, start);
    fail(&breaker, start, 2);
    assert_eq!(breaker.standing(start), Standing::In);
    fail(&breaker, start, 1);
    assert_eq!(breaker.standing(start), Standing::Out);
    assert!(breaker.enter(start + seconds(9), &RULE).is_none());
    let outage = breaker.outage().unwrap();
    assert_eq!((outage.error, outage.errors), (UpstreamErrorKind::Connect, 3));
    assert_eq!(breaker.stands_for(start + seconds(4)), seconds(4));
}

#[test]
fn after_its_time_one_request_at_a_time_tries_it() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    fail(&breaker, start, 3);
    let later = start + seconds(10);
    assert_eq!(breaker.standing(later), Standing::Trial);
    let trial = breaker.enter(later, &RULE).unwrap();
    assert!(breaker.enter(later, &RULE).is_none(), "somebody tries it already");
    breaker.failed(&trial, later, &RULE, REFUSED, || true);
    assert_eq!(breaker.standing(later + seconds(9)), Standing::Out);
    let again = later + seconds(11);
    let trial = breaker.enter(again, &RULE).unwrap();
    breaker.given_up(&trial, again);
    let trial = breaker
        .enter(again, &RULE)
        .expect("a trial that was given up is free again");
    breaker.succeeded(&trial, again, &RULE);
    assert_eq!(breaker.standing(again), Standing::In);
}

#[test]
fn what_comes_back_gets_its_share_slowly() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    assert!((breaker.share(start, &RULE) - 1.0).abs() < 1e-9);
    fail(&breaker, start, 3);
    let back = start + seconds(10);
    answered(&breaker, back);
    for (after, expected) in [(0, 0.1), (5, 0.55), (10, 1.0), (11, 1.0)] {
        let share = breaker.share(back + seconds(after), &RULE);
        assert!((share - expected).abs() < 0.01, "{share} after {after} s");
    }
}

#[test]
fn answers_that_break_off_in_a_row_take_out_although_each_began() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    let stream = |now, whole| {
        let epoch = answered(&breaker, now);
        if whole {
            breaker.came_whole(epoch);
            return false;
        }
        breaker.broke_off(epoch, now, &RULE, BROKEN, || true)
    };
    assert!(!stream(start, false) && !stream(start, false) && !stream(start, true));
    assert!(
        !stream(start, false) && !stream(start, false),
        "a whole one started anew"
    );
    assert!(stream(start, false));
    let outage = breaker.outage().unwrap();
    assert_eq!((outage.error, outage.errors), (UpstreamErrorKind::Interrupted, 3));
    // The one that tries it takes it in as soon as it begins, and its break takes it out again.
    let later = start + seconds(10);
    assert!(stream(later, false));
    assert_eq!(breaker.standing(later), Standing::Out);
    assert!(!stream(later + seconds(10), true));
    assert_eq!(breaker.standing(later + seconds(10)), Standing::In);
    assert!(!breaker.is_bad(later + seconds(10), &RULE));
}

#[test]
fn nothing_is_taken_out_against_the_will_of_the_group_and_late_failures_do_not_prolong() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    let late = breaker.enter(start, &RULE).unwrap();
    for _ in 0..9 {
        let pass = breaker.enter(start, &RULE).unwrap();
        assert!(!breaker.failed(&pass, start, &RULE, REFUSED, || false));
    }
    assert!(breaker.is_bad(start, &RULE));
    assert_eq!(breaker.standing(start), Standing::In);
    fail(&breaker, start, 1);
    breaker.failed(&late, start + seconds(9), &RULE, REFUSED, || true);
    assert_eq!(breaker.standing(start + seconds(10)), Standing::Trial);
}

#[test]
fn many_threads_get_one_trial_between_them() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    fail(&breaker, start, 3);
    let trials: usize = std::thread::scope(|scope| {
        let enter = || {
            (0..1_000)
                .filter(|_| breaker.enter(start + seconds(10), &RULE).is_some())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(trials, 1);
}

#[test]
fn what_is_lost_with_one_connection_counts_once_and_what_is_lost_with_several_as_often() {
    let start = Instant::now();
    let part_of = |loss| Trouble {
        error: UpstreamErrorKind::Interrupted,
        loss: Some(loss),
    };
    // Streams and requests that still wait, all of them on one connection: one break and one failure.
    let (breaker, loss) = (Breaker::new(start), Loss::default());
    for _ in 0..20 {
        let pass = breaker.enter(start, &RULE).unwrap();
        assert!(!breaker.broke_off(pass.epoch(), start, &RULE, part_of(&loss), || true));
        assert!(!breaker.failed(&pass, start, &RULE, part_of(&loss), || true));
    }
    assert_eq!(breaker.standing(start), Standing::In);
    // The second is another connection's, and so is the third.
    let second = Loss::default();
    assert!(!breaker.broke_off(breaker.pass().epoch(), start, &RULE, part_of(&second), || true));
    assert!(breaker.broke_off(breaker.pass().epoch(), start, &RULE, BROKEN, || true));

    let breaker = Breaker::new(start);
    let losses: [Loss; 3] = Default::default();
    let out = losses
        .each_ref()
        .map(|loss| breaker.failed(&breaker.pass(), start, &RULE, part_of(loss), || true));
    assert_eq!(out, [false, false, true]);
}

#[test]
fn a_trial_that_is_lost_with_its_connection_decides_whoever_was_on_it_besides() {
    let start = Instant::now();
    let (breaker, loss) = (Breaker::new(start), Loss::default());
    fail(&breaker, start, 3);
    let later = start + seconds(10);
    let trial = breaker.enter(later, &RULE).unwrap();
    let trouble = Trouble {
        loss: Some(&loss),
        ..REFUSED
    };
    breaker.failed(&breaker.pass(), later, &RULE, trouble, || true);
    breaker.failed(&trial, later, &RULE, trouble, || true);
    breaker.given_up(&trial, later);
    assert_eq!(breaker.standing(later + seconds(9)), Standing::Out);
}

#[test]
fn what_began_before_it_was_taken_out_or_back_in_says_nothing() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    let (old, streams) = (breaker.pass(), breaker.pass().epoch());
    fail(&breaker, start, 3);
    // It is out: a late answer of before does not take it in.
    assert_eq!(breaker.succeeded(&old, start + seconds(1), &RULE), streams);
    assert_eq!(breaker.standing(start + seconds(1)), Standing::Out);
    let forced = breaker.pass();
    let back = start + seconds(10);
    let trial = answered(&breaker, back);
    assert_eq!(breaker.standing(back), Standing::In);
    // It is back: neither streams of before, nor what was sent while it was out, take it out.
    for _ in 0..20 {
        assert!(!breaker.broke_off(streams, back, &RULE, BROKEN, || true));
        assert!(!breaker.failed(&old, back, &RULE, REFUSED, || true));
        assert!(!breaker.failed(&forced, back, &RULE, REFUSED, || true));
        assert!(!breaker.trip(streams, back, &RULE, UpstreamErrorKind::Connect));
    }
    assert!(!breaker.is_bad(back, &RULE));
    // A row of now is not ended by an old stream that comes whole, and the trial's own stream is one of now.
    assert!(!breaker.broke_off(trial, back, &RULE, BROKEN, || true));
    assert!(!breaker.broke_off(trial, back, &RULE, BROKEN, || true));
    breaker.came_whole(streams);
    assert!(breaker.broke_off(trial, back, &RULE, BROKEN, || true));
}

#[test]
fn another_rule_or_none_judges_only_what_begins_under_it() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    let streams = breaker.pass().epoch();
    fail(&breaker, start, 2);
    breaker.judge_anew();
    fail(&breaker, start, 2);
    assert_eq!(
        breaker.standing(start),
        Standing::In,
        "two of another rule are none of this one"
    );
    answered(&breaker, start);
    for _ in 0..20 {
        assert!(!breaker.broke_off(streams, start, &RULE, BROKEN, || true));
    }
    let streams = breaker.pass().epoch();
    breaker.reset(start);
    for _ in 0..20 {
        assert!(!breaker.broke_off(streams, start, &RULE, BROKEN, || true));
    }
    assert_eq!(breaker.standing(start), Standing::In);
    // What is out stays so under a new rule, and a trial that ran is as if given up.
    fail(&breaker, start, 3);
    breaker.judge_anew();
    assert_eq!(breaker.standing(start + seconds(9)), Standing::Out);
    assert_eq!(breaker.outage().unwrap().errors, 3);
    answered(&breaker, start + seconds(10));
    assert_eq!(breaker.standing(start + seconds(10)), Standing::In);
}

#[test]
fn answers_that_broke_off_long_ago_speak_against_nothing() {
    let start = Instant::now();
    let breaker = Breaker::new(start);
    let broken = |now| breaker.broke_off(breaker.pass().epoch(), now, &RULE, BROKEN, || false);
    for _ in 0..3 {
        broken(start);
    }
    assert!(breaker.is_bad(start + seconds(9), &RULE));
    assert!(
        !breaker.is_bad(start + seconds(10), &RULE),
        "for longer it would not be out"
    );

    // Answers in one piece take back in what was out for broken streams: it is as good as any then.
    let breaker = Breaker::new(start);
    for _ in 0..3 {
        breaker.broke_off(breaker.pass().epoch(), start, &RULE, BROKEN, || true);
    }
    let back = start + seconds(10);
    let epoch = answered(&breaker, back);
    assert!(!breaker.is_bad(back, &RULE));
    // And the next stream that breaks off takes it out again, unless that is in another hour.
    let day = start + Duration::from_hours(24);
    assert!(!breaker.broke_off(epoch, day, &RULE, BROKEN, || true));
    assert!(!breaker.broke_off(epoch, day, &RULE, BROKEN, || true));
    assert!(breaker.broke_off(epoch, day, &RULE, BROKEN, || true));
}
