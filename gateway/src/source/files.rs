//! The configuration as a folder of YAML: loaded at the start, and again whenever a file changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokenweir_config::Snapshot;
use tokenweir_config::shards::digest_hex;
use tokenweir_config::status::Source;
use tokenweir_crds::file::{FileError, KeyStore, LoadOptions, Loaded, load_dir};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Offer, Refused, Update};

/// A change is loaded once nothing has changed for so long: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// A folder that never comes to rest is loaded all the same after so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A folder, or one file, that is served.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where the files are.
    pub path: PathBuf,
    /// The `LLMGateway` to serve, where there is more than one.
    pub gateway: Option<String>,
    /// Where minted keys are.
    pub keys: KeyStore,
    /// TCP port in place of those in the files.
    pub port: Option<u16>,
}

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be watched for changes: {source}")]
pub struct WatchError {
    path: PathBuf,
    source: notify::Error,
}

impl Folder {
    /// Loads the folder as this generation. Blocks.
    pub fn load(&self, generation: u64) -> Result<Loaded, Vec<FileError>> {
        let options = LoadOptions {
            path: &self.path,
            gateway: self.gateway.as_deref(),
            generation,
        };
        let mut loaded = load_dir(&options, &self.keys)?;
        if let Some(port) = self.port {
            // The first one moves there, with its certificate if it has one; the others stay closed.
            loaded.snapshot.listeners.truncate(1);
            if let Some(listener) = loaded.snapshot.listeners.first_mut() {
                listener.port = port;
            }
        }
        Ok(loaded)
    }

    /// Loads again after each change and sends what has become of it, until nobody listens any more.
    pub async fn watch(self, served: Snapshot, updates: mpsc::Sender<Update>) -> Result<(), WatchError> {
        let (changes, mut news) = mpsc::channel(1);
        // Kept until the end: dropping it ends the watch.
        let _watcher = watcher(&self.path, changes.clone())?;
        // What is served was loaded before anybody watched: a change in between would be told by nobody.
        let _ = changes.try_send(());
        drop(changes);
        let mut served = served;
        loop {
            // Changes that come while one is loaded are one more change.
            if news.recv().await.is_none() {
                return Ok(());
            }
            settle(&mut news).await;
            let folder = self.clone();
            let generation = served.generation + 1;
            let Ok(loaded) = tokio::task::spawn_blocking(move || folder.load(generation)).await else {
                continue;
            };
            let update = match loaded {
                Ok(loaded) if loaded.snapshot.same_content(&served) => {
                    // Possibly back from a mistake to what is served: the mistake is then no longer reported.
                    offer(served.clone())
                }
                Ok(loaded) => {
                    served = loaded.snapshot;
                    offer(served.clone())
                }
                Err(errors) => Update::Refused(Refused {
                    generation: None,
                    reason: sentence(&errors),
                }),
            };
            if updates.send(update).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// A configuration from files, as the keeper takes it.
pub fn offer(snapshot: Snapshot) -> Update {
    match snapshot.to_json() {
        Ok(json) => Update::Offer(Box::new(Offer {
            source: Source::Files,
            digest: digest_hex(&json),
            snapshot,
            json,
        })),
        Err(error) => Update::Refused(Refused {
            generation: Some(snapshot.generation),
            reason: error.to_string(),
        }),
    }
}

/// All mistakes, one a line.
pub fn sentence(errors: &[FileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Tells of every change at the path or, for a file, beside it: editors replace files.
fn watcher(path: &Path, changes: mpsc::Sender<()>) -> Result<RecommendedWatcher, WatchError> {
    let folder = if path.is_file() {
        path.parent().filter(|parent| parent.is_dir())
    } else {
        Some(path)
    };
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let failed = |source| WatchError {
        path: folder.to_owned(),
        source,
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is what the loader itself does. An error may hide a change, so that it counts as one.
        let reading = event.is_ok_and(|event| event.kind.is_access());
        if !reading {
            // When the channel is full a change is already announced.
            let _ = changes.try_send(());
        }
    })
    .map_err(failed)?;
    watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
    Ok(watcher)
}

/// Returns once nothing has changed for a moment.
async fn settle(news: &mut mpsc::Receiver<()>) {
    let patience = Instant::now() + PATIENCE;
    loop {
        let quiet = (Instant::now() + QUIET).min(patience);
        match tokio::time::timeout_at(quiet, news.recv()).await {
            Ok(Some(())) if Instant::now() < patience => {}
            _ => return,
        }
    }
}
