//! Kubeconfig files, and clients made from them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::{ClusterError, Result, file};
use super::process::write_atomic;

/// A client for the current context of a kubeconfig file.
pub(crate) async fn client(path: &Path) -> Result<Client> {
    tokenweir_process::install_crypto_provider();
    let refused = |source| ClusterError::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(refused)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(refused)?;
    // An answer of 503 is an answer: who waits for another one says so, with a deadline.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Writes a kubeconfig that only its owner can read: it holds keys.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(file("create", parent))?;
    }
    write_atomic(path, text.as_bytes())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(file("protect", path))
}
