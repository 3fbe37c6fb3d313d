//! Rows for tests.

use tokenweir_config::money::NanoUsd;
use tokenweir_ledger::{Outcome, Row, RowId, Saved, Text, Tokens, UsageSource};
use uuid::Uuid;

/// 21 November 2026, 22:00 UTC.
pub const START_US: i64 = 1_795_298_400_000_000;

/// The row of this number. Numbers give ids, so that a row is known again, and money, so that sums tell.
pub fn row(number: u64) -> Row {
    let pick = |names: &[&str]| Text::new(names[usize::try_from(number).unwrap() % names.len()]);
    let cost = (!number.is_multiple_of(17)).then(|| NanoUsd::new(cost_of(number)));
    Row {
        id: RowId {
            request: Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 | u128::from(number)),
            attempt: u16::from(number.is_multiple_of(5)),
        },
        at_us: START_US + i64::try_from(number).unwrap() * 1_000,
        request_id: Text::new(&format!("req-{number}")),
        tenant: pick(&["acme", "acme/search", "acme/search/ann", "beta"]),
        key: Some(pick(&["k1", "k2"])),
        end_user: (!number.is_multiple_of(3)).then(|| pick(&["u1", "u2", "u3", "u4", "u5"])),
        operation: Some(pick(&["summarise", "translate \\ and\ttab", "chat"])),
        workflow: number
            .is_multiple_of(2)
            .then(|| Text::new(&format!("wf-{}", number / 10))),
        route: pick(&["fast", "smart"]),
        provider: pick(&["openai", "anthropic", "vllm"]),
        model: pick(&["gpt-5", "claude-5", "qwen"]),
        call: Text::new("chat"),
        stream: number.is_multiple_of(2),
        tokens: Tokens {
            prompt: Some(100 + number % 1000),
            completion: Some(number % 300),
            cached: number.is_multiple_of(4).then_some(50),
            ..Tokens::default()
        },
        usage: UsageSource::Reported,
        price: cost.map(|_| Text::new("bundled-2026-11")),
        cost,
        saved: Saved {
            cache: NanoUsd::new(i64::try_from(number % 7).unwrap()),
            coalescing: NanoUsd::ZERO,
        },
        latency_us: 250_000 + number % 1000,
        first_token_us: number.is_multiple_of(2).then_some(90_000),
        status: Some(200),
        outcome: match number % 50 {
            0 => Outcome::ClientCut,
            1 => Outcome::Error(Text::new("timeout")),
            _ => Outcome::Ok,
        },
    }
}

/// What the row of this number costs, if it has a price: odd amounts, so that no rounding goes unseen.
pub fn cost_of(number: u64) -> i64 {
    i64::try_from(1_234_567 + number * 7 % 1_000_003).unwrap()
}

/// The number that a row was made from.
pub fn number_of(row: &Row) -> u64 {
    u64::try_from(row.id.request.as_u128() & u128::from(u64::MAX >> 2)).unwrap()
}
