//! Every gateway pod, and what it last said.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokenweir_signals::{Frame, FrameError, PodSignals};

use super::age::ClockMap;

/// What the API server says about a gateway pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodInfo {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity: a pod that is made again under the same name is another pod.
    pub uid: String,
    /// Name of its `LLMGateway`.
    pub gateway: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// Whether its `Ready` condition is true.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl PodInfo {
    /// Whether a sum is wrong without this pod: it takes new requests.
    pub fn counts(&self) -> bool {
        self.ready && !self.terminating
    }
}

/// What a pod last said.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its values.
    pub signals: Arc<PodSignals>,
    /// When they were measured, on the local monotonic clock.
    pub measured: Duration,
}

/// A pod with its values, as of one moment.
#[derive(Debug, Clone)]
pub struct PodView {
    /// What the API server says.
    pub info: Arc<PodInfo>,
    /// What the pod said; `None` if it has not spoken yet.
    pub live: Option<Live>,
}

/// One pod of the [`Store`].
#[derive(Debug)]
pub struct PodEntry {
    info: RwLock<Arc<PodInfo>>,
    live: RwLock<Option<Live>>,
}

impl PodEntry {
    fn new(info: PodInfo) -> Self {
        Self {
            info: RwLock::new(Arc::new(info)),
            live: RwLock::new(None),
        }
    }

    /// What the API server says about the pod.
    pub fn info(&self) -> Arc<PodInfo> {
        self.info.read().clone()
    }

    /// Whether the pod has spoken.
    pub fn has_spoken(&self) -> bool {
        self.live.read().is_some()
    }

    fn view(&self) -> PodView {
        PodView {
            info: self.info(),
            live: self.live.read().clone(),
        }
    }
}

/// Routes and tenants of one pod. A pod that names more is not a gateway, and would only fill the memory.
const MAX_SCOPES: usize = 20_000;

/// Why a frame is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedFrame {
    /// It is out of order.
    #[error(transparent)]
    Order(#[from] FrameError),
    /// With it the pod would have named more than [`MAX_SCOPES`] routes and tenants.
    #[error("the pod names more than {MAX_SCOPES} routes and tenants")]
    TooManyScopes,
}

/// What one connection has said so far. The pod's last values stay in the store when a connection ends and grow old
/// there; a new connection replaces them with its first frame.
#[derive(Debug)]
pub struct Session {
    entry: Arc<PodEntry>,
    signals: Arc<PodSignals>,
    clock: ClockMap,
}

impl Session {
    /// Begins a connection to a pod.
    pub fn new(entry: Arc<PodEntry>) -> Self {
        Self {
            entry,
            signals: Arc::default(),
            clock: ClockMap::default(),
        }
    }

    /// Takes the next frame in, which arrived at `received` on the local monotonic clock.
    pub fn apply(&mut self, frame: Frame, received: Duration) -> Result<(), RefusedFrame> {
        let measured = self.clock.measured(received, frame.measured_unix_ms);
        // Writers outnumber readers by far. The entry's own reference goes first, so that the values are copied only
        // while a reader holds them.
        let mut live = self.entry.live.write();
        *live = None;
        let signals = Arc::make_mut(&mut self.signals);
        signals.apply(frame)?;
        if signals.scopes.len() > MAX_SCOPES {
            return Err(RefusedFrame::TooManyScopes);
        }
        *live = Some(Live {
            signals: Arc::clone(&self.signals),
            measured,
        });
        Ok(())
    }
}

/// Every gateway pod of the cluster.
#[derive(Debug, Default)]
pub struct Store {
    listed: AtomicBool,
    namespaces: RwLock<BTreeMap<String, BTreeMap<String, Arc<PodEntry>>>>,
}

impl Store {
    /// Adds a pod or renews what is known about it. Values are kept if it is the same pod at the same address.
    pub fn upsert(&self, info: PodInfo) -> Arc<PodEntry> {
        let mut namespaces = self.namespaces.write();
        let pods = namespaces.entry(info.namespace.clone()).or_default();
        if let Some(entry) = pods.get(&info.name) {
            let known = entry.info();
            if known.uid == info.uid && known.ip == info.ip && known.gateway == info.gateway {
                *entry.info.write() = Arc::new(info);
                return Arc::clone(entry);
            }
        }
        let name = info.name.clone();
        let entry = Arc::new(PodEntry::new(info));
        pods.insert(name, Arc::clone(&entry));
        entry
    }

    /// Removes a pod.
    pub fn remove(&self, namespace: &str, name: &str) {
        let mut namespaces = self.namespaces.write();
        if let Some(pods) = namespaces.get_mut(namespace) {
            pods.remove(name);
            if pods.is_empty() {
                namespaces.remove(namespace);
            }
        }
    }

