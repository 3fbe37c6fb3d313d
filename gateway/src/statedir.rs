//! Where a gateway without a cluster keeps its keys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokenweir_config::shards::digest_hex;

/// The state folder for a folder of files: the same for the same folder, another one for every other folder.
pub fn for_folder(path: &Path) -> PathBuf {
    base(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")).join(name(path))
}

/// The user's own place for state, by the XDG base directory specification.
fn base(xdg: Option<OsString>, home: Option<OsString>) -> PathBuf {
    // The specification says to ignore a relative path.
    let xdg = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || home.map(|home| PathBuf::from(home).join(".local/state"));
    xdg.or_else(home).unwrap_or_else(std::env::temp_dir).join("tokenweir")
}

/// The folder's name, for the eye, and a piece of the digest of its whole path.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let digest = digest_hex(whole.as_os_str().as_encoded_bytes());
    let last = whole
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let last: String = last
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    format!("{last}-{}", &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_follows_the_specification() {
        let base = |xdg: Option<&str>, home: Option<&str>| base(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(base(Some("/x"), Some("/h")), Path::new("/x/tokenweir"));
        assert_eq!(
            base(Some("relative"), Some("/h")),
            Path::new("/h/.local/state/tokenweir")
        );
        assert_eq!(base(None, Some("/h")), Path::new("/h/.local/state/tokenweir"));
    }

    #[test]
    fn folders_of_one_name_have_different_places_and_one_folder_has_one() {
        let (one, two) = (Path::new("/a/quickstart"), Path::new("/b/quickstart"));
        assert_ne!(name(one), name(two));
        assert_eq!(name(one), name(one));
        assert!(name(one).starts_with("quickstart-"));
    }
}
