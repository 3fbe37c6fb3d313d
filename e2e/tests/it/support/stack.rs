//! A gateway with everything around it, small enough for a test.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use tokenweir_e2e::harness::objects::Condition;
use tokenweir_e2e::harness::openai::{Connections, OpenAi};
use tokenweir_e2e::harness::{HarnessError, admin, reach, wait};

use super::{READY, SOON, World};

/// The model that clients of a stack ask for.
pub const MODEL: &str = "chat";
/// The kinds of a stack and the condition that says that each works.
const JUDGED: [(&str, &str, &str); 5] = [
    ("LLMGateway", "edge", "Ready"),
    ("ModelProvider", "sim", "Programmed"),
    ("ModelRoute", "chat", "Programmed"),
    ("Tenant", "acme", "Programmed"),
    ("Tenant", "globex", "Programmed"),
];

/// How a stack behaves.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Gateway pods.
    pub replicas: u32,
    /// Requests that one pod forwards at a time.
    pub max_in_flight: u32,
    /// Milliseconds to the first token.
    pub first_ms: u32,
    /// Milliseconds from token to token.
    pub token_ms: u32,
    /// Time that a pod gets to finish its streams.
    pub grace: Duration,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            replicas: 2,
            max_in_flight: 100,
            first_ms: 20,
            token_ms: 5,
            grace: Duration::from_secs(30),
        }
    }
}

/// A stack that is up.
pub struct Running {
    /// The way to the gateway's Service.
    pub service: reach::Route,
    /// The API key of the tenant `acme`.
    pub acme: String,
    /// The API key of the tenant `globex`.
    pub globex: String,
}

impl Running {
    /// A client of the tenant `acme` through the Service.
    pub fn client(&self, connections: Connections) -> OpenAi {
        OpenAi::new(self.service.url(), &self.acme, connections)
    }

    /// A client of the tenant `globex` through the Service.
    pub fn other_client(&self, connections: Connections) -> OpenAi {
        OpenAi::new(self.service.url(), &self.globex, connections)
    }
}

impl Stack {
    /// The stack's manifests. The provider's key is `provider-key-1`, in the Secret `sim-key`.
    pub fn manifests(&self) -> String {
        format!("{}\n---\n{}\n---\n{}", self.simulator(), self.gateway(), self.around())
    }

