//! Files that are made from the kinds: the chart of the definitions and the reference.

mod chart;
pub mod cli;
mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::schema::{SchemaError, definitions};

/// Folders, relative to the root of the repository, in which every file is generated.
const GENERATED_FOLDERS: [&str; 2] = ["charts/tokenweir-crds/templates", "docs/reference"];

/// Why files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A definition is not valid.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A definition cannot be written as YAML.
    #[error("a definition cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    /// A definition cannot be read as JSON.
    #[error("a definition cannot be read as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A definition has text that helm would take for a template.
    #[error("the definition of {0} contains {{{{, which helm would take for a template")]
    Template(String),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// How a file in the repository differs from what would be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It is not there.
    Missing,
    /// It has other content.
    Different,
    /// It would not be generated.
    Stale,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Stale => "stale",
        })
    }
}

/// All generated files, by their path relative to the root of the repository.
pub fn files() -> Result<BTreeMap<PathBuf, String>, GenerateError> {
    let definitions = definitions()?;
    let mut files = BTreeMap::new();
    for definition in &definitions {
        let name = definition.spec.names.singular.clone().unwrap_or_default();
        let template = chart::template(definition)?;
        files.insert(
            PathBuf::from(format!("charts/tokenweir-crds/templates/{name}.yaml")),
            template,
        );
        files.insert(
            PathBuf::from(format!("docs/reference/{name}.md")),
            reference::page(definition)?,
        );
    }
    files.insert(PathBuf::from("charts/tokenweir-crds/Chart.yaml"), chart::chart());
    files.insert(
        PathBuf::from("charts/tokenweir-crds/values.yaml"),
        chart::VALUES.to_owned(),
    );
    files.insert(
        PathBuf::from("charts/tokenweir-crds/values.schema.json"),
        chart::VALUES_SCHEMA.to_owned(),
    );
    files.insert(
        PathBuf::from("docs/reference/README.md"),
        reference::index(&definitions),
    );
    files.insert(PathBuf::from("docs/reference/conditions.md"), reference::conditions());
    Ok(files)
}

/// The definitions as one stream of YAML documents, for `kubectl apply --server-side -f -`.
pub fn manifests() -> Result<String, GenerateError> {
    let documents: Result<Vec<String>, GenerateError> = definitions()?.iter().map(chart::manifest).collect();
    Ok(documents?.join("---\n"))
}

/// Compares the repository at `root` with what would be generated. Empty: nothing is to be done.
pub fn drift(root: &Path) -> Result<BTreeMap<PathBuf, Drift>, GenerateError> {
    let files = files()?;
    let mut drift = BTreeMap::new();
    for (path, content) in &files {
        match fs::read_to_string(root.join(path)) {
            Ok(found) if found == *content => {}
            Ok(_) => {
                drift.insert(path.clone(), Drift::Different);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                drift.insert(path.clone(), Drift::Missing);
            }
            Err(source) => {
                return Err(GenerateError::Io {
                    path: path.clone(),
                    source,
                });
            }
        }
    }
    for folder in GENERATED_FOLDERS {
        for path in list(root, folder)? {
            if !files.contains_key(&path) {
                drift.insert(path, Drift::Stale);
            }
        }
    }
    Ok(drift)
}

/// Brings the repository at `root` up to date, and returns what was changed.
pub fn write(root: &Path) -> Result<BTreeMap<PathBuf, Drift>, GenerateError> {
    let files = files()?;
    let drift = drift(root)?;
    for path in drift.keys() {
        let target = root.join(path);
        let done = match files.get(path) {
            Some(content) => {
                let folder = target.parent().map_or(Ok(()), fs::create_dir_all);
                folder.and_then(|()| fs::write(&target, content))
            }
            None => fs::remove_file(&target),
        };
        done.map_err(|source| GenerateError::Io { path: target, source })?;
    }
    Ok(drift)
}

fn list(root: &Path, folder: &str) -> Result<Vec<PathBuf>, GenerateError> {
    let failed = |source| GenerateError::Io {
        path: root.join(folder),
        source,
    };
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    entries
        .map(|entry| Ok(Path::new(folder).join(entry.map_err(failed)?.file_name())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_repairs_every_kind_of_drift_and_then_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        let written = write(root.path()).unwrap();
        assert!(written.values().all(|drift| *drift == Drift::Missing));
        assert_eq!(drift(root.path()).unwrap(), BTreeMap::new());

        let changed = PathBuf::from("docs/reference/tenant.md");
        let stale = PathBuf::from("docs/reference/old.md");
        fs::write(root.path().join(&changed), "x").unwrap();
        fs::write(root.path().join(&stale), "x").unwrap();
        let expected = BTreeMap::from([(changed, Drift::Different), (stale, Drift::Stale)]);
        assert_eq!(drift(root.path()).unwrap(), expected);
        assert_eq!(write(root.path()).unwrap(), expected);
        assert_eq!(drift(root.path()).unwrap(), BTreeMap::new());
    }
}
