use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::dereference::Found;
use super::issue::{Material, build, names};
use super::plan::{Plan, plan};
use super::x509;

const START: i64 = 1_800_000_000;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(START).unwrap() + SignedDuration::from_hours(24 * days)
}

fn dns() -> Vec<String> {
    names("tokenweir-system", "cluster.local")
}

/// What a look finds after `material` was stored and published.
fn stored(material: &Material, published: &str) -> Found {
    Found {
        ca: Some(material.ca.clone()),
        serving: Some(material.serving.clone()),
        bundle: material.bundle.clone(),
        published: vec![("v1beta1.custom.metrics.k8s.io", published.to_owned())],
    }
}

fn step(found: &Found, day: i64) -> (Plan, Material) {
    let plan = plan(found, &dns(), at(day));
    (plan, build(found, plan, &dns(), at(day)).unwrap())
}

/// Whether a reader that trusts `bundle` takes the serving certificate on that day, judged by rustls as the API server would.
fn is_trusted(material: &Material, bundle: &str, day: i64) -> bool {
    tokenweir_process::install_crypto_provider();
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let verifier = WebPkiServerVerifier::builder(roots.into()).build().unwrap();
    let leaf = CertificateDer::from_pem_slice(material.serving.certificate.as_bytes()).unwrap();
    let name = ServerName::try_from("tokenweir-adapter.tokenweir-system.svc").unwrap();
    let seconds = u64::try_from(at(day).as_second()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &leaf, &[], &name, &[], now).is_ok()
}

#[test]
fn the_first_look_issues_everything_and_the_second_one_nothing() {
    let (first, material) = step(&Found::default(), 0);
    assert!(first.new_ca && first.new_serving);
    assert!(is_trusted(&material, &material.bundle, 0));
    let (second, same) = step(&stored(&material, &material.bundle), 0);
    assert!(!second.new_ca && !second.new_serving);
    assert_eq!(same, material);
}

#[test]
fn the_serving_certificate_is_replaced_after_two_thirds_of_its_life() {
    let (_, material) = step(&Found::default(), 0);
    let found = stored(&material, &material.bundle);
    assert!(!step(&found, 59).0.new_serving);
    let (due, next) = step(&found, 61);
    assert!(due.new_serving && !due.new_ca);
    assert_ne!(next.serving, material.serving);
    assert!(is_trusted(&next, &material.bundle, 61));
}

#[test]
fn through_the_change_of_the_ca_every_reader_trusts_every_certificate_at_every_time() {
    let (_, mut material) = step(&Found::default(), 0);
    let mut published = material.bundle.clone();
    let first_ca = material.ca.clone();
    for day in (0..800).step_by(5) {
        let (_, next) = step(&stored(&material, &published), day);
        // The adapter takes the new certificate before the API server knows the new bundle, or the other way round.
        assert!(
            is_trusted(&next, &published, day),
            "old bundle, new certificate, day {day}"
        );
        assert!(
            is_trusted(&material, &next.bundle, day),
            "new bundle, old certificate, day {day}"
        );
        published.clone_from(&next.bundle);
        material = next;
    }
    assert_ne!(material.ca, first_ca, "the CA was never changed");
    assert!(
        x509::all(&material.bundle).len() <= 2,
        "CAs that ended stay in the bundle"
    );
}

#[test]
fn a_new_ca_signs_only_after_every_reader_knows_it() {
    let (_, material) = step(&Found::default(), 0);
    // The CA is due; the certificate was renewed in the meantime and is not.
    let (_, renewed) = step(&stored(&material, &material.bundle), 220);
    let (rotation, rotated) = step(&stored(&renewed, &renewed.bundle), 244);
    assert!(rotation.new_ca && !rotation.new_serving);
    let (waiting, _) = step(&stored(&rotated, &renewed.bundle), 244);
    assert!(!waiting.new_serving, "the API server does not know the new CA yet");
    let (published, last) = step(&stored(&rotated, &rotated.bundle), 244);
    assert!(published.new_serving);
    assert!(is_trusted(&last, &rotated.bundle, 244));
}

#[test]
fn another_name_a_lost_key_and_damaged_text_lead_to_new_certificates() {
    let (_, material) = step(&Found::default(), 0);
    let found = stored(&material, &material.bundle);
    assert!(plan(&found, &names("elsewhere", "cluster.local"), at(0)).new_serving);
    let mut lost = found.clone();
    lost.ca = None;
    let (plan_after_loss, next) = step(&lost, 0);
    assert!(plan_after_loss.new_ca);
    assert!(is_trusted(&next, &next.bundle, 0));
    let mut damaged = found;
    if let Some(serving) = &mut damaged.serving {
        serving.certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into();
    }
    assert!(step(&damaged, 0).0.new_serving);
}
