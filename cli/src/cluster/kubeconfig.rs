//! Which kubeconfig files are read, by the rules of kubectl.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kube::config::{Cluster, Kubeconfig, KubeconfigError};

use super::ClusterError;

/// Where a list of files stands.
const VARIABLE: &str = "KUBECONFIG";

/// What there is to read.
#[derive(Debug)]
pub enum Found {
    /// All files that exist, merged: the first one to name a thing wins.
    Config(Box<Kubeconfig>),
    /// None of these files exists.
    Nothing(Vec<PathBuf>),
}

/// Reads the file that a flag names, else those of `KUBECONFIG`, else `~/.kube/config`.
///
/// A file that is missing is passed over, unless the flag names it; one that cannot be read is an error.
pub fn read(flag: Option<&Path>) -> Result<Found, ClusterError> {
    if let Some(path) = flag {
        return Ok(Found::Config(Box::new(Kubeconfig::read_from(path)?)));
    }
    let variable = std::env::var_os(VARIABLE).unwrap_or_default();
    let files = files(&variable, std::env::home_dir().as_deref());
    if files.is_empty() {
        return Err(KubeconfigError::FindPath.into());
    }
    merged(files)
}

fn files(variable: &OsStr, home: Option<&Path>) -> Vec<PathBuf> {
    let named: Vec<PathBuf> = std::env::split_paths(variable)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if named.is_empty() {
        return home.map(|home| home.join(".kube/config")).into_iter().collect();
    }
    named
}

fn merged(files: Vec<PathBuf>) -> Result<Found, ClusterError> {
    let mut whole: Option<Kubeconfig> = None;
    for path in &files {
        let next = match Kubeconfig::read_from(path) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        whole = Some(match whole {
            Some(before) => before.merge(next)?,
            None => next,
        });
    }
    Ok(whole.map_or(Found::Nothing(files), |config| Found::Config(Box::new(config))))
}

/// The proxy that the kubeconfig names for the cluster of a context, or of its current one.
pub fn proxy_url(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == context)?;
    let cluster = &named.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|named| &named.name == cluster)?;
    let Cluster { proxy_url, .. } = named.cluster.as_ref()?;
    proxy_url.clone().filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, proxy: &str) -> String {
        format!(
            "current-context: {name}\nclusters: [{{name: {name}, cluster: {{server: 'https://{name}', proxy-url: '{proxy}'}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}}}}}]\n"
        )
    }

    #[test]
    fn files_that_are_missing_are_passed_over_and_the_first_one_to_name_a_thing_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("one"), config("one", "")).unwrap();
        std::fs::write(path("two"), config("two", "http://proxy:3128")).unwrap();
        let Found::Config(merged) = merged(vec![path("none"), path("one"), path("gone"), path("two")]).unwrap() else {
            panic!("two of the files exist");
        };
        assert_eq!(merged.current_context.as_deref(), Some("one"));
        assert_eq!(proxy_url(&merged, None), None, "an empty one is none");
        assert_eq!(proxy_url(&merged, Some("two")).as_deref(), Some("http://proxy:3128"));
        assert_eq!(proxy_url(&merged, Some("three")), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "clusters: {").unwrap();
        assert!(merged(vec![broken]).is_err());
        assert!(merged(vec![folder.path().to_owned()]).is_err(), "a folder");
    }

    #[test]
    fn without_a_list_it_is_the_file_of_the_home() {
        let home = Path::new("/home/me");
        let join = |paths: &[&str]| std::env::join_paths(paths).unwrap();
        assert_eq!(
            files(&join(&["", "/a", "", "/b"]), Some(home)),
            ["/a", "/b"].map(PathBuf::from)
        );
        for empty in [join(&[]), join(&["", ""])] {
            assert_eq!(files(&empty, Some(home)), [home.join(".kube/config")]);
        }
        assert!(files(OsStr::new(""), None).is_empty());
    }
}
