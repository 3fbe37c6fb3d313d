//! Certificates in a folder of YAML, without a cluster.

use std::net::SocketAddr;

use super::clients::HttpsClient;
use super::pki::{Authority, Pair};
use crate::control::files::{Bench, yaml};
use crate::control::http::{get, wait_for};

/// The bench's objects with a listener that speaks TLS, and its Secret.
fn write(bench: &Bench, certificate: &str, key: &str) {
    let indented = |pem: &str| pem.trim().replace('\n', "\n    ");
    let listener = "spec: {listeners: [{port: 8443, protocol: HTTPS, tlsSecretRef: {name: edge-tls}}]}";
    let objects = yaml(&bench.provider(), "one").replacen("spec: {}", listener, 1);
    bench.write_text(&format!(
        "{objects}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: edge-tls, namespace: llm}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(certificate),
        indented(key)
    ));
}

#[tokio::test]
async fn an_edit_of_the_secret_rotates_the_certificate_and_a_mistake_leaves_it() {
    let (bench, authority) = (Bench::new(), Authority::new());
    let names = ["edge.example.com"];
    let (first, second): (Pair, Pair) = (authority.issue(&names), authority.issue(&names));
    write(&bench, &first.certificate, &first.key);
    let gateway = bench.start();
    let url = gateway.data().await;
    let address: SocketAddr = url.strip_prefix("https://").unwrap().parse().unwrap();
    let shown = async || {
        let client = HttpsClient::connect(address, authority.client(&[b"h2"])).await;
        client.unwrap().certificate
    };
    assert_eq!(shown().await, first.der());
    let metrics = get(&format!("{}/metrics", gateway.telemetry().await)).await.body;
    assert!(
        metrics.contains("tokenweir_certificate_expiry_seconds{port="),
        "{metrics}"
    );

    write(&bench, &second.certificate, &second.key);
    wait_for("the new certificate", || async {
        (shown().await == second.der()).then_some(())
    })
    .await;

    write(&bench, &first.certificate, &second.key);
    let refused =
        "spec.listeners[0].tlsSecretRef.name: Secret edge-tls: the private key does not belong to the certificate";
    wait_for("the refusal", || async {
        gateway.log.text().contains(refused).then_some(())
    })
    .await;
    assert_eq!(shown().await, second.der());
}
