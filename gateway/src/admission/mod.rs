//! Who may go on, and who waits for how long.
//!
//! A request needs three places at once: at the gateway, at its tenant, and at the provider of one of its route's
//! backends that is well (none of these if all are out and the route has fallbacks). While nobody waits, taking them is a few atomic operations. Once somebody waits, newcomers line up too, so
//! that nobody is overtaken; each place that becomes free is offered to the waiters in their order, whichever worker they
//! run on.
//!
//! No wake-up is lost: whoever gives a place back looks at the number of waiters *after* it, and whoever begins to wait
//! tries for a place *after* it was counted as waiting, all in one total order (`SeqCst`). So at least one of both sees
//! the other. A newcomer that took only a part of what it needs gives that back and then goes through the room's lock,
//! where it repeats the offer for those who looked at the wrong moment.

mod candidates;
mod limit;
mod pace;
mod permit;
mod room;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use parking_lot::Mutex;
use tokenweir_config::Queue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::selection::Wants;

use candidates::Choice;
pub use candidates::{BackendSet, Candidate, Candidates, MAX_BACKENDS};
pub use limit::Limit;
use pace::Pace;
use permit::Place;
pub use permit::{Extra, Permit};
use room::{LineKey, Room, Ticket};

/// How often somebody who waits for a provider that takes only so much in a minute looks whether it takes more.
const PACED_LOOK: Duration = Duration::from_millis(50);
/// The same for others, whose provider may begin to be such a one while they wait.
const UNPACED_LOOK: Duration = Duration::from_secs(1);

/// What one request asks for.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Tells tenants apart; tenants of one number take turns as one.
    pub tenant_id: u64,
    /// The tenant's limit.
    pub tenant: Arc<Limit>,
    /// The route's backends.
    pub candidates: Arc<Candidates>,
    /// Those of them that can serve the request.
    pub usable: BackendSet,
    /// Higher leaves the queue first.
    pub priority: i32,
    /// What the choice of a backend looks at.
    pub wants: Wants,
    /// When the client no longer waits.
    pub deadline: Option<Instant>,
}

/// Why a request is turned away. Answer 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// As many wait as may.
    #[error("too many requests are waiting")]
    QueueFull {
        /// When a place can be hoped for, in seconds.
        retry_after: u64,
    },
    /// It waited as long as it may.
    #[error("the request waited too long")]
    WaitOver {
        /// When a place can be hoped for, in seconds.
        retry_after: u64,
    },
}

/// Admission of one gateway process. Lives as long as the process; configuration changes move its limits.
#[derive(Debug)]
pub struct Admission {
    gateway: Limit,
    waiting: AtomicUsize,
    room: Mutex<WaitingRoom>,
}

#[derive(Debug)]
struct WaitingRoom {
    room: Room<Waiter>,
    max_depth: usize,
    max_wait: Duration,
    pace: Pace,
}

#[derive(Debug)]
struct Waiter {
    claim: Claim,
    since: Instant,
    granted: oneshot::Sender<Permit>,
}

/// The outcome of joining the queue.
#[derive(Debug)]
pub enum Joined {
    /// A place was free after all.
    Admitted(Permit),
    /// Await [`Waiting::admitted`].
    Waiting(Waiting),
}

impl Admission {
    /// Admission with the limits of a configuration.
    pub fn new(max_in_flight: u32, queue: &Queue) -> Arc<Self> {
        Arc::new(Self {
            gateway: Limit::new(Some(max_in_flight)),
            waiting: AtomicUsize::new(0),
            room: Mutex::new(WaitingRoom {
                room: Room::new(queue.order),
                max_depth: depth(queue),
                max_wait: Duration::from_millis(queue.max_wait_ms),
                pace: Pace::default(),
            }),
        })
    }

