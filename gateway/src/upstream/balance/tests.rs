use std::time::Duration;

use super::*;
use crate::meter::UpstreamErrorKind;

const RULE: Rule = Rule {
    consecutive_errors: 2,
    eject_for: Duration::from_secs(10),
};

fn addresses(ports: &[u16]) -> Arc<[SocketAddr]> {
    ports
        .iter()
        .map(|port| SocketAddr::from(([127, 0, 0, 1], *port)))
        .collect()
}

fn take(balancer: &Balancer, ready: &Arc<[SocketAddr]>, failed: &[SocketAddr]) -> (Outstanding, SocketAddr) {
    let (outstanding, tried) = balancer.choose(ready, failed, &Wants::default(), Some(&RULE)).unwrap();
    (outstanding, tried.address())
}

const REFUSED: Trouble<'_> = Trouble {
    error: UpstreamErrorKind::Connect,
    loss: None,
};
const BROKEN: Trouble<'_> = Trouble {
    error: UpstreamErrorKind::Interrupted,
    loss: None,
};

/// A request to each endpoint in turn fails until it has failed at all of them as often as it takes.
fn fail(balancer: &Balancer, ready: &Arc<[SocketAddr]>, at: SocketAddr) -> Consequence {
    let others: Vec<_> = ready.iter().copied().filter(|address| *address != at).collect();
    let (_outstanding, tried) = balancer.choose(ready, &others, &Wants::default(), Some(&RULE)).unwrap();
    assert_eq!(tried.address(), at);
    balancer.failed(&tried, &RULE, REFUSED)
}

/// A request to this endpoint is answered; its answer may break off then.
fn answer(balancer: &Balancer, ready: &Arc<[SocketAddr]>, at: SocketAddr, breaks: bool) -> Consequence {
    let others: Vec<_> = ready.iter().copied().filter(|address| *address != at).collect();
    let (_outstanding, tried) = balancer.choose(ready, &others, &Wants::default(), Some(&RULE)).unwrap();
    assert_eq!(tried.address(), at);
    let (endpoint, epoch) = tried.succeeded(&RULE);
    if breaks {
        balancer.broke_off(&endpoint, epoch, &RULE, BROKEN)
    } else {
        Consequence::None
    }
}

#[test]
fn requests_spread_evenly_and_a_free_endpoint_is_found() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2, 3]));
    let mut held: Vec<_> = (0..9).map(|_| take(&balancer, &ready, &[])).collect();
    for address in ready.iter() {
        assert_eq!(held.iter().filter(|(_, at)| at == address).count(), 3);
    }
    held.retain(|(_, at)| *at != ready[1]);
    assert_eq!(take(&balancer, &ready, &[]).1, ready[1]);
}

#[test]
fn equal_endpoints_all_get_a_share() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    let first = (0..200).filter(|_| take(&balancer, &ready, &[]).1 == ready[0]).count();
    assert!((50..=150).contains(&first), "{first}");
}

#[test]
fn a_failed_endpoint_is_avoided_while_there_is_another() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    let _busy: Vec<_> = (0..3).map(|_| take(&balancer, &ready, &[ready[0]])).collect();
    assert_eq!(take(&balancer, &ready, &[ready[0]]).1, ready[1]);
    assert!(balancer.choose(&ready, &ready, &Wants::default(), None).is_some());
    assert!(balancer.choose(&addresses(&[]), &[], &Wants::default(), None).is_none());
}

