//! tokenweir-llm
