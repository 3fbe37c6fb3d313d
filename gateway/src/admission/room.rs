//! The order of the waiting room, without tasks and without time.
//!
//! Requests that wait for the same things (same tenant, same route, same usable backends) stand in one line, first come
//! first. Only the heads of lines can be next, so choosing costs as much as there are lines, not as there are waiters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use tokenweir_config::Order;

/// Which line of a tenant a request stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineKey {
    /// The route's candidates.
    pub(super) candidates: u64,
    /// Those of its backends that can serve the model.
    pub(super) usable: u64,
}

/// Where a request stands, so that it can leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    priority: i32,
    tenant: u64,
    line: LineKey,
    sequence: u64,
}

/// Everybody who waits.
#[derive(Debug)]
pub(super) struct Room<W> {
    order: Order,
    levels: BTreeMap<Reverse<i32>, Level<W>>,
    len: usize,
    sequence: u64,
}

/// Tenants of one priority. The front has the next turn.
type Level<W> = VecDeque<TenantLines<W>>;

#[derive(Debug)]
struct TenantLines<W> {
    tenant: u64,
    lines: Vec<Line<W>>,
}

#[derive(Debug)]
struct Line<W> {
    key: LineKey,
    waiters: VecDeque<(u64, W)>,
}

/// The head of a line, by position.
struct Head {
    sequence: u64,
    priority: i32,
    tenant: usize,
    line: usize,
}

impl<W> Room<W> {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            levels: BTreeMap::new(),
            len: 0,
            sequence: 0,
        }
    }

    /// Changes who goes first; those who wait keep their places in line.
    pub(super) fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a waiter at the end of its line.
    pub(super) fn push(&mut self, priority: i32, tenant: u64, line: LineKey, waiter: W) -> Ticket {
        let sequence = self.sequence;
        self.sequence += 1;
        self.len += 1;
        let level = self.levels.entry(Reverse(priority)).or_default();
        let at = position_or_push(
            level,
            |lines| lines.tenant == tenant,
            || TenantLines {
                tenant,
                lines: Vec::new(),
            },
        );
        let lines = &mut level[at].lines;
        let at = lines.iter().position(|l| l.key == line).unwrap_or_else(|| {
            lines.push(Line {
                key: line,
                waiters: VecDeque::new(),
            });
            lines.len() - 1
        });
        lines[at].waiters.push_back((sequence, waiter));
        Ticket {
            priority,
            tenant,
            line,
            sequence,
        }
    }

    /// Takes a waiter out who leaves; `None` if it was served before.
    pub(super) fn remove(&mut self, ticket: &Ticket) -> Option<W> {
        let level = self.levels.get_mut(&Reverse(ticket.priority))?;
        let tenant = level.iter().position(|lines| lines.tenant == ticket.tenant)?;
        let line = level[tenant].lines.iter().position(|l| l.key == ticket.line)?;
        let waiters = &mut level[tenant].lines[line].waiters;
        // A line is sorted by sequence, as everybody joins at its end.
        let at = waiters
            .binary_search_by_key(&ticket.sequence, |(sequence, _)| *sequence)
            .ok()?;
        let (_, waiter) = waiters.remove(at)?;
        self.clean_up(ticket.priority, tenant, line);
        self.len -= 1;
        Some(waiter)
    }

    /// Offers a place to the waiters in their order until one can use it, and takes that one out.
    ///
    /// `offer` answers what the waiter got, or `None` if what it waits for besides is still taken.
    pub(super) fn take<G>(&mut self, mut offer: impl FnMut(&W) -> Option<G>) -> Option<(W, G)> {
        match self.order {
            Order::Fifo => {
                let mut heads: Vec<_> = self
                    .levels
                    .iter()
                    .flat_map(|(p, level)| level_heads(p.0, level))
                    .collect();
                heads.sort_unstable_by_key(|head| head.sequence);
                self.first_taker(&heads, &mut offer)
            }
            Order::PriorityFair => {
                let priorities: Vec<_> = self.levels.keys().map(|p| p.0).collect();
                for priority in priorities {
                    for tenant in 0..self.levels.get(&Reverse(priority)).map_or(0, VecDeque::len) {
                        let lines = &self.levels[&Reverse(priority)][tenant];
                        let mut heads: Vec<_> = tenant_heads(priority, tenant, lines).collect();
                        heads.sort_unstable_by_key(|head| head.sequence);
                        if let Some(taken) = self.first_taker(&heads, &mut offer) {
                            return Some(taken);
                        }
                    }
                }
                None
            }
        }
    }

    fn first_taker<G>(&mut self, heads: &[Head], offer: &mut impl FnMut(&W) -> Option<G>) -> Option<(W, G)> {
        for head in heads {
            let level = self.levels.get_mut(&Reverse(head.priority))?;
            let waiters = &mut level[head.tenant].lines[head.line].waiters;
            let Some(got) = waiters.front().and_then(|(_, waiter)| offer(waiter)) else {
                continue;
            };
            let (_, waiter) = waiters.pop_front()?;
            // Its turn is over: the tenant goes behind all others of its priority.
            if let Some(lines) = level.remove(head.tenant) {
                level.push_back(lines);
            }
            let last = level.len() - 1;
            self.clean_up(head.priority, last, head.line);
            self.len -= 1;
            return Some((waiter, got));
        }
        None
    }

    /// Forgets a line, its tenant and its level as far as they are empty.
    fn clean_up(&mut self, priority: i32, tenant: usize, line: usize) {
        let Some(level) = self.levels.get_mut(&Reverse(priority)) else {
            return;
        };
        let lines = &mut level[tenant].lines;
        if lines[line].waiters.is_empty() {
            lines.swap_remove(line);
        }
        if lines.is_empty() {
            level.remove(tenant);
        }
        if level.is_empty() {
            self.levels.remove(&Reverse(priority));
        }
    }
}

