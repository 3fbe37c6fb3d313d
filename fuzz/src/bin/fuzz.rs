//! The fuzzer, with libFuzzer's own command line; `FUZZ_TARGET` names the target.

#![no_main]

libfuzzer_sys::fuzz_target!(init: tokenweir_fuzz::choose(), |data: &[u8]| tokenweir_fuzz::run(data));
