//! Tests of the crate against what lies beside it.

mod chart;
