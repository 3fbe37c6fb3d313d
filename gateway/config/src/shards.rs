//! A snapshot in Secrets: compressed, cut where it is large, and put together again only when every piece belongs.
//!
//! The index Secret `GATEWAY-snapshot` says generation, digest and number of shards. A snapshot that fits travels inside
//! it. A larger one lies in `GATEWAY-snapshot-SET-N`, where the set alternates between `a` and `b` from one write to the
//! next: pieces are written before the index that names them, so a reader that comes in between still finds every piece
//! of the older index. The names are known beforehand, and the gateway's Role lists just them.

use std::collections::BTreeMap;

use ring::digest;

use crate::names::snapshot_secret;

/// Bytes in one Secret. Kubernetes allows 1 MiB for all data of one; base64 and metadata want room in an etcd request.
pub const SHARD_BYTES: usize = 768 * 1024;
/// Shards in one set: 12 MiB compressed, which is more than 100 MiB of configuration.
pub const MAX_SHARDS: usize = 16;
/// What a decompressed snapshot may take, so that foreign bytes cannot exhaust the memory.
const MAX_SNAPSHOT_BYTES: usize = 256 * 1024 * 1024;

const FIELD_GENERATION: &str = "generation";
const FIELD_DIGEST: &str = "digest";
const FIELD_SHARDS: &str = "shards";
const FIELD_SET: &str = "set";
const FIELD_DATA: &str = "data";

/// Data of one Secret.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Which of the two alternating sets of names holds the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// First.
    A,
    /// Second.
    B,
}

impl Set {
    /// The set for the next write.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// A snapshot as Secrets: write `shards` first, then `index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharded {
    /// Secrets by name. Empty when the snapshot travels in the index.
    pub shards: BTreeMap<String, SecretData>,
    /// Name of the index Secret.
    pub index_name: String,
    /// Its data.
    pub index: SecretData,
}

/// What an index Secret says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Generation of the snapshot.
    pub generation: u64,
    /// SHA-256 of the uncompressed JSON, lower-case hex.
    pub digest: String,
    /// Set in which the shards lie.
    pub set: Set,
    /// Names of the Secrets to read, in order. Empty: the data is in the index itself.
    pub shard_names: Vec<String>,
    inline: Option<Vec<u8>>,
}

/// Why Secrets do not make a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Larger than all shards together.
    #[error("the compressed snapshot has {bytes} bytes, {MAX_SHARDS} Secrets hold {}", SHARD_BYTES * MAX_SHARDS)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The index lacks a field or has one that does not parse.
    #[error("field {0} of the snapshot index is missing or malformed")]
    Index(&'static str),
    /// A shard is not there yet, or belongs to another write.
    #[error("a shard of the snapshot is missing")]
    MissingShard,
    /// The pieces are not those of the index.
    #[error("the shards do not match the digest of the index")]
    Digest,
    /// zstd does not like the bytes.
    #[error("the snapshot does not decompress: {0}")]
    Compression(String),
}

/// Lower-case hex SHA-256, the digest of a snapshot's JSON.
pub fn digest_hex(json: &[u8]) -> String {
    use std::fmt::Write as _;
    digest::digest(&digest::SHA256, json)
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Every Secret name that a gateway may have to read, for its Role.
pub fn all_names(gateway: &str) -> Vec<String> {
    let index = snapshot_secret(gateway);
    let mut names = vec![index.clone()];
    for set in [Set::A, Set::B] {
        names.extend((0..MAX_SHARDS).map(|n| shard_name(&index, set, n)));
    }
    names
}

/// Compresses a snapshot's JSON and cuts it into Secrets.
pub fn split(gateway: &str, generation: u64, json: &[u8], set: Set) -> Result<Sharded, ShardError> {
    let compressed = zstd::encode_all(json, 3).map_err(|e| ShardError::Compression(e.to_string()))?;
    let index_name = snapshot_secret(gateway);
    let mut index = SecretData::from([
        (FIELD_GENERATION.into(), generation.to_string().into_bytes()),
        (FIELD_DIGEST.into(), digest_hex(json).into_bytes()),
        (FIELD_SET.into(), set.as_str().into()),
    ]);
    let mut shards = BTreeMap::new();
    if compressed.len() <= SHARD_BYTES {
        index.insert(FIELD_SHARDS.into(), b"0".to_vec());
        index.insert(FIELD_DATA.into(), compressed);
    } else {
        let count = compressed.len().div_ceil(SHARD_BYTES);
        if count > MAX_SHARDS {
            return Err(ShardError::TooLarge {
                bytes: compressed.len(),
            });
        }
        index.insert(FIELD_SHARDS.into(), count.to_string().into_bytes());
        for (n, chunk) in compressed.chunks(SHARD_BYTES).enumerate() {
            let data = SecretData::from([(FIELD_DATA.into(), chunk.to_vec())]);
            shards.insert(shard_name(&index_name, set, n), data);
        }
    }
    Ok(Sharded {
        shards,
        index_name,
        index,
    })
}

impl Index {
    /// Reads the index Secret of a gateway.
    pub fn parse(gateway: &str, data: &SecretData) -> Result<Self, ShardError> {
        let text = |field: &'static str| -> Result<&str, ShardError> {
            let bytes = data.get(field).ok_or(ShardError::Index(field))?;
            std::str::from_utf8(bytes).map_err(|_| ShardError::Index(field))
        };
        let generation = text(FIELD_GENERATION)?
            .parse()
            .map_err(|_| ShardError::Index(FIELD_GENERATION))?;
        let count: usize = text(FIELD_SHARDS)?
            .parse()
            .map_err(|_| ShardError::Index(FIELD_SHARDS))?;
        if count > MAX_SHARDS {
            return Err(ShardError::Index(FIELD_SHARDS));
        }
        let set = match text(FIELD_SET)? {
            "a" => Set::A,
            "b" => Set::B,
            _ => return Err(ShardError::Index(FIELD_SET)),
        };
        let inline = match count {
            0 => Some(data.get(FIELD_DATA).ok_or(ShardError::Index(FIELD_DATA))?.clone()),
            _ => None,
        };
        let index = snapshot_secret(gateway);
        let shard_names = (0..count).map(|n| shard_name(&index, set, n)).collect();
        Ok(Self {
            generation,
            digest: text(FIELD_DIGEST)?.to_owned(),
            set,
            shard_names,
            inline,
        })
    }

    /// Puts the snapshot's JSON together. `shard` gives the data of a Secret by name.
    pub fn join<'a>(&self, shard: impl Fn(&str) -> Option<&'a SecretData>) -> Result<Vec<u8>, ShardError> {
        let mut pieces = Vec::new();
        for name in &self.shard_names {
            let piece = shard(name)
                .and_then(|data| data.get(FIELD_DATA))
                .ok_or(ShardError::MissingShard)?;
            pieces.extend_from_slice(piece);
        }
        let compressed = self.inline.as_deref().unwrap_or(&pieces);
        let json = decompress(compressed)?;
        if digest_hex(&json) == self.digest {
            Ok(json)
        } else {
            Err(ShardError::Digest)
        }
    }
}

