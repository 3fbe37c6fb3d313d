//! What the controllers share.

use std::sync::Arc;

use kube::Client;

use crate::board::Board;
use crate::clock::Clock;
use crate::kubernetes::{ConfigMaps, Events, Secrets};
use crate::probe::Prober;
use crate::rootkey::RootKey;
use crate::settings::Settings;
use crate::watch::Caches;

/// Handles that every controller may use. Clones share them.
#[derive(Clone)]
pub struct Context {
    /// The API server, for requests.
    pub client: Client,
    /// The API server, for watches, which are silent for long.
    pub watch_client: Client,
    /// What the watches have seen.
    pub caches: Caches,
    /// Content of Secrets.
    pub secrets: Arc<Secrets>,
    /// Content of ConfigMaps.
    pub config_maps: Arc<ConfigMaps>,
    /// What gateways serve.
    pub board: Arc<Board>,
    /// Asks the pods.
    pub prober: Arc<Prober>,
    /// The key from which those of all gateways derive.
    pub root_key: RootKey,
    /// Events.
    pub events: Events,
    /// The time.
    pub clock: Clock,
    /// What the operator was told at its start.
    pub settings: Arc<Settings>,
}
