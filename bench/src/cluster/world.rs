//! A namespace with a simulator and gateways, made for a measurement and removed after it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;
use tokenweir_config::names::GATEWAY_LABEL;

use super::Api;
use crate::error::BenchError;
use crate::fixture::{KEY, MODEL};

/// Time for images to be there and for all pods to be ready.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often the API is asked while pods start.
const LOOK: Duration = Duration::from_millis(500);
/// Port of the gateways' listener.
const PORT: u16 = 8080;

/// What to make.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace; it must not exist.
    pub namespace: String,
    /// Gateway pods.
    pub pods: usize,
    /// Image of the simulator; absent: that of the quickstart.
    pub sim_image: Option<String>,
    /// Namespace of the quickstart.
    pub example: String,
}

/// The namespace. It is removed when the measurement is over.
#[derive(Debug)]
pub struct World {
    /// The API.
    pub api: Api,
    /// What was made.
    pub settings: Settings,
}

impl World {
    /// Makes everything and waits until all gateway pods are ready and serve the route.
    pub async fn make(mut api: Api, settings: Settings) -> Result<Self, BenchError> {
        let image = match settings.sim_image.clone() {
            Some(image) => image,
            None => sim_image(&mut api, &settings.example).await?,
        };
        api.kubectl(&["create", "namespace", &settings.namespace], "")?;
        let world = Self { api, settings };
        // From here on the guard removes the namespace again.
        world.api.kubectl(
            &["apply", "--server-side", "-f", "-"],
            &manifest(&world.settings, &image),
        )?;
        let mut world = world;
        world.wait_ready().await?;
        Ok(world)
    }

    /// Data addresses of the ready gateway pods.
    pub async fn gateways(&mut self) -> Result<Vec<SocketAddr>, BenchError> {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector={GATEWAY_LABEL}%3Dbench",
            self.settings.namespace
        );
        let (_, list) = self.api.get(&path).await?;
        let pods = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let address = |pod: &Value| {
            pod["status"]["podIP"]
                .as_str()?
                .parse()
                .ok()
                .map(|ip| SocketAddr::new(ip, PORT))
        };
        Ok(pods.iter().filter(|pod| is_ready(pod)).filter_map(address).collect())
    }

    async fn wait_ready(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = self.gateways().await?.len();
            if ready >= self.settings.pods {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(BenchError::Silent {
                    what: format!("namespace {}", self.settings.namespace),
                    reason: format!("{ready} of {} gateway pods are ready", self.settings.pods),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Until it is gone: the next measurement makes it again.
        let removed = self
            .api
            .kubectl(&["delete", "namespace", &self.settings.namespace, "--timeout=2m"], "");
        if let Err(error) = removed {
            tracing::error!(%error, "the namespace of the measurement is left behind");
        }
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    ready && pod["metadata"]["deletionTimestamp"].is_null()
}

/// The image that the quickstart's simulator runs, which every node of the local cluster has.
async fn sim_image(api: &mut Api, example: &str) -> Result<String, BenchError> {
    let path = format!("/apis/apps/v1/namespaces/{example}/deployments/sim");
    let (status, deployment) = api.get(&path).await?;
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    image.map(str::to_owned).ok_or_else(|| BenchError::Silent {
        what: format!("the quickstart's simulator in namespace {example}"),
        reason: match status {
            StatusCode::NOT_FOUND => "it is not there; run make up, or give --sim-image".to_owned(),
            status => format!("the cluster that kubectl leads to says {status}; is KUBECONFIG right?"),
        },
    })
}

fn manifest(settings: &Settings, sim_image: &str) -> String {
    let Settings { namespace, pods, .. } = settings;
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: sim, namespace: {namespace}}}\n\
         spec: {{replicas: 1, selector: {{matchLabels: {{app: sim}}}}, template: {{metadata: {{labels: {{app: sim}}}}, \
         spec: {{containers: [{{name: sim, image: \"{sim_image}\", command: [/tokenweir-sim], args: [--output-tokens=1], \
         ports: [{{containerPort: 8000}}], readinessProbe: {{httpGet: {{path: /readyz, port: 8000}}, periodSeconds: 1}}}}]}}}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: sim, namespace: {namespace}}}\n\
         spec: {{selector: {{app: sim}}, ports: [{{port: 8000}}]}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: load, namespace: {namespace}}}\nstringData: {{apiKey: {KEY}}}\n---\n\
         apiVersion: tokenweir.dev/v1alpha1\nkind: LLMGateway\nmetadata: {{name: bench, namespace: {namespace}}}\n\
         spec: {{replicas: {pods}, listeners: [{{port: {PORT}}}], pod: {{resources: {{requests: {{cpu: 10m, memory: 32Mi}}}}}}}}\n---\n\
         apiVersion: tokenweir.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: sim, namespace: {namespace}}}\n\
         spec: {{type: OpenAICompatible, backendRef: {{name: sim, port: 8000}}}}\n---\n\
         apiVersion: tokenweir.dev/v1alpha1\nkind: ModelRoute\nmetadata: {{name: bench, namespace: {namespace}}}\n\
         spec: {{model: {MODEL}, gatewayRefs: [{{name: bench}}], backends: [{{providerRef: {{name: sim}}, model: sim}}]}}\n---\n\
         apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: bench, namespace: {namespace}}}\n\
         spec: {{auth: {{apiKeys: [{{name: load, secretRef: {{name: load, key: apiKey}}}}]}}}}\n"
    )
}
