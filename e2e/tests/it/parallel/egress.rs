//! The way out: a provider that wants the gateway's certificate, and the proxy before providers outside.

use http::Request;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokenweir_e2e::harness::openai::{Chat, Connections, Failure, OpenAi};
use tokenweir_e2e::harness::{reach, wait};

use crate::support::pki::Authority;
use crate::support::stack::{self, Stack};
use crate::support::{READY, SOON, TestResult, World, beside};

/// The model of the provider that these tests add to a stack.
const MODEL: &str = "guarded";
/// A name of the internet that stands for the simulator.
const OUTSIDE: &str = "models.example.com";
const PROXY_PORT: u16 = 3128;

/// The authorities on both sides of a provider.
struct Trust {
    /// Signs what the provider shows.
    providers: Authority,
    /// Signs what its clients must show.
    clients: Authority,
}

impl Trust {
    fn new() -> Self {
        Self {
            providers: Authority::new(),
            clients: Authority::new(),
        }
    }
}

/// Objects as one text of manifests.
fn manifests(objects: &[Value]) -> String {
    let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
    texts.join("\n---\n")
}

/// A Deployment of one pod with the simulator's image, and its Service.
fn program(name: &str, port: u16, args: &[&str], mounts: &[(&str, &str)]) -> [Value; 2] {
    let labels = json!({"app": name});
    let volumes: Vec<Value> = mounts
        .iter()
        .map(|(secret, _)| json!({"name": secret, "secret": {"secretName": secret}}))
        .collect();
    let mounts: Vec<Value> = mounts
        .iter()
        .map(|(secret, path)| json!({"name": secret, "mountPath": path}))
        .collect();
    let container = json!({
        "name": "sim",
        "image": "tokenweir/sim",
        "args": args,
        "ports": [{"containerPort": port}],
        // The kubelet has no certificate that it could show.
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
        "volumeMounts": mounts,
    });
    let pod = json!({"terminationGracePeriodSeconds": 2, "containers": [container], "volumes": volumes});
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": port}]},
        }),
    ]
}

/// A simulator that speaks TLS and wants a certificate of its clients, what it needs, and what the gateway needs to trust it.
fn guarded(world: &World, trust: &Trust) -> Vec<Value> {
    let service = format!("guarded.{}.svc", world.namespace);
    let own = trust.providers.issue(&[&service, OUTSIDE]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "guarded-tls"},
        "stringData": {"tls.crt": own.certificate, "tls.key": own.key, "clients.crt": trust.clients.pem},
    });
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "company-ca"},
        "data": {"ca.crt": trust.providers.pem},
    });
    let args = [
        "--listen=0.0.0.0:8443",
        "--tls-cert=/tls/tls.crt",
        "--tls-key=/tls/tls.key",
        "--tls-client-ca=/tls/clients.crt",
    ];
    let mut objects = vec![secret, bundle];
    objects.extend(program("guarded", 8443, &args, &[("guarded-tls", "/tls")]));
    objects.push(json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": "ModelRoute", "metadata": {"name": MODEL},
        "spec": {
            "model": MODEL, "gatewayRefs": [{"name": "edge"}],
            "backends": [{"providerRef": {"name": "guarded"}}],
            // Each answer of these tests is about one try.
            "retry": {"attempts": 0},
        },
    }));
    objects
}

/// The Secret of the gateway's own certificate, signed by an authority.
fn own_certificate(authority: &Authority) -> Value {
    let pair = authority.issue(&["gateway"]);
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "gateway-client"},
        "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
    })
}

/// The provider, which is found at `place` of its spec.
fn provider(place: Value, shows_certificate: bool) -> Value {
    let mut spec = place;
    spec["type"] = "OpenAICompatible".into();
    spec["tls"] = json!({"caConfigMapRef": {"name": "company-ca"}});
    if shows_certificate {
        spec["tls"]["clientCertificateSecretRef"] = json!({"name": "gateway-client"});
    }
    json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": "ModelProvider", "metadata": {"name": "guarded"}, "spec": spec,
    })
}

fn in_the_cluster() -> Value {
    json!({"backendRef": {"name": "guarded", "port": 8443, "scheme": "HTTPS"}})
}

fn outside() -> Value {
    json!({"endpoint": format!("https://{OUTSIDE}/v1")})
}

