use std::time::Duration;

use super::*;
use crate::meter::UpstreamErrorKind;

const RULE: Rule = Rule {
    consecutive_errors: 1,
    eject_for: Duration::from_mins(1),
};

fn plain() -> Wants {
    Wants::default()
}

fn candidates(weights: &[(u32, Option<u32>)]) -> Candidates {
    with_fallbacks(weights, false)
}

fn with_fallbacks(weights: &[(u32, Option<u32>)], fallbacks: bool) -> Candidates {
    let candidate = |(weight, max): &(u32, Option<u32>)| Candidate {
        provider: Arc::new(Live::new(*max)),
        weight: *weight,
        rule: Some(RULE),
        key: 0,
        distance: 0,
    };
    Candidates::new(weights.iter().map(candidate), SelectionMode::Weighted, fallbacks)
}

fn take_out(candidates: &Candidates, at: usize) {
    let breaker = &candidates.backends[at].provider.breaker;
    breaker.trip(
        breaker.pass().epoch(),
        Instant::now(),
        &RULE,
        UpstreamErrorKind::Connect,
    );
}

fn take_back_in(candidates: &Candidates, at: usize) {
    let breaker = &candidates.backends[at].provider.breaker;
    breaker.succeeded(&breaker.pass(), Instant::now(), &RULE);
}

#[test]
fn a_backend_that_is_out_gets_nothing_while_another_is_well() {
    let candidates = candidates(&[(1_000_000, None), (1, Some(1))]);
    take_out(&candidates, 0);
    assert_eq!(candidates.choose(3, &plain()), Some(Choice::Backend(1)));
    assert_eq!(
        candidates.choose(3, &plain()),
        None,
        "a full one that is well is waited for"
    );
    assert_eq!(
        candidates.choose(1, &plain()),
        Some(Choice::Backend(0)),
        "there is nothing better"
    );
}

#[test]
fn with_fallbacks_nobody_waits_for_backends_that_are_out() {
    let candidates = with_fallbacks(&[(1, None), (1, None)], true);
    take_out(&candidates, 0);
    assert_eq!(candidates.choose(3, &plain()), Some(Choice::Backend(1)));
    take_out(&candidates, 1);
    assert_eq!(candidates.choose(3, &plain()), Some(Choice::Fallbacks));
    assert!(candidates.acquire(3, &plain()).is_some());
}

#[test]
fn a_backend_that_came_back_begins_with_a_tenth_of_its_share() {
    let candidates = candidates(&[(1, None), (1, None)]);
    take_out(&candidates, 0);
    take_back_in(&candidates, 0);
    let first = (0..11_000)
        .filter(|_| candidates.acquire(3, &plain()) == Some(0))
        .count();
    // A tenth to one is an eleventh; five standard deviations are 150, and the share has grown a little meanwhile.
    assert!((850..=1250).contains(&first), "{first}");
}

#[test]
fn backends_are_chosen_in_proportion_to_their_weights() {
    let candidates = candidates(&[(90, None), (10, None), (0, None)]);
    let mut counts = [0_u32; 3];
    for _ in 0..10_000 {
        counts[candidates.acquire(u64::MAX, &plain()).unwrap()] += 1;
    }
    // Five standard deviations of a binomial with n = 10,000 and p = 0.1 are 150.
    assert!((850..=1150).contains(&counts[1]), "{counts:?}");
    assert_eq!(counts[2], 0);
}

#[test]
fn a_full_backend_is_passed_over_and_none_free_gives_none() {
    let candidates = candidates(&[(1_000_000, Some(1)), (1, Some(1))]);
    let mut got = [
        candidates.acquire(3, &plain()).unwrap(),
        candidates.acquire(3, &plain()).unwrap(),
    ];
    got.sort_unstable();
    assert_eq!(got, [0, 1]);
    assert_eq!(candidates.acquire(3, &plain()), None);
    candidates.release(1, &plain());
    assert_eq!(
        candidates.acquire(1, &plain()),
        None,
        "the free one is not among those asked for"
    );
    assert_eq!(candidates.acquire(3, &plain()), Some(1));
}

