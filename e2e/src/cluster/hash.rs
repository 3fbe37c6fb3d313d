//! Content hashes that name cached things.

use ring::digest::{Context, SHA256};

/// Hashes a sequence of byte strings, each with its length, so that moving a boundary changes the hash.
pub(crate) struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    pub(crate) fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 48 bits in hexadecimal: enough to tell apart the few builds of one name.
    pub(crate) fn finish(self) -> String {
        let digest = self.0.finish();
        let (start, _) = digest.as_ref().split_at(6);
        start
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[&str]) -> String {
        let mut hasher = Hasher::default();
        for part in parts {
            hasher.add(part.as_bytes());
        }
        hasher.finish()
    }

    #[test]
    fn the_hash_depends_on_content_and_boundaries_only() {
        assert_eq!(hash(&["ab", "c"]), hash(&["ab", "c"]));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["x"]).len(), 12);
    }
}