fn shard_name(index: &str, set: Set, n: usize) -> String {
    format!("{index}-{}-{n}", set.as_str())
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, ShardError> {
    use std::io::Read as _;
    let failed = |e: std::io::Error| ShardError::Compression(e.to_string());
    let mut json = Vec::new();
    let decoder = zstd::Decoder::new(bytes).map_err(failed)?;
    decoder
        .take(MAX_SNAPSHOT_BYTES as u64 + 1)
        .read_to_end(&mut json)
        .map_err(failed)?;
    if json.len() > MAX_SNAPSHOT_BYTES {
        return Err(ShardError::Compression(format!("more than {MAX_SNAPSHOT_BYTES} bytes")));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not compress, so that the number of shards is known.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(len)
        .collect()
    }

    fn join(sharded: &Sharded) -> Result<Vec<u8>, ShardError> {
        Index::parse("edge", &sharded.index)?.join(|name| sharded.shards.get(name))
    }

    #[test]
    fn a_small_snapshot_travels_in_its_index() {
        let sharded = split("edge", 7, b"{}", Set::A).unwrap();
        assert!(sharded.shards.is_empty());
        assert_eq!(Index::parse("edge", &sharded.index).unwrap().generation, 7);
        assert_eq!(join(&sharded).unwrap(), b"{}");
    }

    #[test]
    fn a_large_snapshot_is_cut_and_put_together_again() {
        let json = noise(SHARD_BYTES * 2 + 5);
        let sharded = split("edge", 1, &json, Set::B).unwrap();
        assert_eq!(sharded.shards.len(), 3);
        assert!(sharded.shards.keys().all(|name| all_names("edge").contains(name)));
        assert_eq!(join(&sharded).unwrap(), json);
    }

    #[test]
    fn pieces_of_another_write_are_refused() {
        let old = split("edge", 1, &noise(SHARD_BYTES * 2), Set::A).unwrap();
        let mut new = split("edge", 2, &noise(SHARD_BYTES * 2 + 1), Set::A).unwrap();
        let first = new.shards.keys().next().unwrap().clone();
        new.shards
            .insert(first.clone(), SecretData::from([("data".into(), noise(10))]));
        assert!(join(&new).is_err());
        new.shards.remove(&first);
        assert_eq!(join(&new), Err(ShardError::MissingShard));
        assert!(join(&old).is_ok());
    }

    #[test]
    fn a_snapshot_beyond_all_shards_is_an_error_with_its_size() {
        let json = noise(SHARD_BYTES * MAX_SHARDS + 1);
        assert!(
            matches!(split("edge", 1, &json, Set::A), Err(ShardError::TooLarge { bytes }) if bytes > json.len() - 1)
        );
    }

    #[test]
    fn foreign_bytes_are_errors() {
        let mut sharded = split("edge", 1, b"{}", Set::A).unwrap();
        sharded.index.insert("data".into(), b"not zstd".to_vec());
        assert!(matches!(join(&sharded), Err(ShardError::Compression(_))));
        sharded.index.remove("data");
        assert_eq!(join(&sharded), Err(ShardError::Index("data")));
        sharded.index.insert("shards".into(), b"999".to_vec());
        assert_eq!(join(&sharded), Err(ShardError::Index("shards")));
    }
}
