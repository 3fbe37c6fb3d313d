//! Which minted keys get a successor, and when the one before ends. Pure.
//!
//! All that rotation knows stands in the key's own Secret, so that a restart of the operator, or another one that takes over,
//! goes on where the last one was.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokenweir_crds::Span;
use tokenweir_crds::api::{
    ApiKey, ApiKeyStatus, ISSUED_AT_FIELD, KeyRotation, MINTED_KEY_FIELD, PREVIOUS_KEY_FIELD, PREVIOUS_UNTIL_FIELD,
};

/// What is to be done with the Secret of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Put this key in the place of the one that is there, which works until then.
    Successor {
        /// The new key.
        key: String,
        /// When it was made.
        issued: Timestamp,
        /// The end of the one before.
        until: Timestamp,
    },
    /// The key before has ended: take it out.
    Forget,
}

/// What is known of a key, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What the status says.
    pub status: ApiKeyStatus,
    /// When something is to be done next; absent: never.
    pub next: Option<Timestamp>,
    /// Whether a successor is due.
    pub successor: bool,
    /// Whether the key before has ended.
    pub forget: bool,
}

/// Judges the Secret of a minted key at a time.
pub fn turn(key: &ApiKey, secret: &Secret, now: Timestamp) -> Turn {
    let issued = time(secret, ISSUED_AT_FIELD).or_else(|| secret.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let previous = text(secret, PREVIOUS_KEY_FIELD).map(|_| time(secret, PREVIOUS_UNTIL_FIELD).unwrap_or(now));
    let due = key
        .rotate
        .as_ref()
        .zip(issued)
        .and_then(|(rotate, issued)| after(issued, rotate.every));
    let forget = previous.is_some_and(|until| until <= now);
    // A key that has ended anyway gets no successor: whoever set its end meant it.
    let over = key.expires.as_ref().is_some_and(|end| end.0 <= now);
    let successor = !over && due.is_some_and(|due| due <= now);
    let ends = previous.filter(|until| *until > now);
    Turn {
        status: ApiKeyStatus {
            name: key.name.clone(),
            issued_at: issued.map(Time),
            expires_at: key.expires.clone(),
            next_rotation: due.filter(|_| !over).map(Time),
            previous_until: ends.map(Time),
        },
        next: due.filter(|due| !over && *due > now).into_iter().chain(ends).min(),
        successor,
        forget,
    }
}

/// The change that makes a successor at a time.
pub fn successor(rotate: &KeyRotation, key: String, now: Timestamp) -> Change {
    Change::Successor {
        key,
        issued: now,
        // One key before is kept, and no more.
        until: after(now, rotate.overlap.min(rotate.every)).unwrap_or(Timestamp::MAX),
    }
}

/// What changes a Secret that is still the one that was judged.
pub fn patch(secret: &Secret, change: &Change) -> serde_json::Value {
    let text = |text: String| json!(ByteString(text.into_bytes()));
    let data = match change {
        Change::Successor { key, issued, until } => json!({
            MINTED_KEY_FIELD: text(key.clone()),
            ISSUED_AT_FIELD: text(issued.to_string()),
            PREVIOUS_KEY_FIELD: secret.data.as_ref().and_then(|data| data.get(MINTED_KEY_FIELD)),
            PREVIOUS_UNTIL_FIELD: text(until.to_string()),
        }),
        Change::Forget => json!({PREVIOUS_KEY_FIELD: null, PREVIOUS_UNTIL_FIELD: null}),
    };
    json!({"metadata": {"resourceVersion": secret.metadata.resource_version}, "data": data})
}

fn after(time: Timestamp, span: Span) -> Option<Timestamp> {
    let seconds = i64::try_from(span.as_secs()).ok()?;
    time.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn text<'a>(secret: &'a Secret, field: &str) -> Option<&'a str> {
    let value = secret.data.as_ref()?.get(field)?;
    std::str::from_utf8(&value.0).ok()
}

