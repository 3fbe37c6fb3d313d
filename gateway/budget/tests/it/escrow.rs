//! What each part of the protocol does, one at a time.

use std::time::Duration;

use tokenweir_budget::amount::Amount;
use tokenweir_budget::escrow::{AccountRef, Book, Centre, Grant, LONGEST_LEASE, ReconcileError, Terms};
use tokenweir_budget::lease::{Ask, LEASE_MARGIN, Lease};
use tokenweir_budget::window::{Period, Rolling};

const START: u64 = 1_795_301_970_000;

fn centre(now: u64) -> Centre<'static> {
    Centre {
        server: "a",
        durable: false,
        now,
    }
}

fn account(limit: u64) -> AccountRef {
    AccountRef {
        account: "usd/hour/1".to_owned(),
        period: Period {
            id: "1".to_owned(),
            start: START,
            end: Some(START + 3_600_000),
            rolling: None,
        },
        terms: Terms {
            generation: 1,
            strict: true,
            limit: Amount::new(limit),
            grants: Vec::new(),
            carry_over: Amount::ZERO,
        },
        previous: None,
    }
}

fn need(amount: u64) -> Ask {
    Ask {
        want: Amount::new(amount),
        least: Amount::new(amount),
        keep: Amount::new(u64::MAX),
        end: false,
    }
}

fn give_back() -> Ask {
    Ask {
        want: Amount::ZERO,
        least: Amount::ZERO,
        keep: Amount::ZERO,
        end: false,
    }
}

fn talk(book: &mut Book, account: &AccountRef, lease: &Lease, ask: Ask, now: u64) {
    let answer = book.sync(account, &lease.speak(ask, now), centre(now));
    lease.hear(&answer, now, now);
}

fn free(lease: &Lease, now: u64) -> u64 {
    lease.free(now).get()
}

#[test]
fn three_holders_can_spend_all_there_is_and_not_more() {
    let (mut book, account) = (Book::registered(centre(START)), account(1_000));
    let leases = ["a", "b", "c"].map(Lease::new);
    let mut served = 0;
    for turn in 0..400 {
        let lease = &leases[turn % 3];
        let amount = Amount::new(7);
        if !lease.reserve(amount, START) {
            let ask = Ask {
                want: Amount::new(200),
                ..need(7 - free(lease, START))
            };
            talk(&mut book, &account, lease, ask, START);
            if !lease.reserve(amount, START) {
                for other in &leases {
                    talk(&mut book, &account, other, give_back(), START);
                }
                continue;
            }
        }
        lease.settle(amount, Amount::new(5));
        served += 5;
    }
    let standing = book.standing(&account.account, centre(START)).expect("an account");
    assert_eq!(standing.spent.get(), served);
    assert!((994..=1_000).contains(&served), "{served}");
}

#[test]
fn leases_shrink_as_the_limit_comes_near_down_to_what_is_asked_for() {
    let (mut book, account) = (Book::registered(centre(START)), account(1_000));
    let lease = Lease::new("a");
    let mut grants = Vec::new();
    for _ in 0..8 {
        let before = free(&lease, START);
        let ask = Ask {
            want: Amount::new(1_000),
            ..need(10)
        };
        talk(&mut book, &account, &lease, ask, START);
        grants.push(free(&lease, START) - before);
    }
    assert_eq!(grants, [500, 250, 125, 62, 31, 16, 10, 0]);
}

#[test]
fn an_answer_that_is_lost_is_not_granted_twice() {
    let (mut book, account) = (Book::registered(centre(START)), account(100));
    let lease = Lease::new("a");
    for _ in 0..5 {
        book.sync(&account, &lease.speak(need(30), START), centre(START));
    }
    talk(&mut book, &account, &lease, need(30), START);
    assert_eq!(free(&lease, START), 30);
    let standing = book.standing(&account.account, centre(START)).expect("an account");
    assert_eq!(standing.leased.get(), 30);
}

