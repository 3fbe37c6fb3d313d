//! What a provider takes in a minute: by the configuration, and by what it says itself.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

/// What may be sent at once after a pause: as much as in this time. Less would hold up bursts that providers allow; more
/// would let a minute have far more than its share.
const BURST: Duration = Duration::from_secs(6);
/// What was sent holds up what comes next no longer than this, whatever a client asks for and a provider says it has cost:
/// as long as a provider's own word.
const LONGEST_DEBT: Duration = Duration::from_hours(1);
const MINUTE_MICROS: u64 = 60_000_000;

/// Requests and tokens in a minute, and whether the provider says that it is exhausted. Shared by all workers.
#[derive(Debug)]
pub struct Rates {
    base: Instant,
    requests: Bucket,
    tokens: Bucket,
    /// Microseconds since `base` until which the provider is exhausted by its own word; 0: it is not.
    exhausted_until: AtomicU64,
}

/// Lets so much through in a minute. One atomic: the moment at which all that went through is paid for.
#[derive(Debug, Default)]
struct Bucket {
    /// 0: no limit.
    per_minute: AtomicU64,
    paid_at: AtomicU64,
}

impl Bucket {
    /// When the next one may go, in microseconds; never in the past.
    fn open_at(&self, now: u64) -> u64 {
        if self.per_minute.load(Relaxed) == 0 {
            return now;
        }
        let paid_at = self.paid_at.load(Relaxed);
        paid_at.saturating_sub(micros(BURST)).max(now)
    }

    /// How long it takes to pay, in microseconds; `None`: there is no limit.
    fn price(&self, cost: u64) -> Option<u64> {
        let price = cost
            .saturating_mul(MINUTE_MICROS)
            .checked_div(self.per_minute.load(Relaxed))?;
        Some(price.min(micros(LONGEST_DEBT)))
    }

    /// Whatever it costs, it goes if the one before is paid for up to a burst; what comes after waits the longer.
    fn try_take(&self, cost: u64, now: u64) -> bool {
        let Some(price) = self.price(cost) else {
            return true;
        };
        self.paid_at
            .fetch_update(Relaxed, Relaxed, |paid_at| {
                let open = paid_at.saturating_sub(micros(BURST)) <= now;
                open.then(|| paid_at.max(now).saturating_add(price))
            })
            .is_ok()
    }

    fn give_back(&self, cost: u64, now: u64) {
        self.correct(cost, 0, now);
    }

    /// What was taken as `taken` has cost `cost`: as if it had been known then. What is given back frees no more than a burst,
    /// as what comes next begins to pay in its own moment at the earliest.
    fn correct(&self, taken: u64, cost: u64, now: u64) {
        let (Some(before), Some(after)) = (self.price(taken), self.price(cost)) else {
            return;
        };
        if before != after {
            // Never refused, so that the result says nothing.
            let _ = self.paid_at.fetch_update(Relaxed, Relaxed, |paid_at| {
                let corrected = paid_at.saturating_sub(before).saturating_add(after);
                Some(corrected.min(now.saturating_add(micros(LONGEST_DEBT))))
            });
        }
    }
}

