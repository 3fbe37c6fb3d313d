//! Where the serving certificate comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::certificate::{CertificateError, ServingCertificate};
use crate::named::{chain, follow};

/// Files are read this often. Mounted Secrets change by a swap of links, which file notifications miss easily.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// Why files do not give a certificate.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its content is no use.
    #[error("{} and its key are unusable", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: CertificateError,
    },
}

/// Keeps the certificate equal to that of a Secret (`tls.crt`, `tls.key`) until `stop`.
pub async fn follow_secret(
    client: Client,
    namespace: &str,
    name: &str,
    certificate: Arc<ServingCertificate>,
    stop: CancellationToken,
) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    follow(&api, name, &stop, |secret| {
        let Some(data) = secret.and_then(|secret| secret.data) else {
            tracing::warn!(secret = name, "the serving certificate's Secret is missing");
            return;
        };
        let (Some(chain_pem), Some(key_pem)) = (data.get("tls.crt"), data.get("tls.key")) else {
            tracing::warn!(
                secret = name,
                "the serving certificate's Secret lacks tls.crt or tls.key"
            );
            return;
        };
        match certificate.set(&chain_pem.0, &key_pem.0) {
            Ok(()) => tracing::info!(secret = name, "serving certificate loaded"),
            Err(error) => tracing::warn!(secret = name, error = %chain(&error), "serving certificate refused"),
        }
    })
    .await;
}

/// A certificate in files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// Content that was last tried.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl CertificateFiles {
    /// Names the files.
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            certificate,
            key,
            last: None,
        }
    }

    /// Reads the files, and sets the certificate if they have changed. Tells whether they have.
    pub async fn load(&mut self, into: &ServingCertificate) -> Result<bool, FileError> {
        let content = (read(&self.certificate).await?, read(&self.key).await?);
        if self.last.as_ref() == Some(&content) {
            return Ok(false);
        }
        let set = into.set(&content.0, &content.1);
        self.last = Some(content);
        set.map_err(|source| FileError::Content {
            path: self.certificate.clone(),
            source,
        })?;
        Ok(true)
    }

    /// Keeps the certificate equal to the files until `stop`.
    pub async fn follow(mut self, into: Arc<ServingCertificate>, stop: CancellationToken) {
        let mut ticks = interval(FILE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.load(&into).await {
                Ok(true) => tracing::info!(file = %self.certificate.display(), "serving certificate loaded"),
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "serving certificate refused"),
            }
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    tokio::fs::read(path).await.map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pki::Authority;

    #[tokio::test]
    async fn files_are_loaded_again_when_they_change() {
        tokenweir_process::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let serving = ServingCertificate::default();
        let mut files = CertificateFiles::new(certificate.clone(), key.clone());
        assert!(matches!(files.load(&serving).await, Err(FileError::Read { .. })));
        for expected in [true, true] {
            let pair = Authority::new("ca").server("localhost");
            std::fs::write(&certificate, &pair.0).unwrap();
            std::fs::write(&key, &pair.1).unwrap();
            assert_eq!(files.load(&serving).await.unwrap(), expected);
            assert!(!files.load(&serving).await.unwrap());
        }
        std::fs::write(&key, "junk").unwrap();
        assert!(matches!(files.load(&serving).await, Err(FileError::Content { .. })));
        assert!(serving.is_set());
    }
}
