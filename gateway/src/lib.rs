//! tokenweir-gateway
