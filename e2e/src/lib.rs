//! tokenweir-e2e
