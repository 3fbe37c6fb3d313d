use std::sync::atomic::AtomicU32;

use tokenweir_config::Order;

use super::*;
use crate::health::Live;
use crate::selection::SelectionMode;

fn queue(max_depth: u32, max_wait_ms: u64) -> Queue {
    Queue {
        max_depth,
        max_wait_ms,
        order: Order::PriorityFair,
    }
}

fn limit(max: u32) -> Arc<Limit> {
    Arc::new(Limit::new(Some(max)))
}

fn claim(tenant_id: u64, tenant: &Arc<Limit>, candidates: &Arc<Candidates>) -> Claim {
    Claim {
        tenant_id,
        tenant: Arc::clone(tenant),
        candidates: Arc::clone(candidates),
        usable: u64::MAX,
        priority: 0,
        wants: Wants::default(),
        deadline: None,
    }
}

fn provider(max: u32) -> Arc<Live> {
    Arc::new(Live::new(Some(max)))
}

fn candidates(providers: &[Arc<Live>]) -> Arc<Candidates> {
    let candidate = |provider: &Arc<Live>| Candidate {
        provider: Arc::clone(provider),
        weight: 1,
        rule: None,
        key: 0,
        distance: 0,
    };
    Arc::new(Candidates::new(
        providers.iter().map(candidate),
        SelectionMode::Weighted,
        false,
    ))
}

fn one_backend(provider: &Arc<Live>) -> Arc<Candidates> {
    candidates(std::slice::from_ref(provider))
}

async fn admit(admission: &Arc<Admission>, claim: &Claim) -> Result<Permit, Rejected> {
    match admission.try_admit(claim) {
        Some(permit) => Ok(permit),
        None => match admission.join(claim.clone())? {
            Joined::Admitted(permit) => Ok(permit),
            Joined::Waiting(waiting) => waiting.admitted().await,
        },
    }
}

fn expect_waiting(admission: &Arc<Admission>, claim: &Claim) -> Waiting {
    assert!(admission.try_admit(claim).is_none());
    match admission.join(claim.clone()) {
        Ok(Joined::Waiting(waiting)) => waiting,
        other => panic!("expected to wait, got {other:?}"),
    }
}

