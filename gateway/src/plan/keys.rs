//! API keys to tenants.

use std::sync::Arc;

use foldhash::HashMap;
use tokenweir_config::ScopeArea;
use tokenweir_config::keys::{KeyHash, KeyHasher};
use tokenweir_llm::Operation;

use super::glob::Glob;
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
    /// What the key may be used for; empty: everything that the tenant may do.
    pub(super) scopes: Box<[(ScopeArea, Glob)]>,
}

impl Caller {
    /// Whether the key may be used to ask this of a model: its tenant may, and one of its scopes has it.
    pub fn may_use(&self, operation: Operation, model: &str) -> bool {
        let area = match operation {
            Operation::Embeddings => ScopeArea::Embeddings,
            Operation::Chat
            | Operation::TextCompletion
            | Operation::Responses
            | Operation::Messages
            | Operation::CountTokens => ScopeArea::Chat,
        };
        let has = |(of, models): &(ScopeArea, Glob)| (*of == ScopeArea::Models || *of == area) && models.matches(model);
        self.tenant.may_use(model) && (self.scopes.is_empty() || self.scopes.iter().any(has))
    }

    /// Whether the key may be used to ask anything of a model.
    pub fn may_see(&self, model: &str) -> bool {
        let has = |(_, models): &(ScopeArea, Glob)| models.matches(model);
        self.tenant.may_use(model) && (self.scopes.is_empty() || self.scopes.iter().any(has))
    }
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
