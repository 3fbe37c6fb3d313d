//! Tests of the crate against what lies beside it.

#[cfg(test)]
mod chart;