#[tokio::test]
async fn a_place_that_becomes_free_goes_to_the_next_in_line() {
    let admission = Admission::new(1, &queue(10, 10_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let first = admission.try_admit(&claim).unwrap();
    let second = expect_waiting(&admission, &claim);
    let third = expect_waiting(&admission, &claim);
    assert_eq!((admission.in_flight(), admission.waiting()), (1, 2));
    drop(first);
    let second = second.admitted().await.unwrap();
    assert_eq!((admission.in_flight(), admission.waiting()), (1, 1));
    drop(second);
    drop(third.admitted().await.unwrap());
    assert_eq!((admission.in_flight(), admission.waiting()), (0, 0));
}

#[tokio::test]
async fn requests_wait_for_their_tenant_and_for_their_provider_too() {
    let admission = Admission::new(100, &queue(10, 10_000));
    let (small, large, full, free) = (limit(1), limit(10), provider(1), provider(10));
    let of_small_tenant = claim(1, &small, &one_backend(&free));
    let held = admission.try_admit(&of_small_tenant).unwrap();
    let waits_for_tenant = expect_waiting(&admission, &of_small_tenant);
    let at_full_provider = claim(2, &large, &one_backend(&full));
    let held_provider = admit(&admission, &at_full_provider).await.unwrap();
    let waits_for_provider = expect_waiting(&admission, &at_full_provider);
    // Somebody else who needs neither is not held up by them.
    drop(admit(&admission, &claim(3, &large, &one_backend(&free))).await.unwrap());
    drop(held_provider);
    drop(waits_for_provider.admitted().await.unwrap());
    drop(held);
    drop(waits_for_tenant.admitted().await.unwrap());
    for limit in [&*small, &large, &full.limit, &free.limit] {
        assert_eq!(limit.used(), 0);
    }
}

#[tokio::test]
async fn one_more_than_may_wait_is_rejected_at_once() {
    let admission = Admission::new(1, &queue(1, 7_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let held = admission.try_admit(&claim).unwrap();
    let waiting = expect_waiting(&admission, &claim);
    assert!(matches!(
        admission.join(claim.clone()),
        Err(Rejected::QueueFull { retry_after: 7 })
    ));
    assert_eq!(admission.waiting(), 1);
    drop(held);
    drop(waiting.admitted().await.unwrap());
}

#[tokio::test]
async fn a_queue_of_depth_zero_admits_what_fits_and_rejects_the_rest() {
    let admission = Admission::new(1, &queue(0, 1_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let held = admit(&admission, &claim).await.unwrap();
    assert!(matches!(
        admit(&admission, &claim).await,
        Err(Rejected::QueueFull { .. })
    ));
    drop(held);
    assert!(admit(&admission, &claim).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline() {
    let admission = Admission::new(1, &queue(10, 2_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let _held = admission.try_admit(&claim).unwrap();
    let began = Instant::now();
    let rejected = admit(&admission, &claim).await.unwrap_err();
    assert!(matches!(rejected, Rejected::WaitOver { .. }), "{rejected:?}");
    assert_eq!(began.elapsed().as_millis(), 2_000);
    assert_eq!(admission.waiting(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_frees_its_place() {
    let admission = Admission::new(1, &queue(1, 10_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let held = admission.try_admit(&claim).unwrap();
    drop(expect_waiting(&admission, &claim));
    assert_eq!(admission.waiting(), 0);
    let next = expect_waiting(&admission, &claim);
    drop(held);
    drop(next.admitted().await.unwrap());
}

#[tokio::test]
async fn a_permit_sent_to_a_client_that_left_goes_to_the_next() {
    let admission = Admission::new(1, &queue(10, 10_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let held = admission.try_admit(&claim).unwrap();
    let leaver = expect_waiting(&admission, &claim);
    let stayer = expect_waiting(&admission, &claim);
    // The leaver's permit is in its channel, unread.
    drop(held);
    assert_eq!(admission.waiting(), 1);
    drop(leaver);
    drop(stayer.admitted().await.unwrap());
    assert_eq!(admission.in_flight(), 0);
}

#[tokio::test]
async fn raised_limits_let_those_in_who_wait() {
    let admission = Admission::new(1, &queue(10, 10_000));
    let claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let _held = admission.try_admit(&claim).unwrap();
    let waiting = expect_waiting(&admission, &claim);
    admission.configure(2, &queue(10, 10_000));
    waiting.admitted().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_its_client_does() {
    let admission = Admission::new(1, &queue(10, 10_000));
    let mut claim = claim(1, &limit(10), &one_backend(&provider(10)));
    let _held = admission.try_admit(&claim).unwrap();
    let begun = Instant::now();
    claim.deadline = Some(begun + Duration::from_secs(2));
    let waiting = expect_waiting(&admission, &claim);
    assert!(matches!(waiting.admitted().await, Err(Rejected::WaitOver { .. })));
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn a_second_place_is_given_back_or_takes_the_place_of_the_first() {
    let admission = Admission::new(10, &queue(10, 10_000));
    let (one, two) = (provider(1), provider(1));
    let both = candidates(&[Arc::clone(&one), Arc::clone(&two)]);
    let mut permit = admission.try_admit(&claim(1, &limit(10), &both)).unwrap();
    let first = permit.backend().unwrap();
    assert!(permit.extra(&both, 1 << first).is_none(), "it is full");
    drop(permit.extra(&both, 3).unwrap());
    assert_eq!(one.limit.used() + two.limit.used(), 1);
    let extra = permit.extra(&both, 3).unwrap();
    assert_eq!(extra.backend(), Some(1 - first));
    permit.adopt(extra);
    assert_eq!(
        (permit.backend(), one.limit.used() + two.limit.used()),
        (Some(1 - first), 1)
    );
    drop(permit);
    assert_eq!(one.limit.used() + two.limit.used(), 0);
}

#[tokio::test]
async fn a_permit_moves_between_providers_and_frees_the_one_it_leaves() {
    let admission = Admission::new(10, &queue(10, 10_000));
    let (one, two, fallback) = (provider(1), provider(1), provider(1));
    let candidates = candidates(&[Arc::clone(&one), Arc::clone(&two)]);
    let claim = claim(1, &limit(10), &candidates);
    let mut permit = admission.try_admit(&claim).unwrap();
    let first = permit.backend().unwrap();
    assert_eq!(permit.move_to_backend(&candidates, 1 << (1 - first)), Some(1 - first));
    let waiting_for_first = admit(
        &admission,
        &Claim {
            usable: 1 << first,
            ..claim.clone()
        },
    )
    .await
    .unwrap();
    assert!(permit.move_to_provider(&fallback));
    assert_eq!((one.limit.used() + two.limit.used(), fallback.limit.used()), (1, 1));
    assert_eq!(permit.move_to_backend(&candidates, 1 << first), None);
    assert_eq!(fallback.limit.used(), 0);
    drop((permit, waiting_for_first));
    assert_eq!((one.limit.used(), two.limit.used(), admission.in_flight()), (0, 0, 0));
}

/// Workers with runtimes of their own compete for few places of every kind; some give up. In the end everybody has been
/// served, nothing is held, and no limit was ever exceeded.
#[test]
fn no_permit_is_lost_and_no_limit_exceeded_between_workers() {
    const WORKERS: u64 = 4;
    const REQUESTS: u32 = 1_500;
    let admission = Admission::new(3, &queue(10_000, 60_000));
    let tenants: Vec<_> = (0..3).map(|_| (limit(2), Arc::new(AtomicU32::new(0)))).collect();
    let providers = [provider(2), provider(1)];
    let both = candidates(&providers);
    let served = Arc::new(AtomicU32::new(0));
    let inside = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (admission, both) = (Arc::clone(&admission), Arc::clone(&both));
            let (tenants, served, inside) = (tenants.clone(), Arc::clone(&served), Arc::clone(&inside));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..REQUESTS)
                        .map(|n| {
                            let which = (u64::from(n) + worker) % 3;
                            let (tenant, of_tenant) = tenants[usize::try_from(which).unwrap()].clone();
                            let claim = claim(which, &tenant, &both);
                            let (admission, served, inside) =
                                (Arc::clone(&admission), Arc::clone(&served), Arc::clone(&inside));
                            tokio::spawn(async move {
                                if n % 7 == 0 {
                                    // Gives up at once or after one look.
                                    if let Some(Ok(Joined::Waiting(waiting))) =
                                        admission.try_admit(&claim).is_none().then(|| admission.join(claim))
                                    {
                                        let _ = futures::FutureExt::now_or_never(waiting.admitted());
                                    }
                                    return;
                                }
                                let permit = admit(&admission, &claim).await.unwrap();
                                assert!(inside.fetch_add(1, SeqCst) < 3);
                                assert!(of_tenant.fetch_add(1, SeqCst) < 2);
                                tokio::task::yield_now().await;
                                of_tenant.fetch_sub(1, SeqCst);
                                inside.fetch_sub(1, SeqCst);
                                drop(permit);
                                served.fetch_add(1, SeqCst);
                            })
                        })
                        .collect();
                    for task in tasks {
                        tokio::time::timeout(Duration::from_mins(1), task)
                            .await
                            .expect("no wake-up is lost")
                            .unwrap();
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let giving_up = (0..REQUESTS).filter(|n| n % 7 == 0).count();
    let expected = u32::try_from(WORKERS).unwrap() * (REQUESTS - u32::try_from(giving_up).unwrap());
    assert_eq!(served.load(SeqCst), expected);
    assert_eq!((admission.in_flight(), admission.waiting()), (0, 0));
    assert!(tenants.iter().all(|(limit, _)| limit.used() == 0));
    assert!(providers.iter().all(|provider| provider.limit.used() == 0));
}
