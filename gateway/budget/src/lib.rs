//! Budgets that cannot be overspent, by escrow instead of check-then-increment.
//!
//! # Parts
//!
//! A *limit* allows an [`amount`] (nano-USD or tokens) over a [`window`]. What is spent in one window of one limit is counted in
//! one *account*. All accounts of a budget are kept by a *centre* ([`escrow`]): Redis, or the memory of a single process. A
//! *holder* is one life of one gateway process; it has a [`lease`] of each account that its requests touch: money that it may
//! spend without asking. A request's worst case ([`demand`]) is reserved from the leases of all its accounts before it is sent,
//! and settled by what the provider charged. The [`ladder`] says what happens as an account runs low.
//!
//! # The law
//!
//! In strict mode the charges of providers never exceed limit, carry-over and grants, as long as no charge exceeds the worst case
//! that was reserved for it. `tests/it/law.rs` holds the code to it over made-up histories of requests, deaths, lost, late and
//! doubled messages, clocks, outages, crashes that bring back an older state or nothing, resets, grants and changed limits.
//!
//! # The protocol
//!
//! There is one message: a holder tells its running totals, *granted*, *released*, *spent*, and what it wants; the centre answers
//! with the holder's *granted*. Totals only grow, and each side keeps the larger of what it knows and what it hears. A message
//! that is doubled, late, or overtaken changes nothing, so no operation needs an id. Of each holder, what it was granted and has
//! neither given back nor reported as spent, is its *outstanding* money:
//!
//! - at the holder: `granted - released - spent = free + reserved`, always;
//! - at the centre: `spent of all + outstanding of all + presumed <= ceiling` whenever something is granted.
//!
//! What the centre believes outstanding is never less than what the holder can still spend: the holder gives money back before it
//! says so, and uses what it was granted after it has heard so.
//!
//! A request belongs to the window in which it was reserved, and is settled there, even after that window has ended.
//!
//! # What each fault does
//!
//! | fault | what happens |
//! |---|---|
//! | a message or an answer is lost | the next one carries the same totals |
//! | a holder dies | its outstanding money is *in doubt* once its lease has ended, and counts as spent, since providers may have charged it. It returns when somebody with proof, such as the ledger, [reconciles](escrow::Book::reconcile) the holder, and otherwise ends with the window. What is in doubt is small, since leases are: seconds of the holder's own rate, and nothing where it is idle |
//! | a holder cannot reach the centre | it spends its lease, for [`escrow::LONGEST_LEASE`] less [`lease::LEASE_MARGIN`] at most. A lease that has run out does not come back: the holder settles it and begins anew under another name |
//! | clocks differ by up to 2 s | a lease ends earlier for its holder than for the centre, by more than that; a window that a replica opens early is not taken for untouched ([`escrow::CLOCK_SKEW`]) |
//! | the centre restarts, or another server takes over | its memory may be older than its answers. Unless the server is known to keep what it acknowledges, all that is not known to be unspent is *presumed* spent. Holders that live tell what they have, and their part leaves the presumption; what they give back can be granted again. The rest returns by [proof](escrow::Book::restore), or with the next window, or, in rolling windows, with time |
//! | the centre has lost everything | the same. That a budget is new, nobody can tell from an empty store: it is said by who knows, once ([`escrow::Book::registered`]) |
//! | a limit is lowered, a grant ends | nothing more is granted; leases that were granted are spent |
//! | a reset | a new account; the old one settles what was reserved in it |
//!
//! A second kind of lease, promised but not to be spent before the centre hears of it, was weighed and left out: what a replica
//! may spend while it is cut off is exactly what has to be taken as spent when it is gone, so such a promise is worth nothing in
//! an outage, and with the centre at hand it is no more than asking again.

pub mod amount;
pub mod budgets;
pub mod clock;
pub mod demand;
pub mod escrow;
pub mod ladder;
pub mod lease;
pub mod store;
pub mod window;
