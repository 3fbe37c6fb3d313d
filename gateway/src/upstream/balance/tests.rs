use std::time::Duration;

use super::*;

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

/// A request to each endpoint in turn fails until it has failed at all of them as often as it takes.
fn fail(balancer: &Balancer, ready: &Arc<[SocketAddr]>, at: SocketAddr) -> Consequence {
    let others: Vec<_> = ready.iter().copied().filter(|address| *address != at).collect();
    let (_outstanding, tried) = balancer.choose(ready, &others, &Wants::default(), Some(&RULE)).unwrap();
    assert_eq!(tried.address(), at);
    balancer.failed(&tried, &RULE, UpstreamErrorKind::Connect)
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
    trial.succeeded();
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
        .succeeded();
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
