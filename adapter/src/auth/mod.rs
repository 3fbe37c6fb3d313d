//! Who asks, and whether they may.
//!
//! Who: the aggregator, which vouches for a user by its client certificate and headers; else the bearer of a token, whom
//! the API server knows; else anonymous. Whether: the API server says. Answers are kept for seconds. What cannot be asked
//! is refused.

mod access;
mod cache;
pub mod front_proxy;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, Method, header};
use kube::Client;

use crate::clock::SharedClock;
use crate::status::{self, Failure};
use crate::target::Target;
use crate::telemetry::Telemetry;
use access::Access;
pub use front_proxy::{FrontProxy, PeerCertificates};
use tokens::Tokens;

/// The group of everybody who is known.
const AUTHENTICATED: &str = "system:authenticated";
/// The group that may do everything, as in every API server.
const MASTERS: &str = "system:masters";
/// The name of whoever does not say who they are.
const ANONYMOUS: &str = "system:anonymous";

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// Name.
    pub name: String,
    /// Identity beyond the name; empty for none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// More about the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whoever does not say who they are.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.into(),
            groups: vec!["system:unauthenticated".into()],
            ..Self::default()
        }
    }

    /// Adds the group that every known user is in.
    fn authenticated(mut self) -> Self {
        if self.name != ANONYMOUS && !self.is_in(AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.into());
        }
        self
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == group)
    }
}

/// Checks callers.
#[derive(Debug)]
pub struct Auth {
    front_proxy: Arc<ArcSwapOption<FrontProxy>>,
    tokens: Tokens,
    access: Access,
}

impl Auth {
    /// A check that follows `front_proxy` and asks the API server for the rest.
    pub fn new(
        client: Client,
        front_proxy: Arc<ArcSwapOption<FrontProxy>>,
        clock: SharedClock,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let tokens = Tokens::new(client.clone(), Arc::clone(&clock), Arc::clone(&telemetry));
        Self {
            front_proxy,
            tokens,
            access: Access::new(client, clock, telemetry),
        }
    }

    /// Finds out who asks.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: &PeerCertificates) -> Result<User, Failure> {
        let front_proxy = self.front_proxy.load_full();
        if let Some(user) = front_proxy.and_then(|front_proxy| front_proxy.authenticate(peer, headers)) {
            return Ok(user.authenticated());
        }
        match bearer(headers) {
            Some(token) => self.tokens.review(token).await.map(User::authenticated),
            None => Ok(User::anonymous()),
        }
    }

    /// Finds out whether they may.
    pub async fn authorize(&self, user: &User, target: &Target, method: &Method, path: &str) -> Result<(), Failure> {
        if is_allowed_to_all(user, target) {
            return Ok(());
        }
        let attributes = target.attributes(method, path);
        if self.access.review(user, &attributes).await? {
            Ok(())
        } else {
            Err(status::forbidden(&access::denial(user, &attributes)))
        }
    }
}

/// What needs no question: health for everybody; discovery for everybody who is known, as `system:discovery` has it in
/// every cluster (the aggregator asks it all the time, and must get it while nothing else works); everything for
/// `system:masters`.
fn is_allowed_to_all(user: &User, target: &Target) -> bool {
    match target {
        Target::Health(_) => true,
        target if target.is_discovery() => user.is_in(AUTHENTICATED) || user.is_in(MASTERS),
        _ => user.is_in(MASTERS),
    }
}

/// The token of an `Authorization` header of the bearer scheme.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .trim()
        .split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(groups: &[&str]) -> User {
        User {
            name: "jo".into(),
            groups: groups.iter().map(|group| (*group).into()).collect(),
            ..User::default()
        }
    }

    #[test]
    fn health_is_for_everybody_and_discovery_for_everybody_who_is_known() {
        assert!(is_allowed_to_all(&User::anonymous(), &Target::parse("/readyz")));
        assert!(!is_allowed_to_all(&User::anonymous(), &Target::parse("/apis")));
        assert!(is_allowed_to_all(&user(&[]).authenticated(), &Target::parse("/apis")));
        assert!(is_allowed_to_all(
            &user(&[]).authenticated(),
            &Target::parse("/openapi/v2")
        ));
    }

    #[test]
    fn metrics_are_for_nobody_without_a_question_but_masters() {
        let metric = Target::parse("/apis/external.metrics.k8s.io/v1beta1/namespaces/llm/queue_depth");
        for target in [&metric, &Target::OwnMetrics, &Target::Root, &Target::Unknown] {
            assert!(
                !is_allowed_to_all(&user(&["dev"]).authenticated(), target),
                "{target:?}"
            );
            assert!(is_allowed_to_all(&user(&[MASTERS]), target), "{target:?}");
        }
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        let of = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&of("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&of("bearer   abc ")), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(bearer(&of(other)), None, "{other}");
        }
    }
}
