//! tokenweir-operator