#[test]
fn an_endpoint_that_stays_keeps_its_place_and_its_count() {
    let balancer = Balancer::default();
    let before = addresses(&[1]);
    let held = take(&balancer, &before, &[]).0;
    let after = addresses(&[1, 2]);
    assert_eq!(take(&balancer, &after, &[]).1, after[1]);
    let again = take(&balancer, &before, &[]).0;
    assert_eq!(held.place().id, again.place().id);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_in_a_row_is_out_and_gets_one_request_after_its_time() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    assert_eq!(fail(&balancer, &ready, ready[0]), Consequence::None);
    assert_eq!(fail(&balancer, &ready, ready[0]), Consequence::Ejected);
    let held: Vec<_> = (0..20).map(|_| take(&balancer, &ready, &[])).collect();
    assert!(held.iter().all(|(_, at)| *at == ready[1]));
    tokio::time::advance(Duration::from_secs(10)).await;
    let (_outstanding, trial) = balancer.choose(&ready, &[], &Wants::default(), Some(&RULE)).unwrap();
    assert_eq!(trial.address(), ready[0], "the trial goes first");
    assert_eq!(take(&balancer, &ready, &[]).1, ready[1], "one at a time");
    trial.succeeded(&RULE);
    let first = (0..20)
        .map(|_| take(&balancer, &ready, &[]))
        .filter(|(_, at)| *at == ready[0])
        .count();
    assert_eq!(
        first, 20,
        "a tenth of its share is still less loaded than twenty requests"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_came_back_takes_up_its_share_slowly() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    fail(&balancer, &ready, ready[0]);
    fail(&balancer, &ready, ready[0]);
    tokio::time::advance(Duration::from_secs(10)).await;
    balancer
        .choose(&ready, &[], &Wants::default(), Some(&RULE))
        .unwrap()
        .1
        .succeeded(&RULE);
    let held: Vec<_> = (0..110).map(|_| take(&balancer, &ready, &[])).collect();
    assert_eq!(held.iter().filter(|(_, at)| *at == ready[0]).count(), 10);
    drop(held);
    tokio::time::advance(Duration::from_secs(10)).await;
    let held: Vec<_> = (0..110).map(|_| take(&balancer, &ready, &[])).collect();
    assert_eq!(held.iter().filter(|(_, at)| *at == ready[0]).count(), 55);
}

#[test]
fn never_more_than_half_are_out_and_it_is_told_when_none_is_good() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2, 3]));
    let told: Vec<_> = ready
        .iter()
        .map(|address| {
            fail(&balancer, &ready, *address);
            fail(&balancer, &ready, *address)
        })
        .collect();
    assert_eq!(told, [Consequence::Ejected, Consequence::None, Consequence::NoneGood]);
    let mut seen: Vec<_> = (0..6).map(|_| take(&balancer, &ready, &[])).collect();
    seen.retain(|(_, at)| *at == ready[0]);
    assert!(seen.is_empty(), "the one that is out gets nothing");
    let alone = addresses(&[9]);
    let single = Balancer::default();
    fail(&single, &alone, alone[0]);
    assert_eq!(fail(&single, &alone, alone[0]), Consequence::NoneGood);
    assert!(single.choose(&alone, &[], &Wants::default(), Some(&RULE)).is_some());
}

#[test]
fn an_endpoint_whose_probes_fail_gets_nothing_while_another_is_well() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    for _ in 0..3 {
        balancer.endpoints(&ready)[0]
            .probed
            .failed(Instant::now(), "GET /models: no connection");
    }
    let held: Vec<_> = (0..9).map(|_| take(&balancer, &ready, &[])).collect();
    assert!(held.iter().all(|(_, at)| *at == ready[1]));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_answers_again_is_good_although_streams_of_it_broke_off_before() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2, 3]));
    let told: Vec<_> = (0..2).map(|_| answer(&balancer, &ready, ready[0], true)).collect();
    assert_eq!(told, [Consequence::None, Consequence::Ejected]);
    tokio::time::advance(Duration::from_secs(10)).await;
    // In one piece, so that no stream says that it is well.
    answer(&balancer, &ready, ready[0], false);
    for (at, expected) in [(1, Consequence::Ejected), (2, Consequence::None)] {
        assert_eq!(fail(&balancer, &ready, ready[at]), Consequence::None);
        assert_eq!(fail(&balancer, &ready, ready[at]), expected, "one of three is good");
    }
}

#[test]
fn what_a_pod_does_that_has_gone_says_nothing_about_those_that_are_there() {
    let (balancer, before) = (Balancer::default(), addresses(&[1]));
    let tries: Vec<_> = (0..4)
        .map(|_| balancer.choose(&before, &[], &Wants::default(), Some(&RULE)).unwrap().1)
        .collect();
    // The Service is scaled to nothing for a moment.
    let none = addresses(&[]);
    assert!(balancer.choose(&none, &[], &Wants::default(), Some(&RULE)).is_none());
    for tried in &tries[..2] {
        assert_eq!(balancer.failed(tried, &RULE, REFUSED), Consequence::None);
    }
    let after = addresses(&[2, 3]);
    take(&balancer, &after, &[]);
    for tried in &tries[2..] {
        assert_eq!(balancer.failed(tried, &RULE, REFUSED), Consequence::None);
    }
}

#[test]
fn streams_that_began_under_another_rule_take_no_pod_out() {
    let (balancer, ready) = (Balancer::default(), addresses(&[1, 2]));
    let streams: Vec<_> = std::iter::repeat_with(|| {
        let others = [ready[1]];
        let tried = balancer
            .choose(&ready, &others, &Wants::default(), Some(&RULE))
            .unwrap()
            .1;
        tried.succeeded(&RULE)
    })
    .take(5)
    .collect();
    balancer.judge_anew();
    for (endpoint, epoch) in &streams {
        assert_eq!(balancer.broke_off(endpoint, *epoch, &RULE, BROKEN), Consequence::None);
    }
    assert!(streams[0].0.breaker.is_in());
}