fn chosen_by(mode: SelectionMode, weights: &[u32]) -> Candidates {
    let candidate = |(n, weight): (usize, &u32)| Candidate {
        provider: Arc::new(Live::new(None)),
        weight: *weight,
        rule: None,
        key: n as u64,
        distance: 0,
    };
    Candidates::new(weights.iter().enumerate().map(candidate), mode, false)
}

fn of(tokens: u64) -> Wants {
    Wants {
        tokens,
        ..Wants::default()
    }
}

#[test]
fn the_backend_with_the_fewest_tokens_for_its_weight_gets_the_next_request() {
    let candidates = chosen_by(SelectionMode::LeastOutstandingTokens, &[1, 3, 1]);
    let large = of(9_000);
    let at = candidates.acquire(0b101, &large).unwrap();
    let other = 2 - at;
    for _ in 0..9 {
        assert_eq!(
            candidates.acquire(0b101, &of(900)),
            Some(other),
            "ten small ones are less than a large one"
        );
    }
    candidates.release(at, &large);
    assert_eq!(candidates.acquire(0b101, &of(900)), Some(at));
    let shares = (0..100)
        .filter(|_| candidates.acquire(0b010, &of(100)) == Some(1))
        .count();
    assert_eq!((shares, candidates.backends[1].provider.load.tokens()), (100, 10_000));
}

#[test]
fn the_backend_that_answers_sooner_gets_more_and_one_that_is_unknown_is_tried() {
    let candidates = chosen_by(SelectionMode::LeastLatency, &[1, 1, 1]);
    let now = Instant::now();
    let stream = Wants {
        stream: true,
        ..Wants::default()
    };
    candidates.backends[0]
        .provider
        .load
        .answered(true, Duration::from_millis(900), now);
    candidates.backends[1]
        .provider
        .load
        .answered(true, Duration::from_millis(100), now);
    let mut counts = [0; 3];
    for _ in 0..300 {
        let at = candidates.acquire(7, &stream).unwrap();
        counts[at] += 1;
        candidates.release(at, &stream);
    }
    assert_eq!(counts[0], 0, "of two, the slowest is never the faster one");
    assert!(counts[2] > counts[1], "{counts:?}");
    // Nine requests at the fast one are as long to wait for as one at the slow one.
    for _ in 0..9 {
        candidates.acquire(2, &stream).unwrap();
    }
    assert_eq!(candidates.acquire(3, &stream), Some(0));
}

#[test]
fn what_is_sticky_stays_where_it_is_while_that_is_well() {
    let candidates = with_keys(&[1, 1, 1]);
    let session = |n: u64| Wants {
        affinity: Some(crate::selection::Hash64::of(&n.to_le_bytes())),
        ..Wants::default()
    };
    let before: Vec<_> = (0..60).map(|n| candidates.acquire(7, &session(n)).unwrap()).collect();
    assert!((0..3).all(|backend| before.contains(&backend)));
    take_out(&candidates, 0);
    for (n, before) in (0..60).zip(before) {
        let now = candidates.acquire(7, &session(n)).unwrap();
        assert!(if before == 0 { now != 0 } else { now == before });
    }
}

fn with_keys(weights: &[u32]) -> Candidates {
    let mut candidates = chosen_by(SelectionMode::Weighted, weights);
    for candidate in &mut candidates.backends {
        candidate.rule = Some(RULE);
    }
    candidates
}

/// Backends at these distances, each with room for one request.
fn at_distances(distances: &[u32], fallbacks: bool) -> Candidates {
    with_room(distances, Some(1), fallbacks)
}

fn with_room(distances: &[u32], max: Option<u32>, fallbacks: bool) -> Candidates {
    let candidate = |distance: &u32| Candidate {
        provider: Arc::new(Live::new(max)),
        weight: 1,
        rule: Some(RULE),
        key: u64::from(*distance),
        distance: *distance,
    };
    Candidates::new(distances.iter().map(candidate), SelectionMode::Weighted, fallbacks)
}

