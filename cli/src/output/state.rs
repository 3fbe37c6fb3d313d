//! What matters first about an object: does it work, and if not, why and since when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;
use tokenweir_crds::conditions::{ConditionType, Reason};

use super::age::ago;
use super::spec::about;
use super::table::{Cell, Tone};
use crate::kind::Kind;

/// Which condition is looked at first when several do not hold: the one that explains the others.
const ORDER: [&str; 5] = ["Accepted", "ResolvedRefs", "Programmed", "Ready", "Healthy"];

/// Reasons of conditions that hold, and will not for long if nobody does anything.
const WARNINGS: [Reason; 1] = [Reason::CertificateExpiring];

/// An object in one row.
#[derive(Debug, Clone)]
pub struct Summary {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub created: Option<Timestamp>,
    pub conditions: Vec<Condition>,
    /// What it is, in a few words.
    pub about: String,
    terminating: bool,
    /// The newest generation of its spec, if the operator's word is about an older one.
    unseen: Option<i64>,
}

/// A condition for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionLine {
    pub tone: Tone,
    pub text: String,
}

impl Summary {
    /// Reads an object. What cannot be read is taken as absent, so that one odd object never hides the others.
    pub fn of(kind: Kind, object: &DynamicObject) -> Self {
        let meta = &object.metadata;
        let status = object.data.get("status");
        let listed = status.and_then(|status| status.get("conditions")?.as_array());
        let conditions: Vec<Condition> = listed
            .into_iter()
            .flatten()
            .filter_map(|condition| serde_json::from_value(condition.clone()).ok())
            .collect();
        let observed = status.and_then(|status| status.get("observedGeneration")?.as_i64());
        Self {
            kind,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            about: about(kind, object.data.get("spec").unwrap_or(&Value::Null), status),
            terminating: meta.deletion_timestamp.is_some(),
            unseen: meta
                .generation
                .filter(|newest| observed.is_some_and(|seen| seen < *newest)),
            conditions,
        }
    }

    /// The status of a condition, if it is there.
    pub fn status(&self, condition: &str) -> Option<&str> {
        let found = self.conditions.iter().find(|found| found.type_ == condition);
        found.map(|found| found.status.as_str())
    }

    /// The condition that explains why the object does not do its work. A model without a price does its own.
    pub fn problem(&self) -> Option<&Condition> {
        let stops = |c: &&Condition| c.status != "True" && c.type_ != ConditionType::Priced.as_str();
        let mut broken: Vec<&Condition> = self.conditions.iter().filter(stops).collect();
        broken.sort_by_key(|c| ORDER.iter().position(|known| *known == c.type_).unwrap_or(ORDER.len()));
        broken.first().copied()
    }

    /// The condition that holds, and says what will go wrong if nobody does anything.
    fn warning(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| is_warning(condition))
    }

    /// Whether it works, and if not, why and for how long; else what will break it.
    pub fn state(&self, now: Timestamp) -> Cell {
        if self.terminating {
            return Cell::new("Terminating", Tone::Warn);
        }
        if self.conditions.is_empty() {
            return Cell::new("NotReported", Tone::Warn);
        }
        if let Some(problem) = self.problem() {
            let tone = if problem.status == "False" {
                Tone::Bad
            } else {
                Tone::Warn
            };
            let since = ago(problem.last_transition_time.0, now);
            return Cell::new(format!("{} for {since}", problem.reason), tone);
        }
        if self.unseen.is_some() {
            return Cell::new("NotYetSeen", Tone::Warn);
        }
        if let Some(warning) = self.warning() {
            let since = ago(warning.last_transition_time.0, now);
            return Cell::new(format!("{} for {since}", warning.reason), Tone::Warn);
        }
        Cell::new("ok", Tone::Good)
    }

    /// The whole story behind [`Self::state`], in a sentence; empty if all is well.
    pub fn message(&self) -> String {
        if self.conditions.is_empty() {
            return "the operator has said nothing about it; does it run, and does it look after this namespace?"
                .to_owned();
        }
        match (self.problem(), self.unseen) {
            (Some(problem), _) => problem.message.clone(),
            (None, Some(newest)) => format!("the operator has not yet looked at generation {newest} of the spec"),
            (None, None) => self
                .warning()
                .map(|warning| warning.message.clone())
                .unwrap_or_default(),
        }
    }

    /// The conditions, one line each, in the order in which they depend on each other.
    pub fn condition_lines(&self, now: Timestamp) -> Vec<ConditionLine> {
        let mut sorted: Vec<&Condition> = self.conditions.iter().collect();
        sorted.sort_by_key(|c| ORDER.iter().position(|known| *known == c.type_).unwrap_or(ORDER.len()));
        let line = |c: &Condition| ConditionLine {
            tone: match c.status.as_str() {
                "True" if is_warning(c) => Tone::Warn,
                "True" => Tone::Good,
                "False" if c.type_ != ConditionType::Priced.as_str() => Tone::Bad,
                _ => Tone::Warn,
            },
            text: format!(
                "{:<13} {:<8} {:<5} {} ({})",
                c.type_,
                c.status,
                ago(c.last_transition_time.0, now),
                c.message,
                c.reason
            ),
        };
        sorted.into_iter().map(line).collect()
    }
}

