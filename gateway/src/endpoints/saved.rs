//! The last known addresses on the pod's own disk, so that a restart without the API server reaches the same pods.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenweir_config::ServiceRef;

use super::EndpointTable;
use crate::source::disk::write_private;

/// Name of the file in the state folder.
const FILE: &str = "endpoints";

/// A file with the addresses of every Service.
#[derive(Debug, Clone)]
pub struct SavedEndpoints {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    service: ServiceRef,
    ready: Vec<SocketAddr>,
}

impl SavedEndpoints {
    /// In this folder. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            path: folder.into().join(FILE),
        }
    }

    /// Fills the table with what was saved. A file that is missing or damaged leaves it as it is: the addresses come from
    /// the API server.
    pub fn load(&self, table: &EndpointTable) {
        let Ok(bytes) = std::fs::read(&self.path) else { return };
        match serde_json::from_slice::<Vec<Saved>>(&bytes) {
            Ok(saved) => saved
                .into_iter()
                .for_each(|saved| table.set(&saved.service, saved.ready)),
            Err(error) => tracing::warn!(%error, path = %self.path.display(), "saved endpoints cannot be read"),
        }
    }

    /// Saves the table.
    pub(super) async fn store(&self, table: &Arc<EndpointTable>) {
        let (path, table) = (self.path.clone(), Arc::clone(table));
        let stored = tokio::task::spawn_blocking(move || {
            let saved: Vec<Saved> = table
                .all()
                .into_iter()
                .map(|(service, ready)| Saved {
                    service,
                    ready: ready.to_vec(),
                })
                .collect();
            serde_json::to_vec(&saved)
                .map_err(std::io::Error::from)
                .and_then(|json| write_private(&path, &[&json]))
        })
        .await;
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, path = %self.path.display(), "endpoints cannot be saved"),
            Err(error) => tracing::warn!(%error, "saving the endpoints broke off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn saved_addresses_come_back_and_a_damaged_file_gives_none() {
        let folder = tempfile::tempdir().unwrap();
        let saved = SavedEndpoints::new(folder.path());
        let service = ServiceRef {
            namespace: "llm".into(),
            name: "vllm".into(),
            port: 80,
            path: "/v1".into(),
        };
        let addresses: Vec<SocketAddr> = vec!["10.0.0.1:8000".parse().unwrap(), "[fd00::1]:8000".parse().unwrap()];
        let table = Arc::new(EndpointTable::new());
        table.set(&service, addresses.clone());
        saved.store(&table).await;
        let restarted = EndpointTable::new();
        saved.load(&restarted);
        assert_eq!(*restarted.get(&service), *addresses);
        std::fs::write(folder.path().join(FILE), "[{").unwrap();
        let empty = EndpointTable::new();
        saved.load(&empty);
        assert!(!empty.knows(&service));
    }
}
