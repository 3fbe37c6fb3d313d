//! File mode: a folder of YAML as it would be given to `kubectl apply`, served without a cluster.
//!
//! The same schemas, defaults, rules and compiler as in a cluster. What a cluster would refuse, or answer with a
//! condition, is an error here that says file, line, field and what would be right.

mod check;
mod documents;
mod keys;
mod objects;
mod yaml;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tokenweir_config::Snapshot;
use tokenweir_config::keys::KeyError;

pub use check::{CheckOptions, Checked, STDIN, check};
pub use documents::{Document, documents};
pub use keys::{KeyStore, KeyStoreError};

use crate::api::LLMGateway;
use crate::compile::{Compiled, ConfigMaps, Inputs, Keys, Kind, Secrets, compile};
use crate::schema::{self, Schemas};
use objects::{Found, Objects, Source};

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Line, counted from 1. 0: the mistake is not in one line.
    pub line: u64,
    /// Column, counted from 1. 0: the mistake is not in one column.
    pub column: u64,
    /// The field, such as `spec.backends[0].weight`. Empty: not in one field.
    pub field: String,
    /// What is wrong, what was given, and what would be right.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for FileError {}

/// Something in a file that a reader may want to know and that is no mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: u64,
    /// What is to be known.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// A folder whose `*.yaml`, `*.yml` and `*.json` are read (not those of folders inside), or one such file.
    pub path: &'a Path,
    /// The `LLMGateway` to serve. Needed only where there is more than one.
    pub gateway: Option<&'a str>,
    /// Number of the snapshot.
    pub generation: u64,
}

/// An API key that lies in a file of the key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedKey {
    /// Name of the tenant.
    pub tenant: String,
    /// Name of the key in the tenant.
    pub key: String,
    /// The file that holds it.
    pub path: PathBuf,
}

/// What was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration to serve. Without an admin key: the admin port is to listen on loopback only.
    pub snapshot: Snapshot,
    /// Keys of tenants that name no Secret, in the order of tenants and keys.
    pub minted: Vec<MintedKey>,
    /// What a reader may want to know.
    pub notes: Vec<Note>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

/// Loads a folder.
///
/// Reads files, and makes missing API keys in the key store; touches nothing else. Either everything in the folder is
/// right, or all mistakes found are returned, sorted by file and line; the caller goes on with what it had before.
pub fn load_dir(options: &LoadOptions<'_>, keys: &KeyStore) -> Result<Loaded, Vec<FileError>> {
    let whole = |message: String| {
        vec![FileError {
            file: options.path.to_owned(),
            line: 0,
            column: 0,
            field: String::new(),
            message,
        }]
    };
    let schemas = Schemas::new().map_err(|error| whole(error.to_string()))?;
    let files = list(options.path, false).map_err(|error| whole(error.to_string()))?;
    if files.is_empty() {
        return Err(whole("there is no .yaml, .yml or .json file".to_owned()));
    }
    let mut objects = read(&schemas, &files);
    let gateway = choose(options, &mut objects);
    objects.errors.sort();
    let Some(gateway) = gateway.filter(|_| objects.errors.is_empty()) else {
        return Err(objects.errors);
    };
    note_foreign(&gateway.namespace, &mut objects);
    let built = build(&gateway, &objects, keys, options.generation).map_err(|error| whole(error.to_string()))?;
    if !built.errors.is_empty() {
        return Err(built.errors);
    }
    Ok(Loaded {
        snapshot: built.compiled.snapshot,
        minted: built.minted,
        notes: objects.notes,
        files,
    })
}

/// One gateway, compiled.
struct Built {
    compiled: Compiled,
    minted: Vec<MintedKey>,
    /// What the compiler says against the objects, by file and line.
    errors: Vec<FileError>,
}

/// Why a gateway could not even be compiled: not a mistake in the files.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Compiles one gateway from everything of its namespace.
fn build(
    gateway: &Found<LLMGateway>,
    objects: &Objects,
    keys: &KeyStore,
    generation: u64,
) -> Result<Built, BuildError> {
    let (secrets, minted) = secrets(&gateway.namespace, objects, keys)?;
    let here = objects.config_maps.iter();
    let here = here.filter(|found| found.namespace == gateway.namespace);
    let config_maps: ConfigMaps = here.map(|found| &found.object).collect();
    let compiler_keys = Keys::new(keys.key_hash_key().to_owned(), None)?;
    let beside = objects
        .gateways
        .iter()
        .filter(|found| found.namespace == gateway.namespace);
    let inputs = Inputs {
        gateway: &gateway.object,
        gateways: beside.chain([gateway]).map(|found| found.name.clone()).collect(),
        providers: objects.providers.iter().map(|found| &found.object).collect(),
        routes: objects.routes.iter().map(|found| &found.object).collect(),
        tenants: objects.tenants.iter().map(|found| &found.object).collect(),
        secrets: &secrets,
        config_maps: &config_maps,
        keys: &compiler_keys,
        generation,
    };
    let compiled = compile(&inputs);
    let mut errors = Vec::new();
    for verdict in &compiled.verdicts {
        let source = match verdict.kind {
            Kind::LLMGateway => Some(&gateway.source),
            Kind::ModelProvider => source(&objects.providers, &gateway.namespace, &verdict.name),
            Kind::ModelRoute => source(&objects.routes, &gateway.namespace, &verdict.name),
            Kind::Tenant => source(&objects.tenants, &gateway.namespace, &verdict.name),
        };
        let problems = verdict.problems.iter().zip(source.into_iter().cycle());
        errors.extend(problems.map(|(p, source)| source.error(&schema::Path::parse(&p.field), p.message.clone())));
    }
    errors.sort();
    Ok(Built {
        compiled,
        minted,
        errors,
    })
}

