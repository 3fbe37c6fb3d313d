//! What the compiler says about an object.

use std::fmt;

use crate::conditions::{ConditionType, Finding, Reason};

/// A kind that the compiler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `LLMGateway`.
    LLMGateway,
    /// `ModelProvider`.
    ModelProvider,
    /// `ModelRoute`.
    ModelRoute,
    /// `Tenant`.
    Tenant,
}

impl Kind {
    /// The text in `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LLMGateway => "LLMGateway",
            Self::ModelProvider => "ModelProvider",
            Self::ModelRoute => "ModelRoute",
            Self::Tenant => "Tenant",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which condition it makes false: `Accepted` or `ResolvedRefs`.
    pub condition: ConditionType,
    /// Why.
    pub reason: Reason,
    /// The field at fault, such as `spec.backends[1].providerRef.name`.
    pub field: String,
    /// What is wrong, what was given, and what would be right.
    pub message: String,
}

impl Problem {
    pub(super) fn invalid(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            condition: ConditionType::Accepted,
            reason,
            field: field.into(),
            message: message.into(),
        }
    }

    pub(super) fn unresolved(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            condition: ConditionType::ResolvedRefs,
            reason,
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// What the compiler says about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Kind of the object.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Every mistake in it, in the order of its fields.
    pub problems: Vec<Problem>,
    /// Whether the gateway that was compiled serves the object, at least in part.
    pub served: bool,
}

impl Verdict {
    pub(super) fn new(kind: Kind, name: &str, problems: Vec<Problem>, served: bool) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            problems,
            served,
        }
    }

    /// The condition `Accepted`.
    pub fn accepted(&self) -> Finding {
        self.finding(ConditionType::Accepted, Reason::Accepted, "the object is valid")
    }

    /// The condition `ResolvedRefs`.
    pub fn resolved_refs(&self) -> Finding {
        self.finding(
            ConditionType::ResolvedRefs,
            Reason::ResolvedRefs,
            "everything named exists",
        )
    }

    /// The first field at fault.
    pub fn field(&self) -> Option<&str> {
        self.problems.first().map(|p| p.field.as_str())
    }

    fn finding(&self, condition: ConditionType, good: Reason, message: &str) -> Finding {
        let mut problems = self.problems.iter().filter(|p| p.condition == condition);
        let Some(first) = problems.next() else {
            return Finding::holds(good, message);
        };
        let mut text = first.to_string();
        for problem in problems {
            text.push_str("; ");
            text.push_str(&problem.to_string());
        }
        Finding::fails(first.reason, text)
    }
}
