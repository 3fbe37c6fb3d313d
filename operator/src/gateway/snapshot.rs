//! The configuration on its way into Secrets: which generation it is, and whether it has to be written at all.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use tokenweir_config::Snapshot;
use tokenweir_config::shards::{self, Index, SecretData, Set, Sharded, digest_hex};

use super::error::GatewayError;
use crate::board::Written;

/// The configuration that pods read now.
pub struct Before {
    index: Option<Index>,
    /// The newest generation that was ever given out.
    newest: u64,
}

/// What to do about the configuration.
pub enum Plan {
    /// It is in the Secrets already.
    Keep {
        /// What the Secrets hold.
        written: Written,
        /// Shards that they use.
        shards: Vec<String>,
    },
    /// It is new.
    Write {
        /// What the Secrets will hold.
        written: Written,
        /// The Secrets.
        sharded: Sharded,
    },
}

impl Plan {
    /// The configuration that pods can read once the plan is carried out.
    pub fn written(&self) -> Written {
        match self {
            Self::Keep { written, .. } | Self::Write { written, .. } => written.clone(),
        }
    }
}

impl Before {
    /// Reads the index Secret. One that is missing, damaged or names shards that are not there is to be written anew, under
    /// a generation above any that was ever seen: `recorded` is the one in the gateway's status.
    pub fn read(gateway: &str, index: Option<&Secret>, existing: &BTreeSet<String>, recorded: u64) -> Self {
        let parsed = index.and_then(|secret| secret.data.as_ref()).and_then(|data| {
            let data: SecretData = data.iter().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect();
            Index::parse(gateway, &data).ok()
        });
        let newest = parsed.as_ref().map_or(0, |index| index.generation).max(recorded);
        let index = parsed
            .filter(|index| index.generation == newest && index.shard_names.iter().all(|name| existing.contains(name)));
        Self { index, newest }
    }

    /// The newest generation that was given out.
    pub fn generation(&self) -> u64 {
        self.newest
    }

    fn next_set(&self) -> Set {
        self.index.as_ref().map_or(Set::A, |index| index.set.other())
    }
}

/// Decides whether `snapshot`, compiled under the generation of `before`, is news. If it is, it gets the next generation.
pub fn plan(gateway: &str, snapshot: &mut Snapshot, before: &Before) -> Result<Plan, GatewayError> {
    if let Some(index) = &before.index {
        let digest = digest_hex(&serde_json::to_vec(snapshot)?);
        if digest == index.digest {
            return Ok(Plan::Keep {
                written: Written {
                    generation: index.generation,
                    digest,
                },
                shards: index.shard_names.clone(),
            });
        }
    }
    snapshot.generation = before.newest + 1;
    let json = serde_json::to_vec(snapshot)?;
    let sharded = shards::split(gateway, snapshot.generation, &json, before.next_set())?;
    Ok(Plan::Write {
        written: Written {
            generation: snapshot.generation,
            digest: digest_hex(&json),
        },
        sharded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use std::collections::BTreeMap;
    use tokenweir_config::{Admission, FORMAT, GatewayRef, Listener, Order, Queue, Telemetry};

    fn compiled(port: u16, generation: u64) -> Snapshot {
        Snapshot {
            format: FORMAT,
            generation,
            gateway: GatewayRef {
                namespace: "llm".into(),
                name: "edge".into(),
            },
            listeners: vec![Listener { port, tls: None }],
            admission: Admission {
                max_in_flight: 1,
                queue: Queue {
                    max_depth: 1,
                    max_wait_ms: 1,
                    order: Order::Fifo,
                },
                per_tenant_max_in_flight: None,
            },
            limits: tokenweir_config::Limits::default(),
            telemetry: Telemetry::default(),
            providers: BTreeMap::new(),
            routes: BTreeMap::new(),
            tenants: BTreeMap::new(),
            key_hash_key: String::new(),
            admin_key: None,
        }
    }

    fn stored(plan: &Plan) -> Secret {
        let Plan::Write { sharded, .. } = plan else {
            panic!("nothing was written")
        };
        Secret {
            data: Some(
                sharded
                    .index
                    .iter()
                    .map(|(key, bytes)| (key.clone(), ByteString(bytes.clone())))
                    .collect(),
            ),
            ..Secret::default()
        }
    }

    fn next(port: u16, index: Option<&Secret>, recorded: u64) -> Plan {
        let before = Before::read("edge", index, &BTreeSet::new(), recorded);
        plan("edge", &mut compiled(port, before.generation()), &before).unwrap()
    }

    #[test]
    fn the_generation_rises_by_one_with_content_and_stays_without() {
        let first = next(8080, None, 0);
        assert_eq!(first.written().generation, 1);
        let index = stored(&first);
        let same = next(8080, Some(&index), 1);
        assert!(matches!(same, Plan::Keep { .. }));
        assert_eq!(same.written(), first.written());
        let second = next(8081, Some(&index), 1);
        assert_eq!(second.written().generation, 2);
        assert_ne!(second.written().digest, first.written().digest);
    }

    #[test]
    fn a_lost_or_damaged_index_is_written_anew_above_every_older_generation() {
        assert_eq!(next(8080, None, 7).written().generation, 8);
        let damaged = Secret {
            data: Some(BTreeMap::from([("generation".into(), ByteString(b"x".to_vec()))])),
            ..Secret::default()
        };
        assert_eq!(next(8080, Some(&damaged), 7).written().generation, 8);
        let old = stored(&next(8080, None, 2));
        assert_eq!(next(8080, Some(&old), 7).written().generation, 8);
    }
}
