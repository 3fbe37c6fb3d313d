//! API keys that requests must bring.

use std::path::Path;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The keys that are valid now.
pub(crate) struct Keys {
    required: bool,
    valid: ArcSwap<Vec<String>>,
}

impl Keys {
    pub(crate) fn new(valid: Vec<String>, required: bool) -> Self {
        Self {
            required,
            valid: ArcSwap::from_pointee(valid),
        }
    }

    pub(crate) fn set(&self, valid: Vec<String>) {
        self.valid.store(valid.into());
    }

    /// Whether a request with these headers is served.
    pub(crate) fn allows_headers(&self, headers: &HeaderMap) -> bool {
        !self.required || of(headers).is_some_and(|given| self.valid.load().iter().any(|valid| valid == given))
    }
}

/// The key that a request brings: OpenAI's bearer token, or Anthropic's header.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    bearer
        .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
        .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
        .map(str::trim)
}

/// The first 16 hex digits of a key's SHA-256: tells keys apart without showing them.
pub(super) fn short_hash(key: &str) -> String {
    use std::fmt::Write;
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(8)
        .fold(String::with_capacity(16), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Reads a key file: one key a line; empty lines and lines that begin with `#` do not count.
pub(crate) fn read_key_file(path: &Path) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}
