//! The certificates of a gateway's listeners, and what the time makes of them.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokenweir_crds::certificate::Validity;
use tokenweir_crds::conditions::{Finding, Reason};

/// Renewal is late from this share of a certificate's life before its end: cert-manager renews at a third of it.
const LATE_SHARE: i32 = 5;
/// And never earlier than this before its end.
const LATE_AT_MOST: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The certificate of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The listener's port.
    pub port: u16,
    /// The Secret that holds it.
    pub secret: String,
    /// From when to when it holds.
    pub validity: Validity,
}

impl Certificate {
    /// From when on it should have been renewed.
    fn late_from(&self) -> Timestamp {
        let Validity { from, until } = self.validity;
        let late = (until.duration_since(from) / LATE_SHARE).min(LATE_AT_MOST);
        until.checked_sub(late).unwrap_or(until)
    }

    /// What is to be said about it, if anything.
    fn finding(&self, now: Timestamp) -> Option<Finding> {
        let Self { port, secret, validity } = self;
        let whose = format!("the certificate in Secret {secret}, of the listener on port {port},");
        if now >= validity.until {
            let message = format!("{whose} has ended at {}; clients refuse it", validity.until);
            Some(Finding::fails(Reason::CertificateExpired, message))
        } else if now < validity.from {
            let message = format!("{whose} begins at {}; clients refuse it until then", validity.from);
            Some(Finding::fails(Reason::CertificateInvalid, message))
        } else if now >= self.late_from() {
            let message = format!("{whose} ends at {} and has not been renewed", validity.until);
            Some(Finding::holds(Reason::CertificateExpiring, message))
        } else {
            None
        }
    }
}

/// What to say about what a gateway names: `resolved`, unless a certificate is out of its time, of which the worst is told.
pub fn in_time(resolved: Finding, certificates: &[Certificate], now: Timestamp) -> Finding {
    if !resolved.is_true() {
        return resolved;
    }
    let said = certificates.iter().filter_map(|certificate| certificate.finding(now));
    // The first that fails, else the first that is late.
    said.reduce(|worst, next| {
        if worst.is_true() && !next.is_true() {
            next
        } else {
            worst
        }
    })
    .unwrap_or(resolved)
}

/// How long until [`in_time`] may say something else by itself.
pub fn next_change(certificates: &[Certificate], now: Timestamp) -> Option<Duration> {
    let moments = certificates.iter().flat_map(|certificate| {
        let Validity { from, until } = certificate.validity;
        [from, certificate.late_from(), until]
    });
    let next = moments.filter(|moment| *moment > now).min()?;
    Duration::try_from(next.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn certificate(port: u16, from: &str, until: &str) -> Certificate {
        Certificate {
            port,
            secret: "edge-tls".into(),
            validity: Validity {
                from: at(from),
                until: at(until),
            },
        }
    }

    fn good() -> Finding {
        Finding::holds(Reason::ResolvedRefs, "everything named exists")
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_fails_when_it_has() {
        let certificates = [certificate(8443, "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z")];
        let says = |now| {
            let finding = in_time(good(), &certificates, at(now));
            (finding.is_true(), finding.reason)
        };
        assert_eq!(says("2025-12-31T23:59:59Z"), (false, Reason::CertificateInvalid));
        assert_eq!(says("2026-03-17T00:00:00Z"), (true, Reason::ResolvedRefs));
        assert_eq!(says("2026-03-18T00:00:00Z"), (true, Reason::CertificateExpiring));
        assert_eq!(says("2026-04-01T00:00:00Z"), (false, Reason::CertificateExpired));
        let message = in_time(good(), &certificates, at("2026-05-01T00:00:00Z")).message;
        assert_eq!(
            message,
            "the certificate in Secret edge-tls, of the listener on port 8443, has ended at 2026-04-01T00:00:00Z; clients refuse it"
        );
    }

    #[test]
    fn the_warning_of_a_short_certificate_fits_its_life() {
        let day = [certificate(8443, "2026-01-01T00:00:00Z", "2026-01-01T10:00:00Z")];
        let reason = |now| in_time(good(), &day, at(now)).reason;
        assert_eq!(reason("2026-01-01T07:59:00Z"), Reason::ResolvedRefs);
        assert_eq!(reason("2026-01-01T08:00:00Z"), Reason::CertificateExpiring);
    }

    #[test]
    fn the_worst_is_told_and_what_is_missing_comes_first() {
        let late = certificate(1, "2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z");
        let over = certificate(2, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let now = at("2026-01-10T00:00:00Z");
        assert_eq!(
            in_time(good(), &[late, over.clone()], now).reason,
            Reason::CertificateExpired
        );
        let missing = Finding::fails(Reason::SecretNotFound, "no");
        assert_eq!(in_time(missing.clone(), &[over], now), missing);
    }

    #[test]
    fn the_next_look_is_when_something_changes() {
        let certificates = [certificate(1, "2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z")];
        let wait = |now| next_change(&certificates, at(now)).map(|wait| wait.as_secs() / 3600);
        assert_eq!(wait("2025-12-31T00:00:00Z"), Some(24));
        assert_eq!(wait("2026-01-08T00:00:00Z"), Some(24));
        assert_eq!(wait("2026-01-09T00:00:00Z"), Some(48));
        assert_eq!(wait("2026-01-11T00:00:00Z"), None);
    }
}
