use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tokenweir_config::money::NanoUsd;
use uuid::Uuid;

use super::*;
use crate::{Outcome, RowId, Saved, Text, Tokens, UsageSource};

const SALT: u64 = 0x0123_4567_89ab_cdef;

fn text() -> impl Strategy<Value = Text> {
    // Control characters and lengths around the bound are cleaned on the way in, and must be stable from then on.
    prop_oneof![".{0,12}", "[a-z/-]{1,30}", "(ä|x){300,400}", "TWLR.{0,20}"].prop_map(|text| Text::new(&text))
}

fn count() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(prop_oneof![Just(0), 0..200_000_u64, any::<u64>()])
}

prop_compose! {
    fn tokens()(counts in proptest::array::uniform9(count())) -> Tokens {
        let [prompt, completion, total, cached, cache_write, cache_write_1h, input_audio, reasoning, output_audio] = counts;
        Tokens { prompt, completion, total, cached, cache_write, cache_write_1h, input_audio, reasoning, output_audio }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::ClientCut),
        text().prop_map(Outcome::Error)
    ]
}

fn usage() -> impl Strategy<Value = UsageSource> {
    prop_oneof![
        Just(UsageSource::Reported),
        Just(UsageSource::Estimated),
        Just(UsageSource::Unknown)
    ]
}

prop_compose! {
    fn row()(
        (request, attempt, at_us) in any::<(u128, u16, i64)>(),
        names in (text(), text(), text(), text(), text(), text()),
        words in proptest::array::uniform5(proptest::option::of(text())),
        (stream, tokens, usage, outcome) in (any::<bool>(), tokens(), usage(), outcome()),
        (cost, cache, coalescing) in any::<(Option<i64>, i64, i64)>(),
        (latency_us, first_token_us, status) in any::<(u64, Option<u64>, Option<u16>)>(),
    ) -> Row {
        let (request_id, tenant, route, provider, model, call) = names;
        let [key, end_user, operation, workflow, price] = words;
        Row {
            id: RowId { request: Uuid::from_u128(request), attempt },
            at_us, request_id, tenant, key, end_user, operation, workflow, route, provider, model, call, stream, tokens,
            usage, price, cost: cost.map(NanoUsd::new),
            saved: Saved { cache: NanoUsd::new(cache), coalescing: NanoUsd::new(coalescing) },
            latency_us, first_token_us, status, outcome,
        }
    }
}

fn encoded(rows: &[Row], salt: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for row in rows {
        encode(row, salt, &mut bytes).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// All rows that a reader finds, with the bytes it could not use.
fn read_all(mut bytes: &[u8], salt: u64) -> (Vec<Row>, usize) {
    let (mut rows, mut lost) = (Vec::new(), 0);
    while !bytes.is_empty() {
        let used = match read(bytes, salt) {
            Found::Row(row, used) => {
                rows.push(*row);
                used
            }
            Found::Broken(used) | Found::Foreign(used) => {
                lost += used;
                used
            }
            Found::Rest => {
                lost += bytes.len();
                bytes.len()
            }
        };
        bytes = &bytes[used..];
    }
    (rows, lost)
}

proptest! {
    #[test]
    fn a_row_that_is_written_is_read_again(row in row()) {
        let (bytes, _) = encoded(std::slice::from_ref(&row), SALT);
        prop_assert_eq!(read(&bytes, SALT), Found::Row(Box::new(row.clone()), bytes.len()));
        // Rows that are set aside are JSON.
        let json = serde_json::to_string(&row).unwrap();
        prop_assert_eq!(serde_json::from_str::<Row>(&json).unwrap(), row);
    }

    #[test]
    fn damage_costs_the_rows_it_touches_and_makes_none(
        rows in vec(row(), 1..12),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (bytes, ends) = encoded(&rows, SALT);
        let mut damaged = bytes.clone();
        for (place, byte) in damage {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        let mut start = 0;
        let mut untouched = Vec::new();
        for (row, end) in rows.iter().zip(&ends) {
            if bytes[start..*end] == damaged[start..*end] {
                untouched.push(row.clone());
            }
            start = *end;
        }
        prop_assert_eq!(read_all(&damaged, SALT).0, untouched);
    }

    #[test]
    fn a_torn_end_costs_the_last_row_only(rows in vec(row(), 1..6), cut in any::<prop::sample::Index>()) {
        let (bytes, ends) = encoded(&rows, SALT);
        let cut = cut.index(bytes.len());
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (read, lost) = read_all(&bytes[..cut], SALT);
        prop_assert_eq!(&read[..], &rows[..whole]);
        prop_assert_eq!(lost, cut - if whole == 0 { 0 } else { ends[whole - 1] });
    }

    #[test]
    fn foreign_bytes_are_never_rows(bytes in vec(any::<u8>(), 1..400)) {
        prop_assert_eq!(read_all(&bytes, SALT), (Vec::new(), bytes.len()));
    }
}

#[test]
fn a_frame_of_another_file_is_no_row_of_this_one() {
    let mut rows = Vec::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..4 {
        rows.push(row().new_tree(&mut runner).unwrap().current());
    }
    let (bytes, _) = encoded(&rows, SALT);
    assert_eq!(read_all(&bytes, SALT).0.len(), 4);
    assert_eq!(read_all(&bytes, SALT ^ 1).0, Vec::new());
}

#[test]
fn a_later_format_is_kept_apart_and_what_follows_it_is_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let row = row().new_tree(&mut runner).unwrap().current();
    let (mut later, _) = encoded(std::slice::from_ref(&row), SALT);
    later[4] = FORMAT + 1;
    let length = u32::try_from(later.len() - HEADER).unwrap();
    let check = check(SALT, FORMAT + 1, length, &later[HEADER..]);
    later[9..HEADER].copy_from_slice(&check.to_le_bytes());
    let first = later.len();
    assert_eq!(read(&later, SALT), Found::Foreign(first));
    encode(&row, SALT, &mut later).unwrap();
    assert_eq!(
        read(&later[first..], SALT),
        Found::Row(Box::new(row), later.len() - first)
    );
}
