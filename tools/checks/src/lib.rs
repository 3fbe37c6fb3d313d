//! Rules over the workspace itself, so that its architecture stays what the documentation draws.
//!
//! The rules are pure functions over `cargo metadata` and file contents; `tests/workspace.rs` runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Which crates of ours each crate may depend on in its shipped code.
///
/// Test code (`[dev-dependencies]`) may also use the simulator, which is a provider that tests may call.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("tokenweir-budget", &["tokenweir-config"]),
    ("tokenweir-config", &[]),
    ("tokenweir-llm", &[]),
    ("tokenweir-prices", &["tokenweir-config"]),
    ("tokenweir-signals", &[]),
    ("tokenweir-tokens", &["tokenweir-llm"]),
    ("tokenweir-process", &[]),
    ("tokenweir-checks", &[]),
    ("tokenweir-crds", &["tokenweir-config"]),
    ("tokenweir-ledger", &["tokenweir-config", "tokenweir-llm"]),
    ("tokenweir-fuzz", &["tokenweir-llm"]),
    ("tokenweir-sim", &["tokenweir-llm", "tokenweir-process"]),
    (
        "tokenweir-gateway",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-llm",
            "tokenweir-process",
            "tokenweir-signals",
            "tokenweir-tokens",
        ],
    ),
    (
        "tokenweir-operator",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-prices",
            "tokenweir-process",
        ],
    ),
    (
        "tokenweir-adapter",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-process",
            "tokenweir-signals",
        ],
    ),
    (
        "tokenweir-cli",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-llm",
            "tokenweir-prices",
            "tokenweir-process",
            "tokenweir-signals",
        ],
    ),
    (
        "tokenweir-bench",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-process",
            "tokenweir-signals",
            "tokenweir-sim",
        ],
    ),
    (
        "tokenweir-e2e",
        &[
            "tokenweir-config",
            "tokenweir-crds",
            "tokenweir-llm",
            "tokenweir-process",
            "tokenweir-signals",
            "tokenweir-sim",
        ],
    ),
];

/// Crates that must not reach the network or Kubernetes: third-party crates they may not name.
pub const PURE: &[(&str, &[&str])] = &[
    ("tokenweir-config", &["kube", "k8s-openapi", "tokio", "hyper", "axum"]),
    ("tokenweir-llm", &["kube", "k8s-openapi", "tokio", "hyper", "axum"]),
    ("tokenweir-prices", &["kube", "k8s-openapi", "tokio", "hyper", "axum"]),
    ("tokenweir-signals", &["kube", "k8s-openapi", "tokio", "hyper", "axum"]),
    ("tokenweir-tokens", &["kube", "k8s-openapi", "tokio", "hyper", "axum"]),
    ("tokenweir-crds", &["tokio", "hyper", "axum"]),
];

