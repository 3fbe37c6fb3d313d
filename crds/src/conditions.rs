//! Conditions: one closed vocabulary of types and reasons for every kind.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object makes sense by itself and beside its neighbours.
    Accepted,
    /// Everything that the object names exists and can be read.
    ResolvedRefs,
    /// The gateway pods serve what the object says.
    Programmed,
    /// The object does its work now.
    Ready,
    /// Requests that are sent there are answered.
    Healthy,
    /// It is known what its models cost.
    Priced,
}

impl ConditionType {
    /// The text in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Healthy => "Healthy",
            Self::Priced => "Priced",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known, for example because nothing answered.
    Unknown,
}

impl ConditionStatus {
    /// The text in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition is as it is. Also the value of the metric label `reason`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The text in `reason`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// One sentence on what it means, for the reference.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    /// The object is valid and taken into account.
    Accepted,
    /// A field has a value that cannot be served.
    Invalid,
    /// The object cannot be read as its kind; the schema in the cluster is older or newer than the operator.
    Unreadable,
    /// Another object already claims what this one wants; the older one keeps it.
    Conflict,
    /// An object that the operator would own exists and belongs to somebody else.
    NotOwned,
    /// Everything named exists.
    ResolvedRefs,
    /// A named `LLMGateway` does not exist.
    GatewayNotFound,
    /// A named `ModelProvider` does not exist or is itself left out.
    ProviderNotFound,
    /// A provider lists its models, and the one asked for is not among them.
    ModelNotFound,
    /// A named `ModelRoute` does not exist.
    RouteNotFound,
    /// A named `Tenant` does not exist.
    TenantNotFound,
    /// A named Secret does not exist.
    SecretNotFound,
    /// A named Secret lacks the key, or its value is empty or not text.
    SecretInvalid,
    /// A named ConfigMap does not exist.
    ConfigMapNotFound,
    /// A named ConfigMap lacks the key, or holds no certificate there.
    ConfigMapInvalid,
    /// A certificate or its key cannot be read, or they do not belong together.
    CertificateInvalid,
    /// A certificate has ended, so that clients refuse it.
    CertificateExpired,
    /// A certificate ends soon and has not been renewed.
    CertificateExpiring,
    /// A named Service does not exist, or lacks the port.
    ServiceNotFound,
    /// The object to scale does not exist.
    TargetNotFound,
    /// Every gateway pod serves the newest generation.
    Programmed,
    /// Some gateway pods do not serve the newest generation yet.
    Pending,
    /// There is no gateway to serve the object.
    NoGateway,
    /// Gateway pods refuse the configuration.
    Refused,
    /// The configuration does not fit into the Secrets that carry it.
    TooLarge,
    /// The object does its work.
    Ready,
    /// Not all pods are ready.
    PodsNotReady,
    /// The gateway is scaled to zero.
    ScaledToZero,
    /// The autoscaler cannot read a signal; the number of pods stays as it is.
    SignalUnavailable,
    /// The autoscaler does not act on the target.
    ScalingInactive,
    /// The API server refused an object that the operator owns.
    ApplyFailed,
    /// The gateway pods have nothing against sending requests there.
    Healthy,
    /// A part of what answers is out, or some of the gateway pods send nothing there; the rest answers.
    Degraded,
    /// No gateway pod sends requests there while there is anything else.
    Unhealthy,
    /// No gateway pod has told how it is.
    NotReported,
    /// Every model has a price.
    AllPriced,
    /// Every model has a price, and the two tables of prices give different ones; the first one's is used.
    SourcesDisagree,
    /// Some models have no price. They are counted in tokens and are not free.
    Unpriced,
    /// The provider lists no models. Each is priced by the name under which it is asked for.
    AnyModel,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a condition says, before it has a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// One sentence for a person.
    pub message: String,
}

impl Finding {
    /// It holds.
    pub fn holds(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::True,
            reason,
            message: message.into(),
        }
    }

    /// It does not hold.
    pub fn fails(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::False,
            reason,
            message: message.into(),
        }
    }

    /// Nobody knows.
    pub fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::Unknown,
            reason,
            message: message.into(),
        }
    }

    /// True if it holds.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Longest message that `metav1.Condition` allows, in bytes.
const MAX_MESSAGE: usize = 32_768;

/// Puts a finding into a list of conditions.
///
/// `lastTransitionTime` becomes `now` only where `status` changes; otherwise the old time stays. The list stays sorted by
/// type, so that equal findings give equal lists.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    finding: &Finding,
    observed_generation: Option<i64>,
    now: Timestamp,
) {
    let before = conditions
        .iter()
        .position(|c| c.type_ == kind.as_str())
        .map(|at| conditions.remove(at));
    let last_transition_time = match before {
        Some(old) if old.status == finding.status.as_str() => old.last_transition_time,
        _ => Time(now),
    };
    conditions.push(Condition {
        type_: kind.as_str().to_owned(),
        status: finding.status.as_str().to_owned(),
        reason: finding.reason.as_str().to_owned(),
        message: shortened(&finding.message),
        observed_generation,
        last_transition_time,
    });
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// The condition of a type, if it is there.
pub fn find_condition(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind.as_str())
}

/// True if two lists say the same, whenever they began to.
pub fn same_conditions(a: &[Condition], b: &[Condition]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (&a.type_, &a.status, &a.reason, &a.message, a.observed_generation)
                == (&b.type_, &b.status, &b.reason, &b.message, b.observed_generation)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_only_when_the_status_does() {
        let mut conditions = Vec::new();
        let kind = ConditionType::Programmed;
        set_condition(
            &mut conditions,
            kind,
            &Finding::fails(Reason::Pending, "1/3"),
            Some(1),
            at(10),
        );
        set_condition(
            &mut conditions,
            kind,
            &Finding::fails(Reason::Pending, "2/3"),
            Some(1),
            at(20),
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].message, "2/3");
        set_condition(
            &mut conditions,
            kind,
            &Finding::holds(Reason::Programmed, "3/3"),
            Some(1),
            at(30),
        );
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn the_order_of_setting_does_not_show() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let (yes, no) = (
            Finding::holds(Reason::Accepted, ""),
            Finding::fails(Reason::SecretNotFound, "x"),
        );
        set_condition(&mut one, ConditionType::Accepted, &yes, None, at(1));
        set_condition(&mut one, ConditionType::ResolvedRefs, &no, None, at(1));
        set_condition(&mut two, ConditionType::ResolvedRefs, &no, None, at(2));
        set_condition(&mut two, ConditionType::Accepted, &yes, None, at(2));
        assert!(same_conditions(&one, &two));
        set_condition(&mut two, ConditionType::Accepted, &yes, Some(2), at(2));
        assert!(!same_conditions(&one, &two));
    }

    #[test]
    fn reasons_have_the_form_that_the_api_server_demands() {
        for reason in Reason::ALL {
            let text = reason.as_str();
            assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric()), "{text}");
            assert!(!reason.meaning().trim().is_empty(), "{text}");
        }
    }

    #[test]
    fn a_message_is_cut_at_a_character() {
        let mut conditions = Vec::new();
        let long = "ä".repeat(MAX_MESSAGE);
        set_condition(
            &mut conditions,
            ConditionType::Ready,
            &Finding::unknown(Reason::Pending, long),
            None,
            at(1),
        );
        assert!(conditions[0].message.len() <= MAX_MESSAGE);
        assert!(conditions[0].message.chars().all(|c| c == 'ä'));
    }
}