    /// Says that the API server has listed all pods once. Until then an absent pod means nothing.
    pub fn set_listed(&self) {
        self.listed.store(true, Ordering::Release);
    }

    /// Whether the API server has listed all pods once.
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Whether all pods that count have spoken.
    pub fn all_have_spoken(&self) -> bool {
        let namespaces = self.namespaces.read();
        namespaces
            .values()
            .flat_map(BTreeMap::values)
            .all(|entry| entry.has_spoken() || !entry.info().counts())
    }

    /// The pods of a namespace in the order of their names, as they are now.
    pub fn pods(&self, namespace: &str) -> Vec<PodView> {
        let namespaces = self.namespaces.read();
        namespaces
            .get(namespace)
            .map(|pods| pods.values().map(|entry| entry.view()).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokenweir_signals::{Scope, Values};

    use super::*;

    fn info(uid: &str, ip: [u8; 4]) -> PodInfo {
        PodInfo {
            namespace: "llm".into(),
            name: "edge-1".into(),
            uid: uid.into(),
            gateway: "edge".into(),
            labels: BTreeMap::new(),
            ip: Some(IpAddr::from(ip)),
            ready: true,
            terminating: false,
        }
    }

    fn frame(seq: u64, depth: u64) -> Frame {
        let values = Values {
            queue_depth: depth,
            ..Values::default()
        };
        Frame {
            seq,
            measured_unix_ms: 1_000 + seq * 250,
            generation: 1,
            draining: false,
            full: seq == 0,
            scopes: vec![(Scope::pod(), values)],
        }
    }

    fn depth(store: &Store) -> Option<u64> {
        let pods = store.pods("llm");
        pods[0]
            .live
            .as_ref()
            .map(|live| live.signals.scopes[&Scope::pod()].queue_depth)
    }

    #[test]
    fn a_view_keeps_its_values_while_frames_go_on() {
        let store = Store::default();
        let mut session = Session::new(store.upsert(info("a", [10, 0, 0, 1])));
        session.apply(frame(0, 3), Duration::from_secs(1)).unwrap();
        let view = store.pods("llm").remove(0);
        session.apply(frame(1, 4), Duration::from_millis(1_250)).unwrap();
        assert_eq!(view.live.unwrap().signals.scopes[&Scope::pod()].queue_depth, 3);
        assert_eq!(depth(&store), Some(4));
    }

    #[test]
    fn values_survive_a_change_of_readiness_but_not_of_identity_or_address() {
        let store = Store::default();
        let mut session = Session::new(store.upsert(info("a", [10, 0, 0, 1])));
        session.apply(frame(0, 3), Duration::from_secs(1)).unwrap();
        store.upsert(PodInfo {
            ready: false,
            ..info("a", [10, 0, 0, 1])
        });
        assert_eq!(depth(&store), Some(3));
        store.upsert(info("a", [10, 0, 0, 2]));
        assert_eq!(depth(&store), None);
        // What the old connection still says goes nowhere.
        session.apply(frame(1, 9), Duration::from_secs(2)).unwrap();
        assert_eq!(depth(&store), None);
    }

    #[test]
    fn a_broken_stream_leaves_no_value_behind() {
        let store = Store::default();
        let mut session = Session::new(store.upsert(info("a", [10, 0, 0, 1])));
        session.apply(frame(0, 3), Duration::from_secs(1)).unwrap();
        assert!(session.apply(frame(5, 4), Duration::from_secs(2)).is_err());
        assert_eq!(depth(&store), None);
    }

    #[test]
    fn a_pod_cannot_fill_the_memory_with_names() {
        let store = Store::default();
        let mut session = Session::new(store.upsert(info("a", [10, 0, 0, 1])));
        let named = |seq: u64| Frame {
            scopes: (0..MAX_SCOPES as u64 / 2)
                .map(|n| (Scope::tenant(format!("{seq}-{n}")), Values::default()))
                .collect(),
            ..frame(seq, 1)
        };
        session.apply(named(0), Duration::from_secs(1)).unwrap();
        session.apply(named(1), Duration::from_secs(1)).unwrap();
        assert_eq!(
            session.apply(named(2), Duration::from_secs(1)),
            Err(RefusedFrame::TooManyScopes)
        );
        assert!(store.pods("llm")[0].live.is_none());
    }

    #[test]
    fn a_removed_pod_is_gone() {
        let store = Store::default();
        store.upsert(info("a", [10, 0, 0, 1]));
        store.remove("llm", "edge-1");
        assert!(store.pods("llm").is_empty());
    }
}
