//! The documents of files, as they were written, for whoever asks somebody else about them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::yaml::{self, Node, Tree};
use super::{CheckOptions, FileError, STDIN, list, unreadable};
use crate::schema;

/// An object of a file, as it was written.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file.
    pub file: PathBuf,
    /// The object. Nulls are left out, as the API server does.
    pub object: Value,
    node: Node,
}

impl Document {
    /// A mistake in a field of it, such as `spec.backends[0].weight`; an empty field is the whole object.
    pub fn mistake(&self, field: &str, message: impl Into<String>) -> FileError {
        let place = self.node.place_of(&schema::Path::parse(field));
        FileError {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

/// Reads all documents of what is to be checked, lists taken apart. What is no YAML is an error.
pub fn documents(options: &CheckOptions<'_>) -> Result<Vec<Document>, Vec<FileError>> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let mut take = |file: &Path, text: &str| match yaml::documents(text) {
        Ok(nodes) => {
            for node in nodes {
                add(file, node, &mut found);
            }
            None
        }
        Err(error) => Some(unreadable(file, &error.message, error.place)),
    };
    for path in options.paths {
        match list(path, options.deep) {
            Ok(files) => {
                for file in files {
                    let failed = match std::fs::read_to_string(&file) {
                        Ok(text) => take(&file, &text),
                        Err(error) => Some(unreadable(&file, &error.to_string(), yaml::Place::default())),
                    };
                    errors.extend(failed);
                }
            }
            Err(error) => errors.push(unreadable(path, &error.to_string(), yaml::Place::default())),
        }
    }
    if let Some(text) = options.text {
        errors.extend(take(Path::new(STDIN), text));
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn add(file: &Path, node: Node, found: &mut Vec<Document>) {
    if (node.text("apiVersion"), node.text("kind")) == (Some("v1"), Some("List")) {
        if let Some(Node {
            tree: Tree::List(items),
            ..
        }) = node.get("items")
        {
            for item in items {
                found.push(document(file, item.clone()));
            }
        }
        return;
    }
    found.push(document(file, node));
}

fn document(file: &Path, node: Node) -> Document {
    Document {
        file: file.to_owned(),
        object: node.to_json(),
        node,
    }
}
