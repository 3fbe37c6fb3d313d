//! What a certificate in PEM says.

use k8s_openapi::jiff::Timestamp;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What matters about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its PEM block alone.
    pub pem: String,
    /// Begin of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// DNS names, sorted.
    pub names: Vec<String>,
    /// Identifier of its own key.
    pub key_id: Option<Vec<u8>>,
    /// Identifier of the key that signed it.
    pub issuer_key_id: Option<Vec<u8>>,
}

impl Facts {
    /// Two thirds of its life are over.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let (from, to) = (self.not_before.as_second(), self.not_after.as_second());
        now.as_second() >= from + (to - from) / 3 * 2
    }

    /// It has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.not_after
    }

    /// It was signed by the key of `ca`.
    pub fn is_issued_by(&self, ca: &Facts) -> bool {
        self.issuer_key_id.is_some() && self.issuer_key_id == ca.key_id
    }
}

/// Every certificate in a text of PEM blocks that can be read; what cannot be read counts as not there.
pub fn all(text: &str) -> Vec<Facts> {
    Pem::iter_from_buffer(text.as_bytes())
        .filter_map(Result::ok)
        .filter_map(|block| facts(&block.contents))
        .collect()
}

/// The first certificate in a text of PEM blocks.
pub fn first(text: &str) -> Option<Facts> {
    all(text).into_iter().next()
}

fn facts(der: &[u8]) -> Option<Facts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut names = Vec::new();
    let (mut key_id, mut issuer_key_id) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternative) => {
                names.extend(alternative.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                }));
            }
            ParsedExtension::SubjectKeyIdentifier(id) => key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    names.sort();
    let validity = certificate.validity();
    Some(Facts {
        pem: to_pem(der),
        not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        names,
        key_id,
        issuer_key_id,
    })
}

fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