impl Rates {
    /// Without any limit.
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            requests: Bucket::default(),
            tokens: Bucket::default(),
            exhausted_until: AtomicU64::new(0),
        }
    }

    /// Takes over limits in a minute; `None`: no limit.
    pub fn configure(&self, requests: Option<u64>, tokens: Option<u64>) {
        self.requests.per_minute.store(requests.unwrap_or(0), Relaxed);
        self.tokens.per_minute.store(tokens.unwrap_or(0), Relaxed);
    }

    /// Whether everything goes through, whatever the time is.
    pub fn is_unlimited(&self) -> bool {
        !self.is_paced() && self.exhausted_until.load(Relaxed) == 0
    }

    /// Whether the configuration has a limit.
    pub fn is_paced(&self) -> bool {
        self.requests.per_minute.load(Relaxed) != 0 || self.tokens.per_minute.load(Relaxed) != 0
    }

    /// Whether a request may go now.
    pub fn is_open(&self, now: Instant) -> bool {
        let now = self.moment(now);
        self.open_at(now) <= now
    }

    /// How long until a request may go; nothing if it may go now.
    pub fn opens_in(&self, now: Instant) -> Duration {
        let now = self.moment(now);
        Duration::from_micros(self.open_at(now).saturating_sub(now))
    }

    /// Lets a request of so many tokens through, if it may go.
    pub(super) fn try_take(&self, tokens: u64, now: Instant) -> bool {
        let now = self.moment(now);
        if self.exhausted_until.load(Relaxed) > now || !self.requests.try_take(1, now) {
            return false;
        }
        let taken = self.tokens.try_take(tokens, now);
        if !taken {
            self.requests.give_back(1, now);
        }
        taken
    }

    /// A request that was let through as one of `estimate` tokens has cost `tokens`: the difference is given back, or holds
    /// up those behind it. To be said once for what was let through once.
    pub fn settle(&self, estimate: u64, tokens: u64, now: Instant) {
        self.tokens.correct(estimate, tokens, self.moment(now));
    }

    /// The provider says that it takes nothing before `until`. True if that is news.
    pub fn exhausted(&self, until: Instant) -> bool {
        let until = self.moment(until);
        self.exhausted_until.fetch_max(until, Relaxed) < until
    }

    /// The provider is another one now, or is asked in another name: what it said before holds no more.
    pub fn renewed(&self) {
        self.exhausted_until.store(0, Relaxed);
    }

    fn open_at(&self, now: u64) -> u64 {
        let exhausted = self.exhausted_until.load(Relaxed);
        if exhausted != 0 && exhausted <= now {
            // Over: the next one need not look at the time for it. A later word that comes in between stands.
            let _ = self.exhausted_until.compare_exchange(exhausted, 0, Relaxed, Relaxed);
        }
        exhausted.max(self.requests.open_at(now)).max(self.tokens.open_at(now))
    }

    fn moment(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.base)).saturating_add(1)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_what_it_may_and_a_burst_at_its_beginning() {
        let start = Instant::now();
        let rates = Rates::new(start);
        rates.configure(Some(60), None);
        let mut sent = 0;
        for millis in (0..60_000).step_by(100) {
            let now = start + Duration::from_millis(millis);
            while rates.try_take(1_000, now) {
                sent += 1;
            }
        }
        assert_eq!(sent, 60 + 6, "one a second, and six seconds' worth at once");
        assert!(!rates.is_open(start + Duration::from_secs(59)));
        assert!(rates.is_open(start + Duration::from_secs(70)));
    }

    #[test]
    fn tokens_are_paid_for_after_the_fact_so_that_a_large_request_goes_too() {
        let start = Instant::now();
        let rates = Rates::new(start);
        rates.configure(None, Some(6_000));
        assert!(rates.try_take(60_000, start), "ten minutes' worth");
        assert!(!rates.try_take(1, start + Duration::from_secs(590)));
        assert!(rates.try_take(1, start + Duration::from_mins(10)));
    }

    #[test]
    fn what_a_request_has_cost_takes_the_place_of_its_estimate_in_both_directions() {
        let start = Instant::now();
        let rates = Rates::new(start);
        rates.configure(None, Some(60_000));
        // A thousand tokens a second. Taken as ten seconds' worth, and then it was one, or twenty.
        for (cost, opens_after) in [(10_000, 4), (1_000, 0), (20_000, 14)] {
            let rates = Rates::new(start);
            rates.configure(None, Some(60_000));
            assert!(rates.try_take(10_000, start));
            rates.settle(10_000, cost, start);
            let opens_in = rates.opens_in(start).as_millis();
            assert_eq!(opens_in.div_ceil(1_000), opens_after, "{cost}: {opens_in} ms");
        }
        // However much is given back, what may go at once is a burst.
        for _ in 0..100 {
            rates.settle(1_000_000, 0, start);
        }
        let sent = (0..100).filter(|_| rates.try_take(1_000, start)).count();
        assert!((6..=7).contains(&sent), "{sent}");
        // Where there is no limit, there is nothing to correct; numbers that nobody has are no trouble.
        Rates::new(start).settle(5, 7, start);
        rates.settle(u64::MAX, 0, start);
        rates.settle(0, u64::MAX, start);
        rates.settle(u64::MAX, u64::MAX, start);
    }

    #[test]
    fn absurd_counts_of_tokens_hold_up_a_provider_for_an_hour_at_most() {
        let start = Instant::now();
        let hour = Duration::from_hours(1);
        let asked = Rates::new(start);
        asked.configure(None, Some(1));
        assert!(asked.try_take(u64::MAX, start));
        assert!(!asked.is_open(start + Duration::from_mins(59)) && asked.is_open(start + hour));
        let told = Rates::new(start);
        told.configure(None, Some(60_000));
        // Many that ran at the same time, and each says so.
        for _ in 0..100 {
            told.settle(10, u64::MAX, start);
        }
        assert!(!told.is_open(start + Duration::from_mins(59)) && told.is_open(start + hour));
        assert!(told.try_take(1, start + hour));
    }

    #[test]
    fn a_refusal_for_tokens_costs_no_request() {
        let start = Instant::now();
        let rates = Rates::new(start);
        rates.configure(Some(10), Some(60));
        assert!(rates.try_take(600, start));
        for _ in 0..100 {
            assert!(!rates.try_take(1, start));
        }
        let later = start + Duration::from_mins(11);
        assert!(rates.try_take(1, later));
    }

    #[test]
    fn a_provider_that_says_it_is_exhausted_gets_nothing_until_then() {
        let start = Instant::now();
        let rates = Rates::new(start);
        assert!(rates.is_unlimited());
        let until = start + Duration::from_secs(20);
        assert!(rates.exhausted(until));
        assert!(!rates.exhausted(start + Duration::from_secs(5)), "the later word holds");
        assert!(!rates.is_open(start + Duration::from_secs(19)) && !rates.is_unlimited());
        assert_eq!(rates.opens_in(start), Duration::from_secs(20));
        assert!(!rates.try_take(1, start));
        assert!(rates.is_open(until));
        assert!(rates.is_unlimited(), "and then it is forgotten");
    }
}
