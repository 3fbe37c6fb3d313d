//! Who may ask: the adapter and the admin port.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use tokenweir_config::admin_token::{LIFETIME_SECONDS, Scope};
use tokenweir_config::names::{SIGNALS_PATH, STATUS_PATH};
use tokenweir_config::status::Status;
use tokenweir_e2e::harness::{HarnessError, admin, install, reach};

use crate::support::stack::{self, Stack};
use crate::support::{READY, World, beside};

#[test]
fn the_admin_port_answers_401_without_a_good_token_and_403_without_the_scope() {
    beside(async |world| {
        Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        let pod = stack::name(&stack::ready_pods(&world, 1, READY).await?[0]);
        let key = admin::key(&world.client, &world.namespace, "edge").await?;
        let foreign = admin::key(&world.client, &world.namespace, "other").await?;
        let route = reach::pod(
            &world.client,
            &world.namespace,
            &pod,
            tokenweir_config::names::ADMIN_PORT,
        )
        .await?;
        let get = async |path: &str, token: Option<&str>| -> Result<admin::Answer, HarnessError> {
            admin::http_get(&format!("{}{path}", route.url()), token).await
        };
        let good = admin::mint(&key, Scope::Status);
        let over = key.mint(Scope::Status, 1_000_000_000 - LIFETIME_SECONDS);
        for token in [
            None,
            Some("nonsense"),
            Some(over.as_str()),
            Some(&admin::mint(&foreign, Scope::Status)),
        ] {
            for path in [STATUS_PATH, SIGNALS_PATH] {
                assert_eq!(get(path, token).await?.status, 401, "{path} with {token:?}");
            }
        }
        assert_eq!(get(SIGNALS_PATH, Some(&good)).await?.status, 403);
        assert_eq!(
            get(STATUS_PATH, Some(&admin::mint(&key, Scope::Signals))).await?.status,
            403
        );
        let answer = get(STATUS_PATH, Some(&good)).await?;
        assert_eq!(answer.status, 200);
        let status: Status = serde_json::from_str(&answer.body).expect("a status report");
        assert_eq!(status.pod, pod);
        assert!(status.serving.is_some(), "{status:?}");
        Ok(())
    });
}

/// A client that speaks to an adapter pod itself and not through the API server.
async fn adapter(world: &World, token: Option<String>) -> Result<(Client, reach::Route), HarnessError> {
    let api = |action: &'static str| {
        move |source| HarnessError::Api {
            action: action.to_owned(),
            source: Box::new(source),
        }
    };
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), install::NAMESPACE);
    let adapters = ListParams::default().labels("app.kubernetes.io/component=adapter");
    let pod = pods
        .list(&adapters)
        .await
        .map_err(api("list adapter pods"))?
        .items
        .into_iter()
        .find(stack::is_ready);
    let pod = stack::name(&pod.expect("an adapter pod is ready"));
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), install::NAMESPACE);
    let tls = secrets
        .get("tokenweir-adapter-tls")
        .await
        .map_err(api("read the adapter's certificate"))?;
    let authority = tls
        .data
        .and_then(|mut data| data.remove("ca.crt"))
        .expect("the certificate has its authority")
        .0;
    let der = certificates(&authority);
    let route = reach::pod(&world.client, install::NAMESPACE, &pod, 6443).await?;
    let url = route.url().replacen("http://", "https://", 1).parse().expect("a URL");
    let mut config = Config::new(url);
    config.root_cert = Some(der);
    config.tls_server_name = Some(format!("tokenweir-adapter.{}.svc", install::NAMESPACE));
    config.auth_info = AuthInfo {
        token: token.map(Into::into),
        ..AuthInfo::default()
    };
    Ok((
        Client::try_from(config).map_err(api("make a client of the adapter"))?,
        route,
    ))
}

/// The certificates of a PEM text.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    CertificateDer::pem_slice_iter(pem)
        .map(|cert| cert.expect("PEM").to_vec())
        .collect()
}

async fn status(client: &Client, path: &str) -> u16 {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    match client.request_text(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn token(world: &World, account: &str) -> String {
    let accounts: Api<ServiceAccount> = world.api();
    let request = TokenRequest {
        spec: Some(TokenRequestSpec::default()),
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await;
    made.expect("a token")
        .status
        .and_then(|status| status.token)
        .expect("a token")
}

#[test]
fn the_adapter_answers_401_to_a_bad_token_and_403_to_those_without_the_right() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        stack.start(&world).await?;
        let rights = format!(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: stranger}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader}}
rules:
- {{apiGroups: [custom.metrics.k8s.io], resources: ['pods/queue_depth'], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {namespace}}}]
",
            namespace = world.namespace
        );
        world.apply(&rights).await?;
        let metric = format!(
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods/*/queue_depth",
            world.namespace
        );
        let other = metric.replace("queue_depth", "in_flight");
        let (nobody, _open) = adapter(&world, None).await?;
        // As with the API server itself: no credentials are those of `system:anonymous`, who may not.
        assert_eq!(status(&nobody, &metric).await, 403);
        assert_eq!(status(&nobody, "/readyz").await, 200);
        assert_eq!(status(&nobody, "/metrics").await, 403);
        let (liar, _open) = adapter(&world, Some("no-such-token".to_owned())).await?;
        assert_eq!(status(&liar, &metric).await, 401);
        let (stranger, _open) = adapter(&world, Some(token(&world, "stranger").await)).await?;
        assert_eq!(status(&stranger, &metric).await, 403);
        let (reader, _open) = adapter(&world, Some(token(&world, "reader").await)).await?;
        assert_eq!(status(&reader, &metric).await, 200);
        assert_eq!(status(&reader, &other).await, 403);
        Ok(())
    });
}