    /// Takes over the limits of a new configuration. Nobody who runs or waits is turned away.
    ///
    /// Call it after the limits of tenants and providers have moved, as it lets in those who fit now.
    pub fn configure(self: &Arc<Self>, max_in_flight: u32, queue: &Queue) {
        self.gateway.set_max(Some(max_in_flight));
        {
            let mut room = self.room.lock();
            room.room.set_order(queue.order);
            room.max_depth = depth(queue);
            room.max_wait = Duration::from_millis(queue.max_wait_ms);
        }
        self.place_became_free();
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Requests that hold a permit.
    pub fn in_flight(&self) -> u32 {
        self.gateway.used()
    }

    /// The fast path: a permit if nobody waits and all places are free.
    pub fn try_admit(self: &Arc<Self>, claim: &Claim) -> Option<Permit> {
        if self.waiting() != 0 {
            return None;
        }
        if !self.gateway.try_acquire() {
            return None;
        }
        let Some(choice) = acquire_rest(claim) else {
            self.gateway.release();
            // Another newcomer may have looked in vain while this one held the gateway's place.
            self.place_became_free();
            return None;
        };
        Some(self.permit(claim, choice, Duration::ZERO))
    }

    /// The slow path: stand in line.
    pub fn join(self: &Arc<Self>, claim: Claim) -> Result<Joined, Rejected> {
        let now = Instant::now();
        let (granted, mut receiver) = oneshot::channel();
        let line = LineKey {
            candidates: claim.candidates.id,
            usable: claim.usable,
        };
        let (priority, tenant, until) = (claim.priority, claim.tenant_id, claim.deadline);
        let candidates = Arc::clone(&claim.candidates);
        let mut undelivered = Vec::new();
        let outcome = {
            let mut room = self.room.lock();
            let was_empty = room.room.len() == 0;
            let ticket = room.room.push(
                priority,
                tenant,
                line,
                Waiter {
                    claim,
                    since: now,
                    granted,
                },
            );
            self.waiting.store(room.room.len(), SeqCst);
            self.serve(&mut room, now, &mut undelivered);
            match receiver.try_recv() {
                Ok(permit) => Ok(Joined::Admitted(permit)),
                Err(_) if room.room.len() > room.max_depth => {
                    room.room.remove(&ticket);
                    self.waiting.store(room.room.len(), SeqCst);
                    let retry_after = room.retry_after(now);
                    Err(Rejected::QueueFull { retry_after })
                }
                Err(_) => {
                    if was_empty {
                        room.pace.queue_began(now);
                    }
                    let patience = now + room.max_wait;
                    let deadline = until.map_or(patience, |until| until.min(patience));
                    let place = InLine {
                        admission: Arc::clone(self),
                        ticket,
                    };
                    Ok(Joined::Waiting(Waiting {
                        place,
                        receiver,
                        deadline,
                        candidates,
                    }))
                }
            }
        };
        drop(undelivered);
        outcome
    }

    fn permit(self: &Arc<Self>, claim: &Claim, choice: Choice, waited: Duration) -> Permit {
        Permit {
            admission: Arc::clone(self),
            tenant: Arc::clone(&claim.tenant),
            place: match choice {
                Choice::Backend(at) => Some(Place::Backend {
                    candidates: Arc::clone(&claim.candidates),
                    at,
                }),
                Choice::Fallbacks => None,
            },
            waited,
            wants: claim.wants.clone(),
        }
    }

    /// Offers free places to those who wait. Call it after a place was given back.
    fn place_became_free(self: &Arc<Self>) {
        if self.waiting() == 0 {
            return;
        }
        let mut undelivered = Vec::new();
        self.serve(&mut self.room.lock(), Instant::now(), &mut undelivered);
        // Dropping a permit comes back here, so it must not happen under the lock.
        drop(undelivered);
    }

    fn serve(self: &Arc<Self>, room: &mut WaitingRoom, now: Instant, undelivered: &mut Vec<Permit>) {
        while room.room.len() > 0 && self.gateway.try_acquire() {
            let Some((waiter, choice)) = room.room.take(|waiter| acquire_rest(&waiter.claim)) else {
                self.gateway.release();
                break;
            };
            let wait = now.saturating_duration_since(waiter.since);
            // Who did not have to wait says nothing about how long the others do.
            if !wait.is_zero() {
                room.pace.granted(now);
            }
            let permit = self.permit(&waiter.claim, choice, wait);
            // A receiver outlives its ticket, so there is always somebody to take it; were there not, it would go back.
            undelivered.extend(waiter.granted.send(permit).err());
        }
        self.waiting.store(room.room.len(), SeqCst);
    }
}

/// Takes what is needed besides the gateway's own place: the tenant's, and that of a backend if one is well.
fn acquire_rest(claim: &Claim) -> Option<Choice> {
    if !claim.tenant.try_acquire() {
        return None;
    }
    let choice = claim.candidates.choose(claim.usable, &claim.wants);
    if choice.is_none() {
        claim.tenant.release();
    }
    choice
}

impl WaitingRoom {
    fn retry_after(&self, now: Instant) -> u64 {
        self.pace.retry_after(now, self.room.len(), self.max_wait)
    }
}

fn depth(queue: &Queue) -> usize {
    usize::try_from(queue.max_depth).unwrap_or(usize::MAX)
}

/// A request in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    // Field order matters: the place in line goes before the receiver, so that a permit sent in between is still
    // received, and given back as the receiver drops it.
    place: InLine,
    receiver: oneshot::Receiver<Permit>,
    deadline: Instant,
    candidates: Arc<Candidates>,
}

impl Waiting {
    /// Waits for the permit, at most as long as the configuration allowed when the request joined.
    pub async fn admitted(self) -> Result<Permit, Rejected> {
        // Bound in this order so that, should the client leave, the place goes before the receiver, as above.
        let Self {
            deadline,
            mut receiver,
            place,
            candidates,
        } = self;
        loop {
            let now = Instant::now();
            // No request that ends tells when a provider takes more again, so the time is looked at.
            let look = if candidates.is_paced() {
                PACED_LOOK
            } else {
                UNPACED_LOOK
            };
            let wake = deadline.min(now + look);
            match tokio::time::timeout_at(wake, &mut receiver).await {
                Ok(Ok(permit)) => return Ok(permit),
                Err(_) if wake < deadline => place.admission.place_became_free(),
                // The sender never goes without sending while the ticket is in the room; were it so, the wait would be
                // over.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        place.leave();
        // It may have been granted between the deadline and leaving.
        receiver.try_recv().map_err(|_| {
            let room = place.admission.room.lock();
            Rejected::WaitOver {
                retry_after: room.retry_after(Instant::now()),
            }
        })
    }
}

/// A place in line, left on drop.
#[derive(Debug)]
struct InLine {
    admission: Arc<Admission>,
    ticket: Ticket,
}

impl InLine {
    fn leave(&self) {
        let mut room = self.admission.room.lock();
        if room.room.remove(&self.ticket).is_some() {
            self.admission.waiting.store(room.room.len(), SeqCst);
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
