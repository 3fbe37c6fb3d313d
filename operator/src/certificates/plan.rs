//! Second step, pure: what is to be issued.

use k8s_openapi::jiff::Timestamp;

use super::dereference::Found;
use super::x509;

/// What is to be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// A new CA.
    pub new_ca: bool,
    /// A new serving certificate.
    pub new_serving: bool,
}

/// Decides by what was found and the clock.
pub fn plan(found: &Found, names: &[String], now: Timestamp) -> Plan {
    let ca = found.ca.as_ref().and_then(|pair| x509::first(&pair.certificate));
    let new_ca = ca.as_ref().is_none_or(|ca| ca.is_due(now));
    let serving = found.serving.as_ref().and_then(|pair| x509::first(&pair.certificate));
    let bundle = x509::all(&found.bundle);
    let usable = serving.as_ref().is_some_and(|serving| {
        !serving.is_over(now)
            && serving.names == names
            && bundle.iter().any(|ca| serving.is_issued_by(ca) && !ca.is_over(now))
    });
    // One that can still be used waits until every reader knows the CA of its successor.
    let replace = match (&serving, &ca) {
        (Some(serving), Some(ca)) => {
            !new_ca && (serving.is_due(now) || !serving.is_issued_by(ca)) && is_published(found, &ca.pem)
        }
        _ => false,
    };
    Plan {
        new_ca,
        new_serving: !usable || replace,
    }
}

/// Every APIService that is there knows the CA.
fn is_published(found: &Found, ca: &str) -> bool {
    found
        .published
        .iter()
        .all(|(_, bundle)| x509::all(bundle).iter().any(|known| known.pem == ca))
}
