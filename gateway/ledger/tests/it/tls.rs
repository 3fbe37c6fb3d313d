//! PostgreSQL over TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tokenweir_ledger::sink::{Postgres, PostgresConfig, Sink, SinkError};

use crate::database::{Server, is_root};
use crate::rows::row;

/// A certificate for `localhost` with its key, which the server may read.
fn certificate(folder: &Path, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        let status = Command::new("chown").arg("65534:65534").arg(&key).status().unwrap();
        assert!(status.success());
    }
    (
        certificate.to_str().unwrap().to_owned(),
        key.to_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn rows_go_by_tls_to_the_server_of_the_authority_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, key) = certificate(folder.path(), "own");
    let (other, _) = certificate(folder.path(), "other");
    let server = Server::start_with(&[
        "ssl=on",
        &format!("ssl_cert_file={own}"),
        &format!("ssl_key_file={key}"),
    ])
    .await;
    let url = |authority: &str| {
        let url = server.url().replace("127.0.0.1", "localhost");
        url.replace(
            "sslmode=disable",
            &format!("sslmode=verify-full&sslrootcert={authority}"),
        )
    };
    let mut trusted = Postgres::new(PostgresConfig::parse(&url(&own)).unwrap());
    assert_eq!(trusted.insert(&[row(1)]).await.unwrap().fresh, 1);
    let by_tls: bool = sqlx::query_scalar(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'tokenweir-ledger'",
    )
    .fetch_one(&mut server.connect().await)
    .await
    .unwrap();
    assert!(by_tls);
    let mut untrusted = Postgres::new(PostgresConfig::parse(&url(&other)).unwrap());
    let refused = untrusted.insert(&[row(2)]).await;
    let Err(SinkError::Unavailable(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(format!("{why:?}").contains("InvalidCertificate"), "{why:?}");
}
