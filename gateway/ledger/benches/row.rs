//! What it costs to write a row down and to read it, against JSON. `cargo bench -p tokenweir-ledger --bench row` prints the
//! sizes too.

use divan::{Bencher, black_box};
use tokenweir_config::money::NanoUsd;
use tokenweir_ledger::frame::{Found, encode, read};
use tokenweir_ledger::{Outcome, Row, RowId, Saved, Text, Tokens, UsageSource};

fn main() {
    let (row, mut frame) = (row(), Vec::new());
    let _ = encode(&row, 1, &mut frame);
    let json = serde_json::to_vec(&row).unwrap_or_default();
    #[expect(clippy::print_stdout, reason = "a bench prints what it finds")]
    {
        println!("bytes of a row: {} as a frame, {} as JSON", frame.len(), json.len());
    }
    divan::main();
}

fn row() -> Row {
    Row {
        id: RowId {
            request: uuid::Uuid::from_u128(0x0193_5f2c_0000_7000_8000_1234_5678_9abc),
            attempt: 0,
        },
        at_us: 1_795_298_400_123_456,
        request_id: Text::new("req-0193c0de5f2c7000"),
        tenant: Text::new("acme/search"),
        key: Text::some("search-ci"),
        end_user: Text::some("p-0123456789abcdef0123456789abcdef"),
        operation: Text::some("summarise"),
        workflow: Text::some("wf-20261121-0007"),
        route: Text::new("smart"),
        provider: Text::new("openai-eu"),
        model: Text::new("gpt-5-2026-08-01"),
        call: Text::new("chat"),
        stream: true,
        tokens: Tokens {
            prompt: Some(1_234),
            completion: Some(321),
            total: Some(1_555),
            cached: Some(1_024),
            ..Tokens::default()
        },
        usage: UsageSource::Reported,
        price: Text::some("bundled-2026-11-01"),
        cost: Some(NanoUsd::new(3_456_789)),
        saved: Saved::default(),
        latency_us: 1_234_567,
        first_token_us: Some(234_567),
        status: Some(200),
        outcome: Outcome::Ok,
    }
}

#[divan::bench]
fn encode_a_row(bencher: Bencher<'_, '_>) {
    let row = row();
    let mut to = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        to.clear();
        encode(black_box(&row), 1, &mut to)
    });
}

#[divan::bench]
fn encode_a_row_as_json(bencher: Bencher<'_, '_>) {
    let row = row();
    let mut to = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        to.clear();
        serde_json::to_writer(&mut to, black_box(&row))
    });
}

#[divan::bench]
fn decode_a_row(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    let _ = encode(&row(), 1, &mut bytes);
    bencher.bench_local(|| matches!(read(black_box(&bytes), 1), Found::Row(..)));
}

#[divan::bench]
fn decode_a_row_as_json(bencher: Bencher<'_, '_>) {
    let bytes = serde_json::to_vec(&row()).unwrap_or_default();
    bencher.bench_local(|| serde_json::from_slice::<Row>(black_box(&bytes)));
}
