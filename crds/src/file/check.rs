//! A check of files that are not served from where they lie: for editors, hooks and pipelines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::objects::Objects;
use super::{FileError, KeyStore, Note, build, list, read_text, unreadable, yaml};
use crate::schema::Schemas;

/// The file that a text from standard input is told to be in.
pub const STDIN: &str = "<stdin>";

/// What to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Folders, of which `*.yaml`, `*.yml` and `*.json` are read, and files. All together are one set of objects.
    pub paths: &'a [PathBuf],
    /// Whether folders inside of folders are read, too.
    pub deep: bool,
    /// A text beside the files, told as [`STDIN`].
    pub text: Option<&'a str>,
    /// The `LLMGateway` to compile. Absent: each of them.
    pub gateway: Option<&'a str>,
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Mistakes, by file and line. Empty: all is right.
    pub findings: Vec<FileError>,
    /// What a reader may want to know and what is no mistake.
    pub notes: Vec<Note>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// How many objects of `tokenweir.dev` they hold that are right by themselves.
    pub objects: usize,
    /// The gateways that were compiled with what is around them, as `NAMESPACE/NAME`. Without any, each object was checked
    /// by itself, and not what it names. None are compiled while an object by itself is wrong.
    pub gateways: Vec<String>,
}

/// Checks files as [`super::load_dir`] would before it serves them, and tells all that is wrong.
///
/// Keys that tenants mint are made in `keys`, as they are part of what is compiled; give a store that may be thrown away.
pub fn check(options: &CheckOptions<'_>, keys: &KeyStore) -> Checked {
    let mut checked = Checked::default();
    let whole = |path: &Path, message: &str| unreadable(path, message, yaml::Place::default());
    let schemas = match Schemas::new() {
        Ok(schemas) => schemas,
        Err(error) => {
            checked.findings.push(whole(Path::new(""), &error.to_string()));
            return checked;
        }
    };
    let mut objects = Objects::default();
    for path in options.paths {
        match list(path, options.deep) {
            Ok(files) if files.is_empty() => {
                checked
                    .findings
                    .push(whole(path, "there is no .yaml, .yml or .json file"));
            }
            Ok(files) => checked.files.extend(files),
            Err(error) => checked.findings.push(whole(path, &error.to_string())),
        }
    }
    // One file may be named twice, by itself and by its folder.
    let mut seen = BTreeSet::new();
    checked.files.retain(|file| seen.insert(file.clone()));
    for file in &checked.files {
        match std::fs::read_to_string(file) {
            Ok(text) => read_text(&schemas, file, &text, &mut objects),
            Err(error) => objects.errors.push(whole(file, &error.to_string())),
        }
    }
    if let Some(text) = options.text {
        checked.files.push(STDIN.into());
        read_text(&schemas, Path::new(STDIN), text, &mut objects);
    }
    checked.findings.append(&mut objects.errors);
    checked.objects = objects.ours();
    if checked.findings.is_empty() {
        compile_all(options, &objects, keys, &mut checked);
    }
    checked.notes = objects.notes;
    checked.findings.sort();
    checked.findings.dedup();
    checked
}

fn compile_all(options: &CheckOptions<'_>, objects: &Objects, keys: &KeyStore, checked: &mut Checked) {
    let place = options.paths.first().map_or(Path::new(STDIN), PathBuf::as_path);
    let wanted = objects
        .gateways
        .iter()
        .filter(|found| options.gateway.is_none_or(|name| found.name == name));
    for gateway in wanted {
        checked.gateways.push(format!("{}/{}", gateway.namespace, gateway.name));
        match build(gateway, objects, keys, 1) {
            Ok(mut built) => checked.findings.append(&mut built.errors),
            Err(error) => {
                let failed = unreadable(place, &error.to_string(), yaml::Place::default());
                checked.findings.push(failed);
            }
        }
    }
    if let Some(name) = options.gateway
        && checked.gateways.is_empty()
    {
        let names: Vec<&str> = objects.gateways.iter().map(|found| found.name.as_str()).collect();
        let known = if names.is_empty() {
            "nor any other one".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        };
        let message = format!("there is no LLMGateway {name}; {known}");
        checked
            .findings
            .push(unreadable(place, &message, yaml::Place::default()));
    }
}
