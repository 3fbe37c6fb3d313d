//! OpenAI's dialects: Chat Completions on both sides, Completions as a client.

mod completions;