#[test]
fn a_farther_backend_gets_something_only_while_no_nearer_one_is_well_and_has_room() {
    for _ in 0..20 {
        let candidates = at_distances(&[7, 0, 3, 0], true);
        take_out(&candidates, 3);
        let chosen = || match candidates.choose(15, &plain()) {
            Some(Choice::Backend(at)) => Some(at),
            _ => None,
        };
        assert_eq!(
            [chosen(), chosen(), chosen(), chosen()],
            [Some(1), Some(2), Some(0), None]
        );
        candidates.release(1, &plain());
        assert_eq!(chosen(), Some(1), "as soon as it has room");
    }
}

/// How many of 11,000 requests each backend gets.
fn counts(candidates: &Candidates) -> Vec<usize> {
    let mut counts = vec![0; candidates.backends.len()];
    for _ in 0..11_000 {
        counts[candidates.acquire(u64::MAX, &plain()).unwrap()] += 1;
    }
    counts
}

#[test]
fn a_near_backend_that_came_back_gets_a_tenth_and_the_next_ones_get_the_rest() {
    // Alone at its distance: the rest goes on to the next one, and not to the one after that.
    let candidates = with_room(&[7, 0, 3], None, false);
    take_out(&candidates, 1);
    take_back_in(&candidates, 1);
    let got = counts(&candidates);
    // Five standard deviations are 160, and the share has grown a little meanwhile.
    assert!((940..=1400).contains(&got[1]) && got[0] == 0, "{got:?}");
    // Beside another one at its distance: the rest stays there.
    let candidates = with_room(&[0, 0, 3], None, false);
    take_out(&candidates, 1);
    take_back_in(&candidates, 1);
    let got = counts(&candidates);
    assert!((850..=1250).contains(&got[1]) && got[2] == 0, "{got:?}");
    // Both came back, at either distance: a tenth, a tenth of what is left, and the rest to whom there is nobody after.
    let candidates = with_room(&[0, 3], None, false);
    for at in [0, 1] {
        take_out(&candidates, at);
        take_back_in(&candidates, at);
    }
    let got = counts(&candidates);
    assert!(got[1] >= 850 && got[0] >= 8_800, "{got:?}");
    // Nothing else is there: it gets everything, as there is nobody for the rest.
    assert!((0..100).all(|_| candidates.acquire(1, &plain()) == Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_near_backend_that_came_back_has_its_whole_share_after_as_long_as_it_was_out() {
    let candidates = with_room(&[0, 3], None, false);
    take_out(&candidates, 0);
    take_back_in(&candidates, 0);
    tokio::time::advance(RULE.eject_for / 2).await;
    let half = counts(&candidates)[0];
    assert!((5_700..=6_400).contains(&half), "0.55 of 11,000: {half}");
    tokio::time::advance(RULE.eject_for / 2).await;
    assert_eq!(counts(&candidates), [11_000, 0]);
}

#[test]
fn sessions_go_home_at_once_when_their_backend_comes_back() {
    let candidates = with_room(&[1, 0], None, false);
    take_out(&candidates, 1);
    take_back_in(&candidates, 1);
    let session = Wants {
        affinity: Some(7),
        ..Wants::default()
    };
    assert!((0..100).all(|_| candidates.acquire(3, &session) == Some(1)));
}

#[test]
fn sessions_stay_near_too() {
    let candidates = at_distances(&[1, 0], false);
    for affinity in 0..50 {
        let wants = Wants {
            affinity: Some(affinity),
            ..Wants::default()
        };
        assert_eq!(candidates.acquire(3, &wants), Some(1));
        candidates.release(1, &wants);
    }
}

#[test]
fn no_farther_than_a_backend_are_those_of_its_own_distance_and_nearer_ones() {
    let candidates = at_distances(&[7, 0, 3, 0], false);
    let sets: Vec<BackendSet> = (0..4).map(|at| candidates.no_farther(at, 15)).collect();
    assert_eq!(sets, [0b1111, 0b1010, 0b1110, 0b1010]);
    assert_eq!(candidates.no_farther(1, 0b0101), 0);
    let alike = at_distances(&[2, 2], false);
    assert_eq!(alike.no_farther(0, 3), 3);
}
