//! API keys to tenants.

use std::sync::Arc;

use foldhash::HashMap;
use tokenweir_config::keys::{KeyHash, KeyHasher};

use super::route::Tenant;

/// Whose key it is.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The key's name, for logs.
    pub key: Arc<str>,
    /// Unix time in seconds from which the key is refused.
    pub(super) expires_unix: Option<i64>,
}

/// Finds callers by their API keys, of which it holds only keyed hashes.
#[derive(Debug)]
pub struct KeyTable {
    pub(super) hasher: KeyHasher,
    pub(super) callers: HashMap<KeyHash, Caller>,
}

impl KeyTable {
    /// Who holds this key; `None` for an unknown key and for one that is over.
    ///
    /// The time it takes tells nothing about any key: the table is keyed by a hash whose secret no client knows.
    pub fn find(&self, api_key: &[u8], now_unix: i64) -> Option<&Caller> {
        let caller = self.callers.get(&self.hasher.hash(api_key))?;
        caller
            .expires_unix
            .is_none_or(|expires| now_unix < expires)
            .then_some(caller)
    }
}
