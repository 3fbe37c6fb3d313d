//! What `up` made, so that `down` removes that and nothing else.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cluster::Folders;
use crate::harness::{HarnessError, Result, file};

/// What `up` made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Whether it started the cluster.
    pub cluster_started: bool,
    /// The cluster, in words, to tell a person.
    pub cluster: String,
    /// The kube context that was named, if one was.
    pub context: Option<String>,
    /// Releases that were not there before, as installed in the namespace of operator and adapter.
    pub releases: Vec<String>,
    /// Whether the namespace of the releases was not there before.
    pub namespace_made: bool,
    /// Whether the example was applied.
    pub example_applied: bool,
}

impl Record {
    /// Where it is kept.
    pub fn path(folders: &Folders) -> PathBuf {
        folders.state.join("up.json")
    }

    /// Reads it; `None` if nothing was made.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file("read", path)(error)),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| HarnessError::Manifest {
                origin: path.display().to_string(),
                reason: format!("{e}; remove it if nothing of `make up` is left"),
            })
    }

    /// Writes it, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file("create", folder))?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|e| HarnessError::Manifest {
            origin: path.display().to_string(),
            reason: e.to_string(),
        })?;
        let temporary = path.with_extension("json.new");
        std::fs::write(&temporary, text).map_err(file("write", &temporary))?;
        std::fs::rename(&temporary, path).map_err(file("rename a file to", path))
    }

    /// Removes it.
    pub fn remove(path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file("remove", path)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/up.json");
        assert_eq!(Record::load(&path).unwrap(), None);
        let record = Record {
            cluster_started: true,
            releases: vec!["tokenweir".to_owned()],
            ..Record::default()
        };
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap(), Some(record));
        Record::remove(&path).unwrap();
        Record::remove(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap(), None);
    }

    #[test]
    fn a_damaged_record_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.json");
        std::fs::write(&path, "{").unwrap();
        let text = Record::load(&path).unwrap_err().to_string();
        assert!(text.contains("up.json") && text.contains("remove it"), "{text}");
    }
}
