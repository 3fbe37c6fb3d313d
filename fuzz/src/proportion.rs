//! Memory in proportion to the input.
//!
//! All memory that is asked for is counted, also what is given back at once. So it is a measure of work too, and one
//! that does not depend on the machine: what copies its input once for each of its parts is found by it.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that anything may ask for.
const ALWAYS: usize = 256 * 1024;
/// Bytes more for each byte of the input.
const TIMES: usize = 1000;

/// Runs what reads `length` bytes. Panics if it asks for more memory than is in proportion to them.
pub fn in_proportion<T>(what: &str, length: usize, run: impl FnOnce() -> T) -> T {
    let region = Region::new(MEMORY);
    let out = run();
    let asked = region.change().bytes_allocated;
    assert!(
        asked <= ALWAYS + TIMES * length,
        "{what}: {asked} bytes of memory for {length} bytes of input"
    );
    out
}
