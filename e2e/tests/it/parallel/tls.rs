//! HTTPS listeners: a certificate that comes, is rotated, and is wrong.

use http::Request;
use kube::config::AuthInfo;
use kube::{Client, Config};
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::{HarnessError, reach, wait};

use crate::support::pki::Authority;
use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, SOON, TestResult, World, beside};

/// The name that the tests' clients expect in the certificate.
const NAME: &str = "edge.example.com";
const PORT: u16 = 8443;

/// The Secret of the listener, as `kubectl create secret tls` makes it.
fn secret(certificate: &str, key: &str) -> String {
    let indented = |pem: &str| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: edge-tls}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  \
         tls.key: |\n    {}\n",
        indented(certificate),
        indented(key)
    )
}

/// The gateway of a stack with a second listener.
fn gateway(stack: &Stack) -> String {
    let listeners = format!(
        "spec:\n  listeners: [{{port: 8080}}, {{port: {PORT}, protocol: HTTPS, tlsSecretRef: {{name: edge-tls}}}}]\n"
    );
    stack.gateway().replacen("spec:\n", &listeners, 1)
}

/// Whether the models are listed over HTTPS to a client that trusts this authority.
async fn lists_models(route: &reach::Route, authority: &Authority, api_key: &str) -> Result<(), String> {
    let url = route.url().replacen("http://", "https://", 1);
    let mut config = Config::new(url.parse().map_err(|error| format!("{error}"))?);
    config.root_cert = Some(vec![authority.der.clone()]);
    config.tls_server_name = Some(NAME.to_owned());
    config.auth_info = AuthInfo {
        token: Some(api_key.to_owned().into()),
        ..AuthInfo::default()
    };
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let request = Request::get("/v1/models")
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await.map_err(|error| error.to_string())?;
    if answer.contains(MODEL) { Ok(()) } else { Err(answer) }
}

async fn wait_for_models(route: &reach::Route, authority: &Authority, api_key: &str) -> TestResult {
    wait::poll("the models over HTTPS", SOON, || {
        lists_models(route, authority, api_key)
    })
    .await
}

async fn wait_for_refs(world: &World, status: &str, reason: &str) -> Result<(), HarnessError> {
    let gateway = stack::object(world, "LLMGateway", "edge").await?;
    let found = world
        .objects
        .wait_condition(&gateway, "ResolvedRefs", status, READY)
        .await?;
    assert_eq!(found.reason, reason, "{}", found.message);
    Ok(())
}

#[test]
fn a_listener_speaks_tls_once_its_secret_is_there_and_follows_it_without_a_restart() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        let pod = stack::name(&stack::ready_pods(&world, 1, READY).await?[0]);
        // The other listener serves, whatever is the matter with this one.
        world.apply(&gateway(&stack)).await?;
        wait_for_refs(&world, "False", "SecretNotFound").await?;
        let plain = running.client(Connections::KeepAlive);
        plain.complete(&Chat::new(MODEL, 2)).await.unwrap();

        let (first, second) = (Authority::new(), Authority::new());
        let pair = first.issue(&[NAME]);
        world.apply(&secret(&pair.certificate, &pair.key)).await?;
        wait_for_refs(&world, "True", "ResolvedRefs").await?;
        // A port that is new to the pods' template makes a new pod; later changes of the certificate must not.
        let pod_with_tls = wait::poll("a pod with the new port", READY, || async {
            let pods = stack::ready_pods(&world, 1, SOON).await.map_err(|e| e.chain())?;
            let name = stack::name(&pods[0]);
            if name == pod {
                Err(format!("still {pod}"))
            } else {
                Ok(name)
            }
        })
        .await?;
        let route = reach::service(&world.client, &world.namespace, "edge", PORT).await?;
        wait_for_models(&route, &first, &running.acme).await?;
        assert!(
            lists_models(&route, &second, &running.acme).await.is_err(),
            "any authority is trusted"
        );

        let rotated = second.issue(&[NAME]);
        world.apply(&secret(&rotated.certificate, &rotated.key)).await?;
        wait_for_models(&route, &second, &running.acme).await?;
        assert_eq!(
            stack::name(&stack::ready_pods(&world, 1, READY).await?[0]),
            pod_with_tls
        );

        world.apply(&secret(&rotated.certificate, &pair.key)).await?;
        wait_for_refs(&world, "False", "CertificateInvalid").await?;
        let gateway = stack::object(&world, "LLMGateway", "edge").await?;
        let addresses = gateway.data["status"]["addresses"].to_string();
        assert!(
            addresses.contains(&format!("https://edge.{}.svc", world.namespace)),
            "{addresses}"
        );
        Ok(())
    });
}