fn position_or_push<T>(items: &mut VecDeque<T>, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> usize {
    items.iter().position(is).unwrap_or_else(|| {
        items.push_back(make());
        items.len() - 1
    })
}

fn level_heads<W>(priority: i32, level: &Level<W>) -> impl Iterator<Item = Head> {
    level
        .iter()
        .enumerate()
        .flat_map(move |(tenant, lines)| tenant_heads(priority, tenant, lines))
}

fn tenant_heads<W>(priority: i32, tenant: usize, lines: &TenantLines<W>) -> impl Iterator<Item = Head> {
    lines.lines.iter().enumerate().filter_map(move |(line, l)| {
        let (sequence, _) = l.waiters.front()?;
        Some(Head {
            sequence: *sequence,
            priority,
            tenant,
            line,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    const LINE: LineKey = LineKey {
        candidates: 1,
        usable: u64::MAX,
    };
    const OTHER: LineKey = LineKey {
        candidates: 2,
        usable: u64::MAX,
    };

    fn drain(room: &mut Room<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| room.take(|_| Some(())).map(|(waiter, ())| waiter)).collect()
    }

    #[test]
    fn higher_priority_goes_first_and_tenants_of_one_priority_take_turns() {
        let mut room = Room::new(Order::PriorityFair);
        for name in ["a1", "a2", "a3"] {
            room.push(0, 1, LINE, name);
        }
        room.push(0, 2, LINE, "b1");
        room.push(0, 2, LINE, "b2");
        room.push(5, 3, LINE, "urgent");
        assert_eq!(drain(&mut room), ["urgent", "a1", "b1", "a2", "b2", "a3"]);
        assert_eq!(room.len(), 0);
    }

    #[test]
    fn first_come_first_served_looks_at_nothing_but_the_arrival() {
        let mut room = Room::new(Order::Fifo);
        room.push(0, 1, LINE, "first");
        room.push(9, 2, OTHER, "second");
        room.push(0, 1, OTHER, "third");
        assert_eq!(drain(&mut room), ["first", "second", "third"]);
    }

    #[test]
    fn a_line_that_cannot_move_does_not_hold_up_the_others() {
        let mut room = Room::new(Order::PriorityFair);
        room.push(9, 1, LINE, "blocked");
        room.push(0, 1, OTHER, "free");
        let free = |waiter: &&str| (*waiter == "free").then_some(());
        assert_eq!(room.take(free), Some(("free", ())));
        assert_eq!(room.take(free), None);
        assert_eq!(room.len(), 1);
    }

    #[test]
    fn a_tenant_that_could_not_use_its_turn_keeps_it() {
        let mut room = Room::new(Order::PriorityFair);
        room.push(0, 1, LINE, "a");
        room.push(0, 2, LINE, "b1");
        room.push(0, 2, LINE, "b2");
        assert_eq!(room.take(|waiter| (*waiter != "a").then_some(())), Some(("b1", ())));
        assert_eq!(drain(&mut room), ["a", "b2"]);
    }

    #[test]
    fn whoever_leaves_is_gone_and_leaving_twice_does_nothing() {
        let mut room = Room::new(Order::PriorityFair);
        let ticket = room.push(0, 1, LINE, "leaver");
        room.push(0, 1, LINE, "stayer");
        assert_eq!(room.remove(&ticket), Some("leaver"));
        assert_eq!(room.remove(&ticket), None);
        assert_eq!(drain(&mut room), ["stayer"]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join { priority: i32, tenant: u64, line: u64 },
        Leave(prop::sample::Index),
        Serve { free_line: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3, 0..4_u64, 0..2_u64).prop_map(|(priority, tenant, line)| Step::Join { priority, tenant, line }),
            1 => any::<prop::sample::Index>().prop_map(Step::Leave),
            3 => (0..3_u64).prop_map(|free_line| Step::Serve { free_line }),
        ]
    }

    proptest! {
        /// Nobody is lost or served twice; inside a line the order holds; no usable waiter of a higher priority is
        /// passed over; and between two turns of a tenant every other tenant of its priority that could move has one.
        #[test]
        fn the_room_is_fair_and_loses_nobody(steps in prop::collection::vec(step(), 1..200)) {
            let mut room = Room::new(Order::PriorityFair);
            let mut inside: Vec<(Ticket, i32, u64, u64)> = Vec::new();
            let mut since_turn: HashMap<(i32, u64), Vec<u64>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Join { priority, tenant, line } => {
                        let key = LineKey { candidates: line, usable: 1 };
                        let ticket = room.push(priority, tenant, key, (priority, tenant, line));
                        inside.push((ticket, priority, tenant, line));
                    }
                    Step::Leave(index) => {
                        if !inside.is_empty() {
                            let (ticket, priority, tenant, line) = inside.remove(index.index(inside.len()));
                            prop_assert_eq!(room.remove(&ticket), Some((priority, tenant, line)));
                        }
                    }
                    // Line 2 does not exist: nothing can move.
                    Step::Serve { free_line } => {
                        let served = room.take(|(_, _, line)| (*line == free_line).then_some(()));
                        let usable: Vec<_> = inside.iter().filter(|w| w.3 == free_line).copied().collect();
                        let Some(((priority, tenant, line), ())) = served else {
                            prop_assert!(usable.is_empty());
                            continue;
                        };
                        prop_assert_eq!(Some(priority), usable.iter().map(|w| w.1).max());
                        let mine = inside.iter().position(|w| (w.1, w.2, w.3) == (priority, tenant, line));
                        inside.remove(mine.expect("served somebody who waits"));
                        // A tenant that waits usably through the whole time is passed by each other at most once.
                        let others = usable.iter().filter(|w| w.1 == priority && w.2 != tenant).map(|w| w.2);
                        for other in others.collect::<BTreeSet<_>>() {
                            let passed = since_turn.entry((priority, other)).or_default();
                            prop_assert!(!passed.contains(&tenant), "tenant {} was passed twice", other);
                            passed.push(tenant);
                        }
                        since_turn.remove(&(priority, tenant));
                        // Passing counts only while the other waits without a break in usability.
                        since_turn.retain(|(p, t), _| {
                            *p == priority && inside.iter().any(|w| w.1 == *p && w.2 == *t && w.3 == free_line)
                        });
                    }
                }
                prop_assert_eq!(room.len(), inside.len());
                // A tenant that stopped waiting usably on any line starts anew.
                since_turn.retain(|(p, t), _| inside.iter().any(|w| w.1 == *p && w.2 == *t));
            }
        }
    }
}
