//! A fixed document with its hash.

use std::fmt::Write;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde::Serialize;

/// A document that never changes while the program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub content_type: &'static str,
    /// Its text.
    pub body: Bytes,
    hash: String,
}

impl Document {
    /// Writes a value as JSON.
    pub fn json(content_type: &'static str, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        let hash = digest(&SHA256, &body)
            .as_ref()
            .iter()
            .fold(String::new(), |mut hash, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hash, "{byte:02X}");
                hash
            });
        Ok(Self {
            content_type,
            body: body.into(),
            hash,
        })
    }

    /// Hash of the text, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The entity tag.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    /// Whether an `If-None-Match` header names this very text.
    pub fn matches(&self, if_none_match: &str) -> bool {
        if_none_match.split(',').map(str::trim).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.trim_matches('"') == self.hash
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_knows_its_tag_however_it_is_written() {
        let document = Document::json("application/json", &1).unwrap();
        let tag = document.etag();
        for header in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            document.hash().into(),
            "*".into(),
        ] {
            assert!(document.matches(&header), "{header}");
        }
        assert!(!document.matches("\"x\""));
        assert!(!document.matches(""));
    }
}
