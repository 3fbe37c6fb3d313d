//! The last good configuration on the pod's own disk, so that a restart does not need the API server.
//!
//! One file: a line with the digest, then the snapshot's JSON. It is written beside its name, flushed to the disk and
//! moved over it, so that a crash leaves the old copy or the new one; the digest tells a damaged copy.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokenweir_config::shards::digest_hex;
use tokenweir_config::status::Source;
use tokenweir_config::{Snapshot, SnapshotError};

use super::Offer;

/// Name of the file in the state folder.
const FILE: &str = "snapshot";

/// Why there is no usable copy.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The copy is not what was written.
    #[error("{0} is damaged: its digest does not match")]
    Damaged(PathBuf),
    /// The copy was written by a newer version, or is not a snapshot.
    #[error("{path}: {source}")]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
}

/// A state folder with room for one copy.
#[derive(Debug, Clone)]
pub struct DiskCopy {
    folder: PathBuf,
}

impl DiskCopy {
    /// A copy in this folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Reads the copy. `None` if none was ever written.
    pub fn load(&self) -> Result<Option<Offer>, DiskError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DiskError::Io { path, source }),
        };
        let split = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| DiskError::Damaged(path.clone()))?;
        let (digest, json) = (&bytes[..split], &bytes[split + 1..]);
        let found = digest_hex(json);
        if found.as_bytes() != digest {
            return Err(DiskError::Damaged(path));
        }
        let snapshot = Snapshot::from_json(json).map_err(|source| DiskError::Snapshot { path, source })?;
        Ok(Some(Offer {
            source: Source::Disk,
            snapshot,
            digest: found,
            json: json.to_vec(),
        }))
    }

    /// Puts a configuration in place of the copy. Blocks until the disk has it.
    ///
    /// The file holds credentials: nobody but the owner may read it.
    pub fn store(&self, digest: &str, json: &[u8]) -> Result<(), DiskError> {
        fs::create_dir_all(&self.folder).map_err(|source| DiskError::Io {
            path: self.folder.clone(),
            source,
        })?;
        let path = self.folder.join(FILE);
        write_private(&path, &[digest.as_bytes(), b"\n", json]).map_err(|source| DiskError::Io { path, source })
    }
}

/// Puts a file in place of the one of this name, if any: whole or not at all, and readable by its owner alone.
pub(crate) fn write_private(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The new name itself is durable only once the folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::snapshot;

    fn copy() -> (tempfile::TempDir, DiskCopy) {
        let folder = tempfile::tempdir().unwrap();
        let copy = DiskCopy::new(folder.path().join("state"));
        (folder, copy)
    }

    #[test]
    fn a_copy_comes_back_as_it_was_written_and_is_private() {
        let (_folder, copy) = copy();
        assert!(copy.load().unwrap().is_none());
        for generation in [1, 2] {
            let snapshot = snapshot(generation);
            let json = snapshot.to_json().unwrap();
            copy.store(&digest_hex(&json), &json).unwrap();
            let offer = copy.load().unwrap().unwrap();
            assert_eq!(offer.snapshot, snapshot);
            assert_eq!(offer.source, Source::Disk);
            assert_eq!(offer.digest, digest_hex(&json));
        }
        let mode = fs::metadata(copy.folder.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_or_newer_copy_is_refused_with_the_reason() {
        let (_folder, copy) = copy();
        let json = snapshot(1).to_json().unwrap();
        copy.store(&digest_hex(&json), &json).unwrap();
        let path = copy.folder.join(FILE);
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[..10], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(copy.load(), Err(DiskError::Damaged(_))));
        }
        let newer = br#"{"format":999}"#;
        copy.store(&digest_hex(newer), newer).unwrap();
        let error = copy.load().unwrap_err().to_string();
        assert!(error.contains("format 999"), "{error}");
    }

    #[test]
    fn a_write_that_broke_off_leaves_the_copy_before_it() {
        let (_folder, copy) = copy();
        let json = snapshot(1).to_json().unwrap();
        copy.store(&digest_hex(&json), &json).unwrap();
        fs::write(copy.folder.join("snapshot.new"), b"half").unwrap();
        assert_eq!(copy.load().unwrap().unwrap().snapshot.generation, 1);
        copy.store(&digest_hex(&json), &json).unwrap();
        assert!(!copy.folder.join("snapshot.new").exists());
    }
}