fn source<'a, K>(found: &'a [Found<K>], namespace: &str, name: &str) -> Option<&'a Source> {
    found
        .iter()
        .find(|found| found.namespace == namespace && found.name == name)
        .map(|found| &found.source)
}

/// The files to read, by name; those of folders inside only if `deep`.
fn list(path: &Path, deep: bool) -> std::io::Result<Vec<PathBuf>> {
    if fs::metadata(path)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            // Editors keep drafts under hidden names. A kustomization is a recipe, not an object.
            let wanted = matches!(extension, "yaml" | "yml" | "json") && !name.starts_with('.');
            // Links to folders are not followed, so that the walk ends.
            if deep && entry.file_type()?.is_dir() && !name.starts_with('.') {
                folders.push(path);
            } else if wanted && !name.starts_with("kustomization.") && path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(schemas: &Schemas, files: &[PathBuf]) -> Objects {
    let mut objects = Objects::default();
    for file in files {
        match fs::read_to_string(file) {
            Ok(text) => read_text(schemas, file, &text, &mut objects),
            Err(error) => objects
                .errors
                .push(unreadable(file, &error.to_string(), yaml::Place::default())),
        }
    }
    objects
}

/// Takes in all documents of a file.
fn read_text(schemas: &Schemas, file: &Path, text: &str, objects: &mut Objects) {
    match yaml::documents(text) {
        Ok(documents) => documents.into_iter().for_each(|node| objects.add(schemas, file, node)),
        Err(error) => objects.errors.push(unreadable(file, &error.message, error.place)),
    }
}

fn unreadable(file: &Path, message: &str, place: yaml::Place) -> FileError {
    FileError {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        field: String::new(),
        message: message.to_owned(),
    }
}

/// Takes the gateway to serve out of the objects.
fn choose(options: &LoadOptions<'_>, objects: &mut Objects) -> Option<Found<LLMGateway>> {
    let names: BTreeSet<&str> = objects.gateways.iter().map(|found| found.name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let fitting: Vec<usize> = (0..objects.gateways.len())
        .filter(|index| options.gateway.is_none_or(|name| objects.gateways[*index].name == name))
        .collect();
    let message = match (fitting.as_slice(), options.gateway) {
        ([index], _) => return Some(objects.gateways.swap_remove(*index)),
        ([], Some(name)) if names.is_empty() => format!("there is no LLMGateway {name}, nor any other one"),
        ([], Some(name)) => format!("there is no LLMGateway {name}; there is {names}"),
        ([], None) => "there is no LLMGateway; one says on which port to serve".to_owned(),
        (_, Some(name)) => format!("LLMGateway {name} stands in more than one namespace; keep one of them"),
        (_, None) => format!("there is more than one LLMGateway: {names}; name the one to serve with --gateway"),
    };
    // With mistakes in the files, this one may only follow from them.
    if objects.errors.is_empty() {
        objects.errors.push(FileError {
            file: options.path.to_owned(),
            line: 0,
            column: 0,
            field: String::new(),
            message,
        });
    }
    None
}

/// Notes what is not part of the gateway.
fn note_foreign(namespace: &str, objects: &mut Objects) {
    let mut notes = Vec::new();
    let mut note = |source: &Source, message: String| {
        notes.push(Note {
            file: source.file.clone(),
            line: source.node.place.line,
            message,
        });
    };
    for found in &objects.policies {
        note(
            &found.source,
            format!(
                "ScalingPolicy {} is valid; it does nothing without a cluster",
                found.name
            ),
        );
    }
    for found in &objects.gateways {
        note(
            &found.source,
            format!("LLMGateway {} is not the one that is served", found.name),
        );
    }
    macro_rules! elsewhere {
        ($($list:ident),*) => {$(
            for found in objects.$list.iter().filter(|found| found.namespace != namespace) {
                note(&found.source, format!(
                    "{} is in namespace {}, the gateway in {namespace}; it is not used", found.name, found.namespace,
                ));
            }
        )*};
    }
    elsewhere!(providers, routes, tenants, secrets, config_maps);
    objects.notes.append(&mut notes);
}

/// The Secrets of the gateway's namespace, and those that the operator would mint.
fn secrets(namespace: &str, objects: &Objects, keys: &KeyStore) -> Result<(Secrets, Vec<MintedKey>), KeyStoreError> {
    let here = objects.secrets.iter().filter(|found| found.namespace == namespace);
    let mut secrets: Secrets = here.map(|found| &found.object).collect();
    let mut minted = Vec::new();
    let mut tenants: Vec<_> = objects
        .tenants
        .iter()
        .filter(|found| found.namespace == namespace)
        .collect();
    tenants.sort_by(|a, b| a.name.cmp(&b.name));
    for tenant in tenants {
        let minted_here = tenant.object.spec.api_keys().iter();
        for key in minted_here.filter(|key| key.secret_ref.is_none()) {
            let reference = key.secret(&tenant.name);
            if secrets.contains(&reference.name) {
                continue;
            }
            secrets.insert_text(&reference.name, &reference.key, &keys.api_key(&reference.name)?);
            minted.push(MintedKey {
                tenant: tenant.name.clone(),
                key: key.name.clone(),
                path: keys.path(&reference.name),
            });
        }
    }
    Ok((secrets, minted))
}
