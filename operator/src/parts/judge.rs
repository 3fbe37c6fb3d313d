//! Second step, pure: from what is said to conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use tokenweir_crds::conditions::{ConditionStatus, ConditionType, Finding, find_condition, set_condition};

use super::dereference::Found;
use crate::board::programmed;

/// The findings about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// It makes sense.
    pub accepted: Finding,
    /// What it names exists.
    pub resolved: Finding,
    /// Pods serve it.
    pub programmed: Finding,
    /// What it leads to is well; for what leads nowhere there is no such finding.
    pub healthy: Option<Finding>,
    /// It is known what it costs; only providers have such a finding.
    pub priced: Option<Finding>,
    /// False if the message of `programmed` names a generation that may be too new.
    exact: bool,
}

/// Judges an object. `idle` says why a gateway has nothing of an object that is right in itself.
pub fn judge(found: &Found, idle: &str) -> Judged {
    Judged {
        accepted: found.verdict.accepted(),
        resolved: found.verdict.resolved_refs(),
        programmed: programmed(&found.parts, idle),
        healthy: None,
        priced: None,
        exact: found.parts.iter().any(|part| part.entry.exact),
    }
}

impl Judged {
    /// The same with a finding on health.
    #[must_use]
    pub fn with_health(mut self, healthy: Finding) -> Self {
        self.healthy = Some(healthy);
        self
    }

    /// The same with a finding on prices.
    #[must_use]
    pub fn with_prices(mut self, priced: Finding) -> Self {
        self.priced = Some(priced);
        self
    }

    /// The conditions, given those of before.
    pub fn conditions(self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
        let mut programmed = self.programmed;
        let kept = find_condition(before, ConditionType::Programmed)
            .filter(|old| old.status == ConditionStatus::True.as_str() && old.observed_generation == generation);
        // A restart of the operator forgets since when something is served; the status remembers.
        if let Some(old) = kept
            && programmed.is_true()
            && !self.exact
        {
            programmed.message.clone_from(&old.message);
        }
        let mut conditions = before.to_vec();
        for (kind, finding) in [
            (ConditionType::Accepted, &self.accepted),
            (ConditionType::ResolvedRefs, &self.resolved),
            (ConditionType::Programmed, &programmed),
        ] {
            set_condition(&mut conditions, kind, finding, generation, now);
        }
        for (kind, finding) in [
            (ConditionType::Healthy, &self.healthy),
            (ConditionType::Priced, &self.priced),
        ] {
            if let Some(finding) = finding {
                set_condition(&mut conditions, kind, finding, generation, now);
            }
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Entry, Liveness, Part};
    use tokenweir_crds::compile::{Kind, Verdict};

    fn found(since: u64, exact: bool) -> Found {
        let verdict = Verdict {
            kind: Kind::ModelRoute,
            name: "chat".into(),
            problems: Vec::new(),
            served: true,
        };
        let part = Part {
            gateway: "edge".into(),
            entry: Entry {
                observed_generation: Some(1),
                verdict: verdict.clone(),
                fingerprint: Some(1),
                since,
                exact,
            },
            delivered: true,
            liveness: Some(Liveness {
                live: 1,
                counted: 1,
                floor: 99,
                ..Liveness::default()
            }),
        };
        Found {
            verdict,
            parts: vec![part],
        }
    }

    fn message(conditions: &[Condition]) -> &str {
        &find_condition(conditions, ConditionType::Programmed).unwrap().message
    }

    #[test]
    fn a_restart_of_the_operator_does_not_change_what_was_said() {
        let now = Timestamp::UNIX_EPOCH;
        let first = judge(&found(5, true), "").conditions(&[], Some(1), now);
        assert_eq!(message(&first), "served by gateway edge since generation 5");
        let restarted = judge(&found(9, false), "").conditions(&first, Some(1), now);
        assert_eq!(restarted, first);
        let changed = judge(&found(9, true), "").conditions(&first, Some(1), now);
        assert_eq!(message(&changed), "served by gateway edge since generation 9");
        let edited = judge(&found(9, false), "").conditions(&first, Some(2), now);
        assert_eq!(message(&edited), "served by gateway edge since generation 9");
    }
}
