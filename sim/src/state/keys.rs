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

    /// Whether requests must bring a key.
    pub(crate) const fn are_required(&self) -> bool {
        self.required
    }

    /// Whether a request with this key is served.
    pub(crate) fn allow(&self, given: Option<&str>) -> bool {
        !self.required || given.is_some_and(|given| self.valid.load().iter().any(|valid| valid == given))
    }
}

/// Headers that bring a key as they are.
pub(crate) const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// A bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok())?;
    let token = value
        .strip_prefix("Bearer ")
        .or_else(|| value.strip_prefix("bearer "))?;
    Some(token.trim())
}

/// The key that a request brings, wherever it stands.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let mut plain = KEY_HEADERS.iter().filter_map(|name| headers.get(*name));
    bearer(headers).or_else(|| plain.find_map(|value| value.to_str().ok()).map(str::trim))
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
