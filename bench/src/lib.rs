//! tokenweir-bench