    /// The simulator's Deployment and Service. It takes two keys, so that a rotation can be seen in what it records.
    fn simulator(&self) -> String {
        format!(
            r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: sim}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: sim}}}}
  template:
    metadata: {{labels: {{app: sim}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: sim
        image: tokenweir/sim
        args: ["--listen=0.0.0.0:8000", "--latency=fixed;first={first};token={token}", "--output-tokens=2000",
               "--api-key=provider-key-1", "--api-key=provider-key-2"]
        ports: [{{containerPort: 8000}}]
        readinessProbe: {{httpGet: {{path: /readyz, port: 8000}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 5m, memory: 16Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: sim}}
spec:
  selector: {{app: sim}}
  ports: [{{port: 8000}}]
"#,
            first = self.first_ms,
            token = self.token_ms
        )
    }

    /// The LLMGateway alone.
    pub fn gateway(&self) -> String {
        format!(
            r"
apiVersion: tokenweir.dev/v1alpha1
kind: LLMGateway
metadata: {{name: edge}}
spec:
  replicas: {replicas}
  admission: {{maxInFlight: {max_in_flight}}}
  pod:
    terminationGracePeriod: {grace}s
    topologySpread: None
    resources: {{requests: {{cpu: 5m, memory: 16Mi}}}}
",
            replicas = self.replicas,
            max_in_flight = self.max_in_flight,
            grace = self.grace.as_secs()
        )
    }

    #[allow(clippy::unused_self, reason = "reads as one of three parts of the stack")]
    fn around(&self) -> String {
        format!(
            r"
apiVersion: v1
kind: Secret
metadata: {{name: sim-key}}
stringData: {{key: provider-key-1}}
---
apiVersion: tokenweir.dev/v1alpha1
kind: ModelProvider
metadata: {{name: sim}}
spec:
  type: OpenAICompatible
  backendRef: {{name: sim, port: 8000}}
  credentials: {{secretRef: {{name: sim-key, key: key}}}}
---
{route}
---
apiVersion: tokenweir.dev/v1alpha1
kind: Tenant
metadata: {{name: acme}}
spec: {{auth: {{apiKeys: [{{name: ci}}]}}}}
---
apiVersion: tokenweir.dev/v1alpha1
kind: Tenant
metadata: {{name: globex}}
spec: {{auth: {{apiKeys: [{{name: ci}}]}}}}
",
            route = route("sim-small")
        )
    }

    /// Applies the stack and waits until all of it works and the gateway answers through its Service.
    pub async fn start(&self, world: &World) -> Result<Running, HarnessError> {
        world.apply(&self.manifests()).await?;
        ready(world).await?;
        let key = |tenant: &str| {
            let secret = format!("{tenant}-ci");
            async move { admin::secret_field(&world.client, &world.namespace, &secret, "apiKey").await }
        };
        let running = Running {
            acme: key("acme").await?,
            globex: key("globex").await?,
            service: reach::service(&world.client, &world.namespace, "edge", 8080).await?,
        };
        // That a Service's address accepts a connection says little: until the node knows where it leads, the connection goes
        // by the node's own default route, and something out there may accept it. What the gateway answers has come from it.
        let client = running.client(Connections::PerRequest);
        wait::poll("the gateway to answer through its Service", SOON, || async {
            let models = client.call("GET", "/v1/models", None).await;
            models.map(|_| ()).map_err(|failure| failure.to_string())
        })
        .await?;
        Ok(running)
    }
}

/// The route of a stack, with the model that the provider is asked for.
pub fn route(provider_model: &str) -> String {
    format!(
        r"
apiVersion: tokenweir.dev/v1alpha1
kind: ModelRoute
metadata: {{name: chat}}
spec:
  model: {MODEL}
  gatewayRefs: [{{name: edge}}]
  backends: [{{providerRef: {{name: sim}}, model: {provider_model}}}]
"
    )
}

/// Waits until every object of a stack works, and returns what the gateway says about its configuration.
pub async fn ready(world: &World) -> Result<Condition, HarnessError> {
    let waits = JUDGED.map(|(kind, name, condition)| async move {
        let object = object(world, kind, name).await?;
        world.objects.wait_condition(&object, condition, "True", READY).await
    });
    try_join_all(waits).await?;
    let gateway = object(world, "LLMGateway", "edge").await?;
    world
        .objects
        .wait_condition(&gateway, "Programmed", "True", READY)
        .await
}

/// An object of Tokenweir's own kinds in the test's namespace.
pub async fn object(world: &World, kind: &str, name: &str) -> Result<kube::core::DynamicObject, HarnessError> {
    let found = world
        .objects
        .get("tokenweir.dev/v1alpha1", kind, &world.namespace, name)
        .await?;
    found.ok_or_else(|| HarnessError::Missing {
        object: world.namespace.clone(),
        missing: format!("{kind} {name}"),
    })
}

/// Pods of the gateway that are not on their way out.
pub async fn pods(world: &World) -> Result<Vec<Pod>, HarnessError> {
    let list = world
        .api::<Pod>()
        .list(&ListParams::default().labels("tokenweir.dev/gateway=edge"))
        .await;
    let list = list.map_err(|source| HarnessError::Api {
        action: "list the gateway's pods".to_owned(),
        source: Box::new(source),
    })?;
    Ok(list
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect())
}

/// Waits until exactly so many gateway pods are ready, and no others are there.
pub async fn ready_pods(world: &World, count: usize, limit: Duration) -> Result<Vec<Pod>, HarnessError> {
    wait::poll(format!("{count} ready gateway pods"), limit, || async {
        let pods = pods(world).await.map_err(|e| e.chain())?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if ready == count && pods.len() == count {
            Ok(pods)
        } else {
            Err(format!("{ready} of {} are ready", pods.len()))
        }
    })
    .await
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A pod's name.
pub fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}
