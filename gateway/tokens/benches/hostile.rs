//! Counting texts that bring other implementations to their knees: time a byte must not grow with the length.

use divan::Bencher;
use divan::counter::BytesCount;
use tokenweir_tokens::{count_text, load};

/// Bytes of text.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    match load().map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => divan::main(),
        _ => std::process::exit(1),
    }
}

fn run(bencher: Bencher<'_, '_>, text: &str) {
    bencher
        .counter(BytesCount::of_str(text))
        .bench(|| count_text(divan::black_box(text), "gpt-4o"));
}

#[divan::bench(args = SIZES)]
fn prose(bencher: Bencher<'_, '_>, size: usize) {
    let line = "tell me about rivers and weirs, and about all that they do to the land.\n";
    run(bencher, &line.repeat(size / line.len()));
}

#[divan::bench(args = SIZES)]
fn spaces(bencher: Bencher<'_, '_>, size: usize) {
    run(bencher, &" ".repeat(size));
}

#[divan::bench(args = SIZES)]
fn one_giant_word(bencher: Bencher<'_, '_>, size: usize) {
    run(bencher, &"abcdefghij".repeat(size / 10));
}

/// Bytes of a simple generator, read as text as far as they are some.
#[divan::bench(args = SIZES)]
fn random_bytes(bencher: Bencher<'_, '_>, size: usize) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    run(bencher, &String::from_utf8_lossy(&bytes));
}