async fn wait_for_answer(client: &OpenAi) -> TestResult {
    wait::poll("an answer of the provider", READY, || async {
        let answer = client.complete(&Chat::new(MODEL, 2)).await;
        answer.map(|_| ()).map_err(|failure| failure.to_string())
    })
    .await
}

async fn wait_for_refusal(client: &OpenAi) -> TestResult {
    wait::poll("a connection that fails", READY, || async {
        match client.complete(&Chat::new(MODEL, 2)).await {
            Err(Failure::Refused { status: 502, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[test]
fn a_provider_that_wants_a_certificate_is_reached_with_that_of_the_secret_and_with_no_other() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        let client = running.client(Connections::KeepAlive);
        let trust = Trust::new();
        let mut objects = guarded(&world, &trust);
        objects.push(provider(in_the_cluster(), false));
        world.apply(&manifests(&objects)).await?;
        wait_for_refusal(&client).await?;

        let stranger = own_certificate(&Authority::new());
        world
            .apply(&manifests(&[stranger, provider(in_the_cluster(), true)]))
            .await?;
        let object = stack::object(&world, "ModelProvider", "guarded").await?;
        world
            .objects
            .wait_condition(&object, "Programmed", "True", READY)
            .await?;
        wait_for_refusal(&client).await?;

        world.apply(&manifests(&[own_certificate(&trust.clients)])).await?;
        wait_for_answer(&client).await?;
        let streamed = client.stream(&Chat::new(MODEL, 5), |_| {}).await;
        assert_eq!(streamed.unwrap().completion_tokens, 5);
        Ok(())
    });
}

/// The tunnels that the proxy was asked for.
async fn tunnels(world: &World) -> Result<Vec<Value>, String> {
    let route = reach::service(&world.client, &world.namespace, "proxy", PROXY_PORT).await;
    let route = route.map_err(|error| error.chain())?;
    let config = Config::new(route.url().parse().map_err(|error| format!("{error}"))?);
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let request = Request::get("/sim/tunnels").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let text = client.request_text(request).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}

/// The gateway with its proxy, and the password that it has for it.
fn behind_proxy(world: &World, stack: &Stack, password: &str) -> String {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth", "metadata": {"name": "proxy"},
        "stringData": {"username": "gate", "password": password},
    });
    let url = format!("http://proxy.{}.svc.cluster.local:{PROXY_PORT}", world.namespace);
    let proxy = json!({"url": url, "secretRef": {"name": "proxy"}});
    let gateway = stack
        .gateway()
        .replacen("spec:\n", &format!("spec:\n  proxy: {proxy}\n"), 1);
    format!("{secret}\n---\n{gateway}")
}

#[test]
fn what_is_outside_is_reached_through_the_proxy_alone_and_services_are_not() {
    beside(async |world| {
        let stack = Stack {
            replicas: 1,
            ..Stack::default()
        };
        let running = stack.start(&world).await?;
        let client = running.client(Connections::KeepAlive);
        let trust = Trust::new();
        let leads_to = format!("{OUTSIDE}:443=guarded:8443");
        let args = ["proxy", "--credentials=gate:s3cret", "--connect-to", &leads_to];
        let mut objects = guarded(&world, &trust);
        objects.extend(program("proxy", PROXY_PORT, &args, &[]));
        objects.push(own_certificate(&trust.clients));
        objects.push(provider(outside(), true));
        world.apply(&manifests(&objects)).await?;
        world.apply(&behind_proxy(&world, &stack, "wrong")).await?;
        wait::poll("a tunnel that is refused", READY, || async {
            wait_for_refusal(&client).await.map_err(|error| error.chain())?;
            let refused = json!({"to": format!("{OUTSIDE}:443"), "status": 407});
            let tunnels = tunnels(&world).await?;
            if tunnels.contains(&refused) {
                Ok(())
            } else {
                Err(format!("{tunnels:?}"))
            }
        })
        .await?;

        world.apply(&behind_proxy(&world, &stack, "s3cret")).await?;
        wait_for_answer(&client).await?;
        // The simulator of the stack is a Service, and is reached without it.
        client.complete(&Chat::new(stack::MODEL, 2)).await.unwrap();
        let tunnels = wait::poll("what the proxy knows", SOON, || tunnels(&world)).await?;
        let outside = format!("{OUTSIDE}:443");
        assert!(tunnels.iter().all(|tunnel| tunnel["to"] == outside), "{tunnels:?}");
        assert!(tunnels.iter().any(|tunnel| tunnel["status"] == 200), "{tunnels:?}");
        Ok(())
    });
}
