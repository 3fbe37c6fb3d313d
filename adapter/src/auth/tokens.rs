//! Bearer tokens: the API server knows whose they are.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use ring::digest::{SHA256, digest};
use tokio::time::timeout;

use super::User;
use super::cache::Cache;
use crate::clock::SharedClock;
use crate::named::chain;
use crate::status::{self, Failure};
use crate::telemetry::{ReviewKind, Telemetry};

/// A token that was deleted is refused after this long.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// A token that was refused may become valid; until then it costs the API server no more than this.
const REFUSED_FOR: Duration = Duration::from_secs(2);
/// A review takes milliseconds; a caller should hear within its own patience that it cannot be had.
pub const REVIEW_TIMEOUT: Duration = Duration::from_secs(3);
/// Tokens remembered; a cluster's autoscalers, probes and people are far fewer.
const REMEMBERED: usize = 1_024;

/// Hash of a token; the token itself is not kept.
type TokenHash = [u8; 32];

/// Reviews tokens.
#[derive(Debug)]
pub struct Tokens {
    api: Api<TokenReview>,
    cache: Cache<TokenHash, Option<User>>,
    clock: SharedClock,
    telemetry: Arc<Telemetry>,
}

impl Tokens {
    pub fn new(client: Client, clock: SharedClock, telemetry: Arc<Telemetry>) -> Self {
        Self {
            api: Api::all(client),
            cache: Cache::new(REMEMBERED),
            clock,
            telemetry,
        }
    }

    /// Whose a token is; 401 for nobody's, 503 if that cannot be asked.
    pub async fn review(&self, token: &str) -> Result<User, Failure> {
        let mut key = TokenHash::default();
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(known) = self.cache.get(&key, self.clock.now().mono) {
            return known.ok_or_else(status::unauthorized);
        }
        let user = self.ask(token).await?;
        let now = self.clock.now().mono;
        let end = now + if user.is_some() { KNOWN_FOR } else { REFUSED_FOR };
        self.cache.insert(key, user.clone(), now, end);
        user.ok_or_else(status::unauthorized)
    }

    async fn ask(&self, token: &str) -> Result<Option<User>, Failure> {
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            ..TokenReviewSpec::default()
        };
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let asked = timeout(REVIEW_TIMEOUT, self.api.create(&PostParams::default(), &review)).await;
        let reviewed = asked
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|asked| asked.map_err(|e| chain(&e)));
        let review = reviewed.map_err(|error| {
            self.telemetry.review(ReviewKind::Token, "error");
            tracing::warn!(error, "cannot review a token");
            status::unavailable("the token cannot be checked: the API server does not answer the review")
        })?;
        let status = review.status.unwrap_or_default();
        let user = status
            .user
            .filter(|_| status.authenticated == Some(true))
            .map(|user| User {
                name: user.username.unwrap_or_default(),
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
                extra: user.extra.unwrap_or_default(),
            });
        self.telemetry
            .review(ReviewKind::Token, if user.is_some() { "yes" } else { "no" });
        Ok(user)
    }
}
