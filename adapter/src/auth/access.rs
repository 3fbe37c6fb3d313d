//! Permissions: the API server knows who may do what.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

use super::User;
use super::cache::Cache;
use super::tokens::REVIEW_TIMEOUT;
use crate::clock::SharedClock;
use crate::named::chain;
use crate::status::{self, Failure};
use crate::target::Attributes;
use crate::telemetry::{ReviewKind, Telemetry};

/// A permission that was taken away ends after this long.
const ALLOWED_FOR: Duration = Duration::from_secs(10);
/// A permission that was given begins after this long.
const DENIED_FOR: Duration = Duration::from_secs(5);
/// Questions remembered: one for each pair of caller and metric in use, with room for a thousand autoscaled namespaces.
const REMEMBERED: usize = 8_192;

type Question = (User, Attributes);

/// Reviews permissions.
#[derive(Debug)]
pub struct Access {
    api: Api<SubjectAccessReview>,
    cache: Cache<Question, bool>,
    clock: SharedClock,
    telemetry: Arc<Telemetry>,
}

impl Access {
    pub fn new(client: Client, clock: SharedClock, telemetry: Arc<Telemetry>) -> Self {
        Self {
            api: Api::all(client),
            cache: Cache::new(REMEMBERED),
            clock,
            telemetry,
        }
    }

    /// Whether a user may do something; 503 if that cannot be asked.
    pub async fn review(&self, user: &User, attributes: &Attributes) -> Result<bool, Failure> {
        let question = (user.clone(), attributes.clone());
        if let Some(known) = self.cache.get(&question, self.clock.now().mono) {
            return Ok(known);
        }
        let review = SubjectAccessReview {
            spec: spec(user, attributes),
            ..SubjectAccessReview::default()
        };
        let asked = timeout(REVIEW_TIMEOUT, self.api.create(&PostParams::default(), &review)).await;
        let reviewed = asked
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|asked| asked.map_err(|e| chain(&e)));
        let review = reviewed.map_err(|error| {
            self.telemetry.review(ReviewKind::Access, "error");
            tracing::warn!(error, user = user.name, "cannot review a permission");
            status::unavailable("the permission cannot be checked: the API server does not answer the review")
        })?;
        let allowed = review
            .status
            .is_some_and(|status| status.allowed && status.denied != Some(true));
        self.telemetry
            .review(ReviewKind::Access, if allowed { "yes" } else { "no" });
        let now = self.clock.now().mono;
        self.cache.insert(
            question,
            allowed,
            now,
            now + if allowed { ALLOWED_FOR } else { DENIED_FOR },
        );
        Ok(allowed)
    }
}

fn spec(user: &User, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut spec = SubjectAccessReviewSpec {
        user: some(&user.name),
        uid: some(&user.uid),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    match attributes {
        Attributes::Resource(resource) => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: some(resource.verb),
                group: some(resource.group),
                version: some(resource.version),
                namespace: some(&resource.namespace),
                resource: some(&resource.resource),
                subresource: some(&resource.subresource),
                name: some(&resource.name),
                ..ResourceAttributes::default()
            });
        }
        Attributes::Path { verb, path } => {
            spec.non_resource_attributes = Some(NonResourceAttributes {
                verb: some(verb),
                path: some(path),
            });
        }
    }
    spec
}

/// What a refused caller is told, in the words of every API server.
pub fn denial(user: &User, attributes: &Attributes) -> String {
    let user = &user.name;
    match attributes {
        Attributes::Path { verb, path } => format!("forbidden: User {user:?} cannot {verb} path {path:?}"),
        Attributes::Resource(resource) => {
            let full = match resource.subresource.as_str() {
                "" => resource.resource.clone(),
                subresource => format!("{}/{subresource}", resource.resource),
            };
            let name = if resource.name.is_empty() {
                String::new()
            } else {
                format!(" {:?}", resource.name)
            };
            let place = match resource.namespace.as_str() {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            let (verb, group) = (resource.verb, resource.group);
            format!(
                "{}.{group}{name} is forbidden: User {user:?} cannot {verb} resource {full:?} in API group {group:?} {place}",
                resource.resource
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::target::Target;

    #[test]
    fn a_refusal_says_what_was_refused_to_whom() {
        let denial_of = |path: &str| denial(&User::anonymous(), &Target::parse(path).attributes(&Method::GET, path));
        assert_eq!(
            denial_of("/apis/custom.metrics.k8s.io/v1beta2/namespaces/llm/pods/*/queue_depth"),
            "pods.custom.metrics.k8s.io \"*\" is forbidden: User \"system:anonymous\" cannot get resource \
             \"pods/queue_depth\" in API group \"custom.metrics.k8s.io\" in the namespace \"llm\""
        );
        assert_eq!(
            denial_of("/metrics"),
            "forbidden: User \"system:anonymous\" cannot get path \"/metrics\""
        );
    }

    #[test]
    fn a_question_carries_all_that_is_known_of_the_user() {
        let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/llm/ttft";
        let user = User {
            name: "jo".into(),
            uid: "7".into(),
            groups: vec!["dev".into()],
            extra: [("scope".to_owned(), vec!["x".to_owned()])].into(),
        };
        let spec = spec(&user, &Target::parse(path).attributes(&Method::GET, path));
        insta::assert_json_snapshot!("access_review_spec", spec);
    }
}
