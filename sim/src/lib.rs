//! tokenweir-sim