/// Why the workspace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `cargo metadata` did not run or failed.
    #[error("cargo metadata failed: {0}")]
    Metadata(String),
    /// Its output is not what cargo documents.
    #[error("cargo metadata printed something unexpected")]
    Parse(#[from] serde_json::Error),
    /// A file could not be read.
    #[error("cannot read {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A workspace member and what it depends on.
#[derive(Debug, Clone)]
pub struct Member {
    /// Package name.
    pub name: String,
    /// Names of its ordinary and build dependencies.
    pub dependencies: BTreeSet<String>,
    /// Names of its test dependencies.
    pub dev_dependencies: BTreeSet<String>,
}

/// Reads the members of the workspace at `root`.
pub fn members(root: &Path) -> Result<Vec<Member>, ReadError> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
        kind: Option<String>,
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|e| ReadError::Metadata(e.to_string()))?;
    if !output.status.success() {
        return Err(ReadError::Metadata(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(metadata
        .packages
        .into_iter()
        .map(|package| {
            let (dev, ordinary): (Vec<_>, Vec<_>) = package
                .dependencies
                .into_iter()
                .partition(|d| d.kind.as_deref() == Some("dev"));
            let names = |list: Vec<Dependency>| list.into_iter().map(|d| d.name).collect();
            Member {
                name: package.name,
                dependencies: names(ordinary),
                dev_dependencies: names(dev),
            }
        })
        .collect())
}

/// Lists every dependency that breaks the rules, one sentence each.
pub fn direction_violations(members: &[Member]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let pure: BTreeMap<_, _> = PURE.iter().copied().collect();
    let ours: BTreeSet<&str> = members.iter().map(|m| m.name.as_str()).collect();
    let mut violations = Vec::new();
    for member in members {
        let Some(may) = allowed.get(member.name.as_str()) else {
            violations.push(format!("{} has no line in the table of directions", member.name));
            continue;
        };
        for dependency in member.dependencies.iter().filter(|d| ours.contains(d.as_str())) {
            if !may.contains(&dependency.as_str()) {
                violations.push(format!("{} must not depend on {dependency}", member.name));
            }
        }
        for dependency in member.dev_dependencies.iter().filter(|d| ours.contains(d.as_str())) {
            if dependency != "tokenweir-sim" && !may.contains(&dependency.as_str()) {
                violations.push(format!("tests of {} must not depend on {dependency}", member.name));
            }
        }
        for banned in pure.get(member.name.as_str()).copied().unwrap_or_default() {
            if member.dependencies.contains(*banned) {
                violations.push(format!("{} is pure and must not depend on {banned}", member.name));
            }
        }
    }
    violations
}

/// Lines that a source file may have, tests not counted.
pub const MAX_LINES: usize = 500;
/// Lines that a `main.rs` may have.
pub const MAX_MAIN_LINES: usize = 20;

/// Lists Rust files that are too long. `files` holds paths relative to the workspace and their text.
pub fn size_violations(files: &[(PathBuf, String)]) -> Vec<String> {
    files
        .iter()
        .filter_map(|(path, text)| {
            // A test module stands at a file's end by convention, and does not count.
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
            let lines = code.lines().count();
            let limit = if path.ends_with("src/main.rs") {
                MAX_MAIN_LINES
            } else {
                MAX_LINES
            };
            (lines > limit).then(|| format!("{} has {lines} lines, {limit} are allowed", path.display()))
        })
        .collect()
}

/// Reads all Rust files below `root` that are shipped code: not tests, not build output.
pub fn source_files(root: &Path) -> Result<Vec<(PathBuf, String)>, ReadError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |source| ReadError::File {
            path: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "tests", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).map_err(|source| ReadError::File {
                    path: path.clone(),
                    source,
                })?;
                files.push((path.strip_prefix(root).unwrap_or(&path).to_path_buf(), text));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Who runs the commands of a page: the word after `sh` at the head of a block.
///
/// `run`: the tests of the official clients. `alone`: end-to-end tests in a network of their own, without a cluster.
/// `cluster`: an end-to-end test against the quickstart. `check`: nobody, since they take long or change the machine; a test
/// has the program named there parse them.
pub const RUNNERS: &[&str] = &["run", "alone", "cluster", "check"];

/// Pages of documentation with their text: those of `docs`, the README and the guide for contributors.
pub fn pages(root: &Path) -> Result<Vec<(PathBuf, String)>, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::File { path, source }
    };
    let docs = root.join("docs");
    let mut paths = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for entry in std::fs::read_dir(&docs).map_err(failed(&docs))? {
        let path = entry.map_err(failed(&docs))?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path.strip_prefix(root).unwrap_or(&path).to_owned(), text)),
        Err(source) => Err(ReadError::File { path, source }),
    };
    paths.into_iter().map(read).collect()
}

/// Blocks of commands that no test runs or parses, and blocks that do not say what they are.
pub fn unowned_commands(pages: &[(PathBuf, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in pages {
        let mut inside = false;
        for (number, line) in text.lines().enumerate() {
            let Some(head) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            inside = !inside;
            if !inside {
                continue;
            }
            let place = format!("{}:{}", path.display(), number + 1);
            let mut words = head.split_whitespace();
            match (words.next(), words.next()) {
                (None, _) => found.push(format!("{place} does not say what language the block is in")),
                (Some("sh"), Some(runner)) if RUNNERS.contains(&runner) => {}
                (Some("sh" | "bash" | "shell" | "console"), _) => {
                    let runners = RUNNERS.join(", sh ");
                    found.push(format!(
                        "{place} has commands and does not say who runs them: sh {runners}"
                    ));
                }
                _ => {}
            }
        }
    }
    found
}

/// Pages that no chain of links from the README leads to, so that nobody finds them.
pub fn unreached_pages(pages: &[(PathBuf, String)]) -> Vec<String> {
    let texts: BTreeMap<&Path, &str> = pages
        .iter()
        .map(|(path, text)| (path.as_path(), text.as_str()))
        .collect();
    let mut reached = BTreeSet::new();
    let mut next = vec![PathBuf::from("README.md")];
    while let Some(page) = next.pop() {
        if let Some(text) = texts.get(page.as_path())
            && reached.insert(page.clone())
        {
            next.extend(links(&page, text));
        }
    }
    let unreached = pages.iter().filter(|(path, _)| !reached.contains(path));
    unreached
        .map(|(path, _)| format!("no link from the README leads to {}", path.display()))
        .collect()
}

/// The files that a page links to, relative to the workspace.
fn links(page: &Path, text: &str) -> Vec<PathBuf> {
    let folder = page.parent().unwrap_or(Path::new(""));
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(['#', ')']).next())
        .filter(|target| !target.contains("://"))
        .map(|target| {
            let mut path = folder.to_owned();
            for part in target.split('/') {
                match part {
                    ".." => drop(path.pop()),
                    "." => {}
                    name => path.push(name),
                }
            }
            path
        })
        .collect()
}
