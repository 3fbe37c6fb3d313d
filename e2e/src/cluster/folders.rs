//! Where the state of a cluster, and what is expensive to make, are kept.

use std::path::{Path, PathBuf};

/// The folders of this user, from the environment or from the XDG defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Things that cost time to make and that any run may reuse: built parts, images, locks. Deleting it is safe.
    pub cache: PathBuf,
    /// What belongs to the cluster that runs now.
    pub state: PathBuf,
    /// The source tree: where the wrapper modules and the Containerfiles stand.
    pub source: PathBuf,
}

impl Folders {
    /// Reads `TOKENWEIR_CACHE`, `TOKENWEIR_STATE`, the XDG variables and `HOME`.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The same over any source of variables. Without `HOME` the folders stand below `/root`, as for a root shell.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME").unwrap_or_else(|| PathBuf::from("/root"));
        let base = |own: &str, xdg: &str, fallback: &str| {
            set(own).unwrap_or_else(|| set(xdg).unwrap_or_else(|| home.join(fallback)).join("tokenweir"))
        };
        Self {
            cache: base("TOKENWEIR_CACHE", "XDG_CACHE_HOME", ".cache"),
            state: base("TOKENWEIR_STATE", "XDG_STATE_HOME", ".local/state"),
            source: source_root(),
        }
    }

    /// The folder of the cluster's own state.
    pub fn cluster(&self) -> PathBuf {
        self.state.join("cluster")
    }
}

/// The root of the source tree this binary was built from.
fn source_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(variables: &[(&str, &str)]) -> Folders {
        Folders::from_lookup(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn own_variables_are_used_as_they_are() {
        let found = folders(&[
            ("TOKENWEIR_CACHE", "/c"),
            ("TOKENWEIR_STATE", "/s"),
            ("HOME", "/home/a"),
        ]);
        assert_eq!(
            (found.cache.as_path(), found.cluster().as_path()),
            (Path::new("/c"), Path::new("/s/cluster"))
        );
    }

    #[test]
    fn xdg_folders_get_a_subfolder_and_empty_variables_do_not_count() {
        let found = folders(&[("XDG_CACHE_HOME", "/x"), ("TOKENWEIR_STATE", ""), ("HOME", "/home/a")]);
        assert_eq!(found.cache, Path::new("/x/tokenweir"));
        assert_eq!(found.state, Path::new("/home/a/.local/state/tokenweir"));
    }
}
