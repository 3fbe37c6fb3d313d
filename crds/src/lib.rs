//! tokenweir-crds
