//! The law of memory can fail.
//!
//! One test alone in its program: memory is counted for the whole of it.

use tokenweir_fuzz::in_proportion;

#[test]
fn work_that_grows_with_the_square_of_the_input_is_out_of_proportion() {
    let quadratic = |length: usize| {
        in_proportion("copying", length, || {
            (0..length).map(|_| vec![0_u8; length].len()).sum::<usize>()
        })
    };
    assert_eq!(quadratic(100), 10_000);
    assert!(std::panic::catch_unwind(|| quadratic(5000)).is_err());
}
