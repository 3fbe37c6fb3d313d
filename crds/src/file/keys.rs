//! Keys that the file mode makes, each in a file of its own that only the owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tokenweir_config::keys::{KeyError, decode_32, generate_api_key, generate_secret};

/// Why a key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file holds something else than a key.
    #[error("{path}: {source}; delete the file to get a new one")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A folder with keys. A key, once made, stays the same over restarts.
#[derive(Debug, Clone)]
pub struct KeyStore {
    folder: PathBuf,
    hash_key: String,
}

impl KeyStore {
    /// Opens the store in the folder `keys` below `state_dir`, and makes both where they are missing.
    pub fn open(state_dir: &Path) -> Result<Self, KeyStoreError> {
        let folder = state_dir.join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| KeyStoreError::Io {
                path: folder.clone(),
                source,
            })?;
        let path = state_dir.join("key-hash-key");
        let hash_key = read_or_make(&path, generate_secret)?;
        decode_32(&hash_key).map_err(|source| KeyStoreError::Content { path, source })?;
        Ok(Self { folder, hash_key })
    }

    /// The key under which API keys are hashed, base64.
    pub fn key_hash_key(&self) -> &str {
        &self.hash_key
    }

    /// The file of the API key that stands for a minted Secret. `secret` is the name of a Kubernetes object.
    pub fn path(&self, secret: &str) -> PathBuf {
        self.folder.join(secret)
    }

    /// The API key that stands for a minted Secret; it is made when it is first asked for.
    pub fn api_key(&self, secret: &str) -> Result<String, KeyStoreError> {
        read_or_make(&self.path(secret), generate_api_key)
    }
}

/// Reads a file, or writes what `make` gives into it. Whoever of two callers comes second reads what the first one wrote.
fn read_or_make(path: &Path, make: impl FnOnce() -> Result<String, KeyError>) -> Result<String, KeyStoreError> {
    let failed = |source| KeyStoreError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let value = make()?;
    // A link appears at once with all its content, and never over another one.
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = write_private(&draft, &value).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs::read_to_string(path),
    });
    let removed = fs::remove_file(&draft);
    let text = written.map_err(failed)?;
    removed.map_err(failed)?;
    Ok(text.trim().to_owned())
}

fn write_private(path: &Path, value: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{value}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokenweir_config::keys::API_KEY_PREFIX;

    use super::*;

    #[test]
    fn keys_stay_the_same_and_private() {
        let state = tempfile::tempdir().unwrap();
        let store = KeyStore::open(state.path()).unwrap();
        let key = store.api_key("acme-ci").unwrap();
        assert!(key.starts_with(API_KEY_PREFIX));
        let again = KeyStore::open(state.path()).unwrap();
        assert_eq!(again.api_key("acme-ci").unwrap(), key);
        assert_eq!(again.key_hash_key(), store.key_hash_key());
        assert_ne!(again.api_key("globex-ci").unwrap(), key);
        let mode = fs::metadata(store.path("acme-ci")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(state.path().join("keys")).unwrap().count(),
            2,
            "no drafts are left"
        );
    }

    #[test]
    fn a_damaged_hash_key_is_an_error_that_names_the_file() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("key-hash-key"), "short").unwrap();
        let error = KeyStore::open(state.path()).unwrap_err().to_string();
        assert!(
            error.contains("key-hash-key") && error.contains("delete the file"),
            "{error}"
        );
    }
}