#[test]
fn what_a_dead_holder_had_is_in_doubt_until_somebody_speaks_for_it() {
    let (mut book, account) = (Book::registered(centre(START)), account(100));
    let dead = Lease::new("dead");
    talk(&mut book, &account, &dead, need(40), START);
    let name = account.account.as_str();
    assert_eq!(
        book.reconcile(name, "dead", Amount::new(15), centre(START + LONGEST_LEASE - 1)),
        Err(ReconcileError::LeaseLasts)
    );
    let later = START + LONGEST_LEASE;
    let standing = book.standing(name, centre(later)).expect("an account");
    assert_eq!((standing.leased.get(), standing.in_doubt.get()), (0, 40));
    assert_eq!(standing.remaining().get(), 60);
    assert_eq!(book.reconcile(name, "dead", Amount::new(15), centre(later)), Ok(()));
    let standing = book.standing(name, centre(later)).expect("an account");
    assert_eq!((standing.spent.get(), standing.in_doubt.get()), (15, 0));
    // It was only cut off. Its lease has run out for it too, so it spends nothing more under this name.
    assert!(!dead.reserve(Amount::new(1), START + LONGEST_LEASE - LEASE_MARGIN));
    talk(&mut book, &account, &dead, need(10), later);
    assert!(dead.is_over(later));
    assert_eq!(free(&dead, later), 0);
}

#[test]
fn a_soft_budget_takes_what_a_dead_holder_had_for_unspent() {
    let (mut book, mut account) = (Book::registered(centre(START)), account(100));
    account.terms.strict = false;
    talk(&mut book, &account, &Lease::new("dead"), need(100), START);
    let lease = Lease::new("next");
    talk(&mut book, &account, &lease, need(100), START + LONGEST_LEASE - 1);
    assert_eq!(free(&lease, START + LONGEST_LEASE - 1), 0);
    talk(&mut book, &account, &lease, need(100), START + LONGEST_LEASE);
    assert_eq!(free(&lease, START + LONGEST_LEASE), 100);
}

#[test]
fn a_store_that_has_forgotten_grants_only_what_comes_back() {
    let (mut book, account) = (Book::registered(centre(START)), account(100));
    let (lives, other) = (Lease::new("lives"), Lease::new("other"));
    talk(&mut book, &account, &lives, need(40), START);
    let mut book = Book::found_missing(centre(START));
    talk(&mut book, &account, &other, need(1), START);
    assert_eq!(free(&other, START), 0);
    talk(&mut book, &account, &lives, need(0), START);
    assert_eq!(free(&lives, START), 40, "what it holds it may spend");
    let standing = book.standing(&account.account, centre(START)).expect("an account");
    assert_eq!((standing.leased.get(), standing.presumed.get()), (40, 60));
    talk(&mut book, &account, &lives, give_back(), START);
    talk(&mut book, &account, &other, need(40), START);
    assert_eq!(free(&other, START), 40);
    book.restore(&account.account, Amount::new(25), centre(START))
        .expect("an account");
    talk(&mut book, &account, &lives, need(35), START);
    assert_eq!(free(&lives, START), 35);
}

#[test]
fn what_was_given_back_before_a_crash_and_granted_to_another_is_not_granted_again() {
    let (mut book, account) = (Book::registered(centre(START)), account(40));
    let (first, second, third) = (Lease::new("first"), Lease::new("second"), Lease::new("third"));
    talk(&mut book, &account, &first, need(40), START);
    let kept = book.clone();
    talk(&mut book, &account, &first, give_back(), START);
    talk(&mut book, &account, &second, need(40), START);
    assert_eq!(free(&second, START), 40);
    let mut book = kept;
    let crashed = Centre {
        server: "b",
        ..centre(START)
    };
    let answer = book.sync(&account, &first.speak(give_back(), START), crashed);
    first.hear(&answer, START, START);
    let answer = book.sync(&account, &third.speak(need(1), START), crashed);
    assert_eq!(answer.granted.get(), 0);
    // The holder of the money comes, and gives it back for good.
    for ask in [need(0), give_back()] {
        let answer = book.sync(&account, &second.speak(ask, START), crashed);
        second.hear(&answer, START, START);
    }
    let answer = book.sync(&account, &third.speak(need(40), START), crashed);
    assert_eq!(answer.granted.get(), 40);
}