fn time(secret: &Secret, field: &str) -> Option<Timestamp> {
    text(secret, field)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(spec: serde_json::Value) -> ApiKey {
        serde_json::from_value(spec).unwrap()
    }

    fn secret(fields: &[(&str, &str)]) -> Secret {
        let bytes = |(name, text): &(&str, &str)| ((*name).to_owned(), ByteString(text.as_bytes().to_vec()));
        let mut secret = Secret {
            data: Some(fields.iter().map(bytes).collect()),
            ..Secret::default()
        };
        secret.metadata.creation_timestamp = Some(Time(at("2026-01-01T00:00:00Z")));
        secret.metadata.resource_version = Some("7".to_owned());
        secret
    }

    /// The Secret as the API server has it after a merge patch.
    fn patched(secret: &Secret, change: &Change) -> Secret {
        let patch = patch(secret, change);
        let mut value = serde_json::to_value(secret).unwrap();
        for (name, new) in patch["data"].as_object().unwrap() {
            let data = value["data"].as_object_mut().unwrap();
            if new.is_null() {
                data.remove(name)
            } else {
                data.insert(name.clone(), new.clone())
            };
        }
        assert_eq!(
            patch["metadata"]["resourceVersion"], "7",
            "only what was judged is changed"
        );
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_key_gets_its_successor_in_time_and_the_one_before_ends_with_the_overlap() {
        let key = key(json!({"name": "ci", "rotate": {"every": "30d", "overlap": "36h"}}));
        let first = secret(&[("apiKey", "first")]);
        let waits = turn(&key, &first, at("2026-01-30T23:59:59Z"));
        assert!(!waits.successor && !waits.forget);
        assert_eq!(waits.next, Some(at("2026-01-31T00:00:00Z")));
        assert_eq!(
            waits.status.issued_at,
            Some(Time(at("2026-01-01T00:00:00Z"))),
            "the Secret's own age"
        );

        let now = at("2026-02-01T12:00:00Z");
        assert!(turn(&key, &first, now).successor);
        let change = successor(key.rotate.as_ref().unwrap(), "second".to_owned(), now);
        let second = patched(&first, &change);
        assert_eq!(text(&second, "apiKey"), Some("second"));
        assert_eq!(text(&second, "previousApiKey"), Some("first"));
        let after = turn(&key, &second, now);
        assert!(!after.successor && !after.forget);
        let (until, next) = (at("2026-02-03T00:00:00Z"), at("2026-03-03T12:00:00Z"));
        assert_eq!(after.next, Some(until), "the end of the one before comes first");
        assert_eq!(after.status.previous_until, Some(Time(until)));
        assert_eq!(after.status.next_rotation, Some(Time(next)));

        let over = turn(&key, &second, until);
        assert!(over.forget && over.status.previous_until.is_none());
        let alone = patched(&second, &Change::Forget);
        assert_eq!(
            alone.data.as_ref().unwrap().keys().collect::<Vec<_>>(),
            ["apiKey", "issuedAt"]
        );
        assert_eq!(turn(&key, &alone, until).next, Some(next));
    }

    #[test]
    fn keys_without_rotation_and_keys_that_have_ended_stay_as_they_are() {
        let now = at("2036-01-01T00:00:00Z");
        let still = turn(&key(json!({"name": "ci"})), &secret(&[("apiKey", "k")]), now);
        assert!(!still.successor && still.next.is_none() && still.status.next_rotation.is_none());
        let over = key(json!({"name": "ci", "expires": "2027-01-01T00:00:00Z", "rotate": {"every": "1d"}}));
        let over = turn(&over, &secret(&[("apiKey", "k")]), now);
        assert!(!over.successor && over.next.is_none());
        // What somebody has put there and cannot be read ends at once.
        let odd = secret(&[
            ("apiKey", "k"),
            ("previousApiKey", "p"),
            ("previousUntil", "soon"),
            ("issuedAt", "?"),
        ]);
        assert!(turn(&key(json!({"name": "ci"})), &odd, now).forget);
    }
}
