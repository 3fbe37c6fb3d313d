//! Takes configurations in, one after the other, and keeps the last good one.

use std::future::Future;
use std::sync::Arc;

use tokenweir_config::Snapshot;
use tokenweir_config::admin_token::AdminKey;
use tokenweir_config::status::{Rejected, Serving, Source};
use tokio::sync::mpsc;

use super::disk::DiskCopy;
use super::{Offer, Refused, Update};
use crate::clock::Clock;
use crate::state::State;

/// What a configuration is put into service on.
pub trait Target: Send {
    /// Serves the snapshot from now on, or says why that cannot be and goes on as before.
    fn apply(&mut self, snapshot: &Snapshot) -> impl Future<Output = Result<(), String>> + Send;
}

/// Decides what is served.
pub struct Keeper<T> {
    target: T,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    disk: Option<DiskCopy>,
}

impl<T: Target> Keeper<T> {
    /// A keeper that copies to `disk` what it accepts from the cluster.
    pub fn new(target: T, state: Arc<State>, clock: Arc<dyn Clock>, disk: Option<DiskCopy>) -> Self {
        Self {
            target,
            state,
            clock,
            disk,
        }
    }

    /// Takes updates in until all sources are gone.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>) {
        while let Some(update) = updates.recv().await {
            self.take(update).await;
        }
    }

    /// Takes one update in.
    pub async fn take(&mut self, update: Update) {
        match update {
            Update::Offer(offer) => self.offer(*offer).await,
            Update::Refused(refused) => self.refuse(refused),
        }
    }

    async fn offer(&mut self, offer: Offer) {
        let generation = offer.snapshot.generation;
        let now = self.clock.unix_ms();
        let serving = self.state.serving().filter(|serving| serving.digest == offer.digest);
        let admin_key = match offer.snapshot.admin_key.as_deref().map(AdminKey::new).transpose() {
            Ok(key) => key,
            Err(error) => return self.refuse_offer(generation, format!("field adminKey: {error}")),
        };
        if serving.is_none()
            && let Err(reason) = self.target.apply(&offer.snapshot).await
        {
            return self.refuse_offer(generation, reason);
        }
        let since_unix_ms = serving.as_ref().map_or(now, |serving| serving.since_unix_ms);
        let source = offer.source;
        let news = serving.is_none_or(|serving| serving.source != source);
        if news {
            tracing::info!(
                generation,
                digest = offer.digest,
                source = source.as_str(),
                "configuration in service"
            );
        }
        let digest = offer.digest.clone();
        self.state.accept(
            Serving {
                generation,
                digest,
                source,
                since_unix_ms,
            },
            admin_key,
        );
        if news && source == Source::Api {
            self.copy(offer).await;
        }
    }

    fn refuse_offer(&self, generation: u64, reason: String) {
        self.refuse(Refused {
            generation: Some(generation),
            reason,
        });
    }

    fn refuse(&self, Refused { generation, reason }: Refused) {
        let again = self
            .state
            .rejected()
            .is_some_and(|before| before.generation == generation && before.reason == reason);
        if again {
            return;
        }
        let serving = self.state.serving().map(|serving| serving.generation);
        for line in reason.lines() {
            tracing::error!(generation, serving, "configuration refused: {line}");
        }
        self.state.reject(Rejected {
            generation,
            reason,
            at_unix_ms: self.clock.unix_ms(),
        });
    }

    async fn copy(&self, offer: Offer) {
        let Some(disk) = self.disk.clone() else { return };
        let stored = tokio::task::spawn_blocking(move || disk.store(&offer.digest, &offer.json)).await;
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the configuration cannot be copied to the disk"),
            Err(error) => tracing::warn!(%error, "the copy to the disk broke off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokenweir_config::shards::digest_hex;

    use super::*;
    use crate::clock::ManualClock;
    use crate::testing::snapshot;

    /// Serves even generations and refuses odd ones.
    struct Evens(Arc<Mutex<Vec<u64>>>);

    impl Target for Evens {
        async fn apply(&mut self, snapshot: &Snapshot) -> Result<(), String> {
            if !snapshot.generation.is_multiple_of(2) {
                return Err(format!("generation {} is odd", snapshot.generation));
            }
            self.0.lock().push(snapshot.generation);
            Ok(())
        }
    }

    struct Bench {
        keeper: Keeper<Evens>,
        applied: Arc<Mutex<Vec<u64>>>,
        state: Arc<State>,
        clock: Arc<ManualClock>,
        disk: DiskCopy,
        _folder: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let disk = DiskCopy::new(folder.path());
        let applied = Arc::new(Mutex::new(Vec::new()));
        let state = State::new("edge-0".into(), 0);
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = clock.clone();
        let keeper = Keeper::new(
            Evens(Arc::clone(&applied)),
            Arc::clone(&state),
            shared,
            Some(disk.clone()),
        );
        Bench {
            keeper,
            applied,
            state,
            clock,
            disk,
            _folder: folder,
        }
    }

    fn offer(generation: u64, source: Source) -> Offer {
        let snapshot = snapshot(generation);
        let json = snapshot.to_json().unwrap();
        Offer {
            source,
            digest: digest_hex(&json),
            snapshot,
            json,
        }
    }

    #[tokio::test]
    async fn what_is_refused_changes_nothing_that_is_served() {
        let mut bench = bench();
        bench.keeper.offer(offer(2, Source::Api)).await;
        bench.keeper.offer(offer(3, Source::Api)).await;
        assert_eq!(bench.state.serving().unwrap().generation, 2);
        let rejected = bench.state.rejected().unwrap();
        assert_eq!(
            (rejected.generation, rejected.reason.as_str()),
            (Some(3), "generation 3 is odd")
        );
        assert_eq!(bench.disk.load().unwrap().unwrap().snapshot.generation, 2);
        bench.keeper.offer(offer(4, Source::Api)).await;
        assert_eq!(bench.state.serving().unwrap().generation, 4);
        assert!(bench.state.rejected().is_none());
        assert_eq!(bench.disk.load().unwrap().unwrap().snapshot.generation, 4);
    }

    #[tokio::test]
    async fn the_same_configuration_from_the_cluster_confirms_the_copy_without_a_swap() {
        let mut bench = bench();
        bench.keeper.offer(offer(2, Source::Disk)).await;
        let since = bench.state.serving().unwrap().since_unix_ms;
        assert!(bench.disk.load().unwrap().is_none());
        bench.clock.advance(std::time::Duration::from_secs(9));
        bench.keeper.offer(offer(2, Source::Api)).await;
        let serving = bench.state.serving().unwrap();
        assert_eq!((serving.source, serving.since_unix_ms), (Source::Api, since));
        assert_eq!(*bench.applied.lock(), [2]);
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_read_refuses_the_configuration_before_it_is_served() {
        let mut bench = bench();
        let mut bad = offer(2, Source::Api);
        bad.snapshot.admin_key = Some("short".into());
        bench.keeper.offer(bad).await;
        assert!(bench.state.serving().is_none());
        assert!(bench.state.rejected().unwrap().reason.contains("adminKey"));
        assert!(bench.applied.lock().is_empty());
    }

    #[tokio::test]
    async fn a_refusal_that_repeats_is_counted_once() {
        let bench = bench();
        for _ in 0..3 {
            bench.keeper.refuse(Refused {
                generation: Some(5),
                reason: "a shard is missing".into(),
            });
        }
        assert_eq!(bench.state.rejections(), 1);
        assert!(bench.keeper.state.serving().is_none());
    }
}
