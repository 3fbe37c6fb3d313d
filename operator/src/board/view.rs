//! What the board says about one object, as a finding.

use tokenweir_crds::conditions::{Finding, Reason};

use super::{Entry, Liveness};

/// One object as one gateway has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the gateway.
    pub gateway: String,
    /// What its configuration says about the object.
    pub entry: Entry,
    /// Its pods can read the configuration.
    pub delivered: bool,
    /// What its pods say; absent until they were asked.
    pub liveness: Option<Liveness>,
}

impl Part {
    /// The gateway's pods serve what the object says.
    pub fn is_live(&self) -> bool {
        self.entry.fingerprint.is_some()
            && self
                .liveness
                .as_ref()
                .is_some_and(|liveness| liveness.counted > 0 && self.entry.since <= liveness.floor)
    }
}

/// The condition `Programmed` of an object, from all gateways that should serve it.
///
/// `idle` says why a gateway has nothing of an object that is right in itself.
pub fn programmed(parts: &[Part], idle: &str) -> Finding {
    if parts.is_empty() {
        return Finding::fails(Reason::NoGateway, "no gateway serves this object");
    }
    let served: Vec<&Part> = parts.iter().filter(|part| part.entry.fingerprint.is_some()).collect();
    if served.is_empty() {
        let verdict = &parts[0].entry.verdict;
        let failing = [verdict.resolved_refs(), verdict.accepted()]
            .into_iter()
            .find(|finding| !finding.is_true());
        return match failing {
            Some(finding) => Finding::fails(finding.reason, format!("left out: {}", finding.message)),
            None => Finding::fails(Reason::NoGateway, idle),
        };
    }
    let lines: Vec<String> = served.iter().map(|part| line(part)).collect();
    let message = lines.join("; ");
    if served.iter().all(|part| part.is_live()) {
        Finding::holds(Reason::Programmed, message)
    } else if served.iter().any(|part| refused(part)) {
        Finding::fails(Reason::Refused, message)
    } else {
        Finding::fails(Reason::Pending, message)
    }
}

fn refused(part: &Part) -> bool {
    !part.is_live()
        && part
            .liveness
            .as_ref()
            .is_some_and(|liveness| !liveness.refused.is_empty())
}

fn line(part: &Part) -> String {
    let (gateway, since) = (&part.gateway, part.entry.since);
    if part.is_live() {
        return format!("served by gateway {gateway} since generation {since}");
    }
    if !part.delivered {
        return format!("gateway {gateway} has no valid configuration; its own conditions say why");
    }
    match &part.liveness {
        None => format!("gateway {gateway}: generation {since} is on its way"),
        Some(liveness) if liveness.counted == 0 => {
            format!("gateway {gateway} has no pod that serves yet")
        }
        Some(liveness) => match liveness.refused.first() {
            Some((pod, words)) => format!("gateway {gateway}: pod {pod} refuses generation {since}: {words}"),
            None => format!(
                "gateway {gateway}: generation {since} is not live on {}",
                liveness.lagging.join(", ")
            ),
        },
    }
}