#[test]
fn a_holder_that_is_spoken_for_after_a_crash_frees_nothing_that_it_may_have_given_back_before() {
    let (mut book, account) = (Book::registered(centre(START)), account(40));
    let (dead, second, third) = (Lease::new("dead"), Lease::new("second"), Lease::new("third"));
    talk(&mut book, &account, &dead, need(40), START);
    let kept = book.clone();
    talk(&mut book, &account, &dead, give_back(), START);
    talk(&mut book, &account, &second, need(40), START);
    let mut book = kept;
    let later = Centre {
        server: "b",
        ..centre(START + LONGEST_LEASE)
    };
    assert_eq!(book.reconcile(&account.account, "dead", Amount::ZERO, later), Ok(()));
    let answer = book.sync(&account, &third.speak(need(1), START), later);
    assert_eq!(answer.granted.get(), 0);
    assert_eq!(answer.standing.presumed.get(), 40);
}

#[test]
fn a_rolling_window_presumes_all_of_it_since_what_it_remembers_may_leave_first() {
    let mut account = account(40);
    account.period.end = None;
    let rolling = Rolling::over(Duration::from_mins(2)).expect("a length");
    account.period.rolling = Some(rolling);
    let (mut book, first) = (Book::registered(centre(START)), Lease::new("first"));
    talk(&mut book, &account, &first, need(40), START);
    let crashed = |now| Centre {
        server: "b",
        ..centre(now)
    };
    // The old holder's record has left the window, what somebody else has spent since and the store has forgotten has not.
    let lost = START + 100_000;
    assert!(book.standing(&account.account, crashed(lost)).is_some());
    let left = START + LONGEST_LEASE + rolling.length + rolling.step;
    let next = Lease::new("next");
    let answer = book.sync(&account, &next.speak(need(1), left), crashed(left));
    assert_eq!(answer.granted.get(), 0);
    let healed = lost + LONGEST_LEASE + rolling.length + rolling.step;
    let after = Lease::new("after");
    let answer = book.sync(&account, &after.speak(need(40), healed), crashed(healed));
    assert_eq!(answer.granted.get(), 40);
}

#[test]
fn a_grant_made_after_a_loss_can_be_spent_and_one_made_before_cannot() {
    let (mut book, mut account) = (Book::found_missing(centre(START)), account(100));
    let lease = Lease::new("a");
    account.terms.grants = vec![Grant {
        amount: Amount::new(10),
        since: START - 1_000,
        until: START + 1_000_000,
    }];
    talk(&mut book, &account, &lease, need(1), START);
    assert_eq!(free(&lease, START), 0);
    account.terms.generation = 2;
    account.terms.grants.push(Grant {
        amount: Amount::new(20),
        since: START + 10_000,
        until: START + 1_000_000,
    });
    talk(&mut book, &account, &lease, need(20), START + 20_000);
    assert_eq!(free(&lease, START + 20_000), 20);
}

#[test]
fn what_a_window_leaves_is_carried_over_once_and_up_to_the_maximum() {
    let (mut book, first) = (Book::registered(centre(START)), account(100));
    let lease = Lease::new("a");
    talk(&mut book, &first, &lease, need(30), START);
    let mut second = account(100);
    second.account = "usd/hour/2".to_owned();
    second.period.start = START + 3_600_000;
    second.period.end = Some(START + 7_200_000);
    second.previous = Some(first.account.clone());
    second.terms.carry_over = Amount::new(50);
    let (next, now) = (Lease::new("b"), START + 3_600_000);
    let answer = book.sync(&second, &next.speak(need(1), now), centre(now));
    assert_eq!(answer.standing.ceiling.get(), 150);
    let late = Lease::new("late");
    let answer = book.sync(&first, &late.speak(need(1), now), centre(now));
    assert!(answer.sealed && answer.granted.is_zero());
}

#[test]
fn more_than_was_reserved_is_counted_too() {
    let (mut book, account) = (Book::registered(centre(START)), account(100));
    let lease = Lease::new("a");
    talk(&mut book, &account, &lease, need(10), START);
    assert!(lease.reserve(Amount::new(10), START));
    lease.settle(Amount::new(10), Amount::new(130));
    talk(&mut book, &account, &lease, need(10), START);
    let standing = book.standing(&account.account, centre(START)).expect("an account");
    assert_eq!((standing.spent.get(), standing.remaining().get()), (130, 0));
    assert_eq!(free(&lease, START), 0);
}
