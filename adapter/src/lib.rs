//! tokenweir-adapter
