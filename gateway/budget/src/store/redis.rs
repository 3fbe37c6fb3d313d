//! The shared store: Redis. One hash for each budget, changed by one script, so that it works in a cluster too.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::breaker::Breaker;
use super::{Store, StoreError};
use crate::amount::Amount;
use crate::clock::Clock;
use crate::escrow::{AccountRef, Answer, ReconcileError, Standing, Sync as Message};

/// How long an operation may take. A request that waits for money waits no longer than this.
const BUDGET: Duration = Duration::from_millis(50);

/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// How a Redis is to be used.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Where it is: `redis://[user:password@]host:port[/database]`.
    pub url: String,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// Whether it keeps whatever it has acknowledged: append-only file with `appendfsync always`, no eviction, no failover to a
    /// replica. Otherwise a restart is taken for a loss of memory.
    pub durable: bool,
}

/// Budgets in Redis.
pub struct RedisStore {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
    durable: bool,
    breaker: Breaker,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
enum Asked<'a> {
    Register,
    Sync {
        reference: &'a AccountRef,
        message: &'a Message,
    },
    Standing {
        account: &'a str,
    },
    Reconcile {
        account: &'a str,
        holder: &'a str,
        at_most: Amount,
    },
    Restore {
        account: &'a str,
        at_most: Amount,
    },
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(flatten)]
    asked: Asked<'a>,
    durable: bool,
}

#[derive(Deserialize)]
struct Outcome {
    refused: Option<ReconcileError>,
    standing: Option<Standing>,
}

impl Outcome {
    fn accepted(self) -> Result<Option<Standing>, ReconcileError> {
        self.refused.map_or(Ok(self.standing), Err)
    }
}

impl RedisStore {
    /// A store that connects when it is first used, and again whenever it has lost its connection. Must be called within a runtime.
    pub fn new(options: RedisOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(200));
        let connection = Client::open(options.url)
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config))
            .map_err(StoreError::Failed)?;
        Ok(Self {
            connection,
            script: Script::new(include_str!("escrow.lua")),
            prefix: options.prefix,
            durable: options.durable,
            breaker: Breaker::default(),
            clock,
        })
    }

    /// Runs the script on a budget. One that takes too long is given up, and may still happen: the next message says the same.
    async fn ask<T: for<'de> Deserialize<'de>>(&self, budget: &str, asked: Asked<'_>) -> Result<T, StoreError> {
        if !self.breaker.lets_through(self.clock.steady()) {
            return Err(StoreError::Resting);
        }
        let request = serde_json::to_string(&Request {
            asked,
            durable: self.durable,
        })?;
        let mut connection = self.connection.clone();
        let mut invocation = self.script.key(format!("{}{{{budget}}}", self.prefix));
        invocation.arg(request);
        let answer: Result<Result<String, RedisError>, _> =
            tokio::time::timeout(BUDGET, invocation.invoke_async(&mut connection)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.breaker.failed(self.clock.steady());
                return Err(StoreError::Failed(error));
            }
            Err(_) => {
                self.breaker.failed(self.clock.steady());
                return Err(StoreError::TimedOut);
            }
        };
        self.breaker.succeeded();
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Store for RedisStore {
    async fn register(&self, budget: &str) -> Result<(), StoreError> {
        self.ask::<IgnoredAny>(budget, Asked::Register).await?;
        Ok(())
    }

    async fn sync(&self, budget: &str, reference: &AccountRef, message: &Message) -> Result<Answer, StoreError> {
        self.ask(budget, Asked::Sync { reference, message }).await
    }

    async fn standing(&self, budget: &str, account: &str) -> Result<Option<Standing>, StoreError> {
        let outcome: Outcome = self.ask(budget, Asked::Standing { account }).await?;
        match outcome.accepted() {
            Err(ReconcileError::UnknownAccount) => Ok(None),
            other => Ok(other?),
        }
    }

    async fn reconcile(&self, budget: &str, account: &str, holder: &str, at_most: Amount) -> Result<(), StoreError> {
        let asked = Asked::Reconcile {
            account,
            holder,
            at_most,
        };
        self.ask::<Outcome>(budget, asked).await?.accepted()?;
        Ok(())
    }

    async fn restore(&self, budget: &str, account: &str, at_most: Amount) -> Result<(), StoreError> {
        let asked = Asked::Restore { account, at_most };
        self.ask::<Outcome>(budget, asked).await?.accepted()?;
        Ok(())
    }
}