fn is_warning(condition: &Condition) -> bool {
    condition.status == "True" && WARNINGS.iter().any(|reason| reason.as_str() == condition.reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(meta: &Value, status: &Value) -> Summary {
        let mut object = json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "acme", "generation": 3},
            "spec": {}, "status": status,
        });
        for (field, value) in meta.as_object().unwrap() {
            object["metadata"][field] = value.clone();
        }
        Summary::of(Kind::Tenant, &serde_json::from_value(object).unwrap())
    }

    fn state(summary: &Summary) -> Cell {
        summary.state("2026-01-01T00:10:00Z".parse().unwrap())
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({
            "type": kind, "status": status, "reason": format!("{kind}Reason"), "message": format!("about {kind}"),
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn the_state_is_what_explains_the_rest() {
        let none = json!({});
        let good = [condition("Accepted", "True")];
        assert_eq!(state(&summary(&none, &none)), Cell::new("NotReported", Tone::Warn));
        let seen = summary(&none, &json!({"observedGeneration": 3, "conditions": good}));
        assert_eq!(
            (state(&seen), seen.message()),
            (Cell::new("ok", Tone::Good), String::new())
        );
        let unpriced = [condition("Accepted", "True"), condition("Priced", "False")];
        let unpriced = summary(&none, &json!({"observedGeneration": 3, "conditions": unpriced}));
        assert_eq!(state(&unpriced), Cell::new("ok", Tone::Good), "it works all the same");
        let old = summary(&none, &json!({"observedGeneration": 2, "conditions": good}));
        assert_eq!(state(&old), Cell::new("NotYetSeen", Tone::Warn));
        assert!(old.message().contains("generation 3"));
        let conditions = [
            condition("Programmed", "Unknown"),
            condition("Accepted", "False"),
            condition("Odd", "False"),
        ];
        let broken = summary(&none, &json!({"observedGeneration": 2, "conditions": conditions}));
        assert_eq!(state(&broken), Cell::new("AcceptedReason for 10m", Tone::Bad));
        assert_eq!(broken.message(), "about Accepted");
        let going = summary(
            &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            &json!({"conditions": conditions}),
        );
        assert_eq!(state(&going), Cell::new("Terminating", Tone::Warn));
    }

    #[test]
    fn what_will_break_is_told_while_everything_holds() {
        let mut refs = condition("ResolvedRefs", "True");
        refs["reason"] = json!(Reason::CertificateExpiring.as_str());
        let status = json!({"observedGeneration": 3, "conditions": [condition("Accepted", "True"), refs]});
        let late = summary(&json!({}), &status);
        assert_eq!(state(&late), Cell::new("CertificateExpiring for 10m", Tone::Warn));
        assert_eq!(late.message(), "about ResolvedRefs");
        let lines = late.condition_lines("2026-01-01T00:10:00Z".parse().unwrap());
        let tones: Vec<Tone> = lines.iter().map(|line| line.tone).collect();
        assert_eq!(tones, [Tone::Good, Tone::Warn]);
        let mut status = status;
        status["conditions"][0] = condition("Accepted", "False");
        let broken = summary(&json!({}), &status);
        assert_eq!(state(&broken), Cell::new("AcceptedReason for 10m", Tone::Bad));
    }

    #[test]
    fn a_condition_that_cannot_be_read_does_not_hide_the_others() {
        let conditions = json!([{"type": 5}, condition("Healthy", "False")]);
        let odd = summary(&json!({}), &json!({"conditions": conditions}));
        assert_eq!(odd.status("Healthy"), Some("False"));
    }
}
