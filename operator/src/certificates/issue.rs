//! Third step: issues what is to be issued. Pure but for the randomness in keys.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::ADAPTER_SERVICE;
use super::dereference::{Found, Pair};
use super::plan::Plan;
use super::x509;

const DAY: u64 = 24 * 60 * 60;
/// Life of a CA. A third of it, the time in which the next one is in the bundle beside it, is longer than the life of a serving
/// certificate.
const CA_LIFE: Duration = Duration::from_secs(365 * DAY);
/// Life of a serving certificate.
const SERVING_LIFE: Duration = Duration::from_secs(90 * DAY);
/// Certificates begin a little in the past, for readers whose clocks are behind.
const BACKDATE: Duration = Duration::from_mins(5);
/// Old CAs kept in the bundle. One is enough in ordinary life; the bound keeps a broken clock from growing it.
const MAX_BUNDLE: usize = 4;

/// Everything as it is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// The CA.
    pub ca: Pair,
    /// The serving certificate.
    pub serving: Pair,
    /// The CAs that readers are to trust, newest first.
    pub bundle: String,
}

/// DNS names of the adapter, sorted.
pub fn names(namespace: &str, cluster_domain: &str) -> Vec<String> {
    let mut names = vec![
        format!("{ADAPTER_SERVICE}.{namespace}"),
        format!("{ADAPTER_SERVICE}.{namespace}.svc"),
        format!("{ADAPTER_SERVICE}.{namespace}.svc.{cluster_domain}"),
    ];
    names.sort();
    names
}

/// Issues what the plan asks for and keeps the rest.
pub fn build(found: &Found, plan: Plan, names: &[String], now: Timestamp) -> Result<Material, rcgen::Error> {
    let ca = match &found.ca {
        Some(ca) if !plan.new_ca => ca.clone(),
        _ => new_ca(now)?,
    };
    let serving = match &found.serving {
        Some(serving) if !plan.new_serving => serving.clone(),
        _ => new_serving(&ca, names, now)?,
    };
    let mut bundle: Vec<String> = x509::all(&ca.certificate).into_iter().map(|facts| facts.pem).collect();
    for old in x509::all(&found.bundle) {
        if !old.is_over(now) && !bundle.contains(&old.pem) && bundle.len() < MAX_BUNDLE {
            bundle.push(old.pem);
        }
    }
    Ok(Material {
        ca,
        serving,
        bundle: bundle.concat(),
    })
}

fn new_ca(now: Timestamp) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("tokenweir-adapter-ca@{}", now.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live_for(&mut params, now, CA_LIFE);
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

fn new_serving(ca: &Pair, names: &[String], now: Timestamp) -> Result<Pair, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, ADAPTER_SERVICE);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    live_for(&mut params, now, SERVING_LIFE);
    Ok(Pair {
        certificate: params.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

fn live_for(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(seconds).saturating_sub(BACKDATE);
    params.not_after = epoch + Duration::from_secs(seconds) + life;
}
