//! The certificates and keys of the local cluster.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use super::layout::{API_SERVICE_ADDRESS, DOMAIN, Layout, NODE_ADDRESS, NODE_NAME};
use crate::cluster::error::{Result, file};

/// One end-entity certificate.
struct Leaf {
    /// The file's name without its extension.
    name: &'static str,
    /// The subject's common name: the user, for a client.
    common_name: String,
    /// The subject's organisation: the group, for a client.
    organisation: Option<&'static str>,
    /// Names and addresses it serves under.
    names: Vec<String>,
    server: bool,
    client: bool,
}

impl Leaf {
    fn client(name: &'static str, common_name: impl Into<String>, organisation: Option<&'static str>) -> Self {
        Self {
            name,
            common_name: common_name.into(),
            organisation,
            names: Vec::new(),
            server: false,
            client: true,
        }
    }

    fn server(name: &'static str, names: &[&str]) -> Self {
        Self {
            name,
            common_name: name.to_owned(),
            organisation: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            server: true,
            client: false,
        }
    }
}

/// Makes every certificate and key that is not there yet. Three authorities, so that a certificate for the API server
/// opens neither etcd nor the front proxy's door.
pub(crate) fn create(layout: &Layout) -> Result<()> {
    let service = format!("kubernetes.default.svc.{DOMAIN}");
    let admins = Some("system:masters");
    authority(
        layout,
        "ca",
        &[
            Leaf::server(
                "apiserver",
                &[
                    NODE_NAME,
                    "localhost",
                    "kubernetes",
                    "kubernetes.default",
                    "kubernetes.default.svc",
                    &service,
                    NODE_ADDRESS,
                    API_SERVICE_ADDRESS,
                    "127.0.0.1",
                ],
            ),
            Leaf::server("kubelet", &[NODE_NAME, NODE_ADDRESS]),
            Leaf::client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", admins),
            Leaf::client("admin", "tokenweir-admin", admins),
            Leaf::client("controller-manager", "system:kube-controller-manager", None),
            Leaf::client("scheduler", "system:kube-scheduler", None),
            Leaf::client("proxy", "system:kube-proxy", None),
            Leaf::client("node", format!("system:node:{NODE_NAME}"), Some("system:nodes")),
        ],
    )?;
    authority(
        layout,
        "front-proxy-ca",
        &[Leaf::client("front-proxy-client", "front-proxy-client", None)],
    )?;
    let mut etcd = Leaf::server("etcd", &[NODE_ADDRESS]);
    // etcd shows this certificate to itself when it looks at its own health.
    etcd.client = true;
    authority(
        layout,
        "etcd-ca",
        &[etcd, Leaf::client("etcd-client", "kube-apiserver", None)],
    )?;
    let public = layout.pki("service-account.pub");
    if !public.exists() {
        let key = KeyPair::generate()?;
        write(&layout.pki("service-account.key"), &key.serialize_pem())?;
        write(&public, &key.public_key_pem())?;
    }
    Ok(())
}

fn authority(layout: &Layout, name: &str, leaves: &[Leaf]) -> Result<()> {
    let certificate = layout.pki(&format!("{name}.crt"));
    let complete = leaves
        .iter()
        .all(|leaf| layout.pki(&format!("{}.crt", leaf.name)).exists());
    if certificate.exists() && complete {
        return Ok(());
    }
    // A half-made set is made anew as a whole: an authority's key is needed only here and in the controller manager.
    let mut params = params(&format!("tokenweir-{name}"), None, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    write(&layout.pki(&format!("{name}.key")), &key.serialize_pem())?;
    write(&certificate, &params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    leaves.iter().try_for_each(|leaf| issue(layout, leaf, &issuer))
}

fn issue(layout: &Layout, leaf: &Leaf, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
    let mut params = params(&leaf.common_name, leaf.organisation, &leaf.names)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    if leaf.server {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if leaf.client {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    let key = KeyPair::generate()?;
    write(&layout.pki(&format!("{}.key", leaf.name)), &key.serialize_pem())?;
    write(
        &layout.pki(&format!("{}.crt", leaf.name)),
        &params.signed_by(&key, issuer)?.pem(),
    )
}

fn params(common_name: &str, organisation: Option<&str>, names: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    // Far enough back for a clock that is set after boot, and far enough ahead for any cluster of this kind.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(file("write", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(file("protect", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        std::fs::create_dir_all(folder.join("pki")).unwrap();
        Layout::new(folder.to_owned()).unwrap()
    }

    #[test]
    fn certificates_are_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        create(&layout).unwrap();
        let first = std::fs::read(layout.pki("apiserver.crt")).unwrap();
        create(&layout).unwrap();
        assert_eq!(std::fs::read(layout.pki("apiserver.crt")).unwrap(), first);
        for name in [
            "ca.key",
            "kubelet.key",
            "service-account.key",
            "front-proxy-client.crt",
            "etcd-client.crt",
        ] {
            let mode = std::fs::metadata(layout.pki(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_half_made_authority_is_made_anew_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        create(&layout).unwrap();
        let (authority, etcd) = (
            std::fs::read(layout.pki("ca.crt")).unwrap(),
            std::fs::read(layout.pki("etcd.crt")).unwrap(),
        );
        std::fs::remove_file(layout.pki("node.crt")).unwrap();
        create(&layout).unwrap();
        assert!(layout.pki("node.crt").exists());
        assert_ne!(std::fs::read(layout.pki("ca.crt")).unwrap(), authority);
        assert_eq!(std::fs::read(layout.pki("etcd.crt")).unwrap(), etcd);
    }
}
