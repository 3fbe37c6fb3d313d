//! OpenAI's dialects: Chat Completions on both sides, Completions as a client.

mod answers;
mod completions;
mod errors;
mod laws;
mod made;
mod reading;
mod streams;
mod told;
mod writing;

/// JSON with one field a line, as golden files show it best.
fn pretty(json: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}
