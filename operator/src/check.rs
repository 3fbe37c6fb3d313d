//! `tokenweir-operator check`: does the installation work? `helm test` runs it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client, Config, Resource};
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};

use crate::certificates::API_SERVICES;
use crate::leader::LEASE;

/// Pause between two looks at what is not as it should be yet.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be checked.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// Namespace of the operator
    #[arg(long, env = "POD_NAMESPACE", default_value = "tokenweir-system")]
    pub install_namespace: String,

    /// Whether the adapter is installed
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub adapter: bool,

    /// How long to wait for what is not as it should be yet, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u32,
}

/// The installation does not work.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Something is not as it should be, and did not become so in time.
    #[error("{what}: {why}")]
    Failed {
        /// What was checked.
        what: String,
        /// What was found.
        why: String,
    },
    /// The process could not be set up, or the result not be told.
    #[error("the result cannot be told: {0}")]
    Output(#[from] std::io::Error),
    /// No cluster is configured.
    #[error("no cluster is configured: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("the client cannot be made: {0}")]
    Client(#[source] kube::Error),
}

/// Checks the installation in the cluster that kubectl would talk to.
pub fn run(args: &CheckArgs) -> Result<(), CheckError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = Config::infer().await?;
        let client = Client::try_from(config).map_err(CheckError::Client)?;
        check(client, args).await
    })
}

/// Checks the installation and says what is well. Ends at the first thing that is not, after the time to wait.
async fn check(client: Client, args: &CheckArgs) -> Result<(), CheckError> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(args.timeout));
    let (llmgateways, providers) = (kind::<LLMGateway>(), kind::<ModelProvider>());
    let (routes, tenants, policies) = (kind::<ModelRoute>(), kind::<Tenant>(), kind::<ScalingPolicy>());
    for resource in [llmgateways, providers, routes, tenants, policies] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let what = format!("kind {} is served", resource.kind);
        wait(&what, deadline, async || served(&api).await).await?;
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), &args.install_namespace);
    wait("an operator leads", deadline, async || led(&leases).await).await?;
    if args.adapter {
        let services: Api<APIService> = Api::all(client);
        for name in API_SERVICES {
            let what = format!("{name} is available");
            wait(&what, deadline, async || available(&services, name).await).await?;
        }
    }
    Ok(())
}

async fn wait(what: &str, deadline: Instant, look: impl AsyncFn() -> Result<(), String>) -> Result<(), CheckError> {
    loop {
        match look().await {
            Ok(()) => {
                writeln!(std::io::stdout(), "ok: {what}")?;
                return Ok(());
            }
            Err(why) if Instant::now() >= deadline => {
                let what = what.to_owned();
                return Err(CheckError::Failed { what, why });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn kind<K: Resource<DynamicType = ()>>() -> kube::core::ApiResource {
    kube::core::ApiResource::erase::<K>(&())
}

async fn served(api: &Api<DynamicObject>) -> Result<(), String> {
    api.list_metadata(&ListParams::default().limit(1))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

async fn led(leases: &Api<Lease>) -> Result<(), String> {
    let lease = leases.get(LEASE).await.map_err(|error| error.to_string())?;
    is_held(&lease, Timestamp::now())
}

/// The lease has a holder that renewed it in time, by the wall clock: good enough to tell a person.
fn is_held(lease: &Lease, now: Timestamp) -> Result<(), String> {
    let spec = lease.spec.as_ref().ok_or("the lease is empty")?;
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() {
        return Err("nobody holds the lease".into());
    }
    let renewed = spec.renew_time.as_ref().ok_or("the lease was never renewed")?;
    let age = now.as_second() - renewed.0.as_second();
    let duration = i64::from(spec.lease_duration_seconds.unwrap_or(0));
    if age > duration {
        return Err(format!("{holder} has not renewed the lease for {age} s"));
    }
    Ok(())
}

async fn available(services: &Api<APIService>, name: &str) -> Result<(), String> {
    let service = services.get(name).await.map_err(|error| error.to_string())?;
    let conditions = service.status.and_then(|status| status.conditions).unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "Available") {
        Some(condition) if condition.status == "True" => Ok(()),
        Some(condition) => Err(condition.message.clone().unwrap_or_default()),
        None => Err("the API server has not looked yet".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer};
    use serde_json::json;

    fn lease(holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({"spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
        }}))
        .unwrap()
    }

    #[test]
    fn a_lease_counts_while_its_holder_renews_it() {
        let now: Timestamp = "2026-11-21T12:00:20Z".parse().unwrap();
        assert!(is_held(&lease("a", "2026-11-21T12:00:10.000000Z"), now).is_ok());
        assert!(is_held(&lease("", "2026-11-21T12:00:10.000000Z"), now).is_err());
        let old = is_held(&lease("a", "2026-11-21T12:00:00.000000Z"), now).unwrap_err();
        assert!(old.contains("20 s"), "{old}");
    }

    #[tokio::test]
    async fn what_is_missing_is_named_when_the_time_is_over() {
        let missing = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no such kind"});
        let (client, _requests) = Fake::serve(vec![answer(404, &missing)]);
        let args = CheckArgs {
            install_namespace: "tokenweir-system".into(),
            adapter: false,
            timeout: 0,
        };
        let error = check(client, &args).await.unwrap_err();
        assert!(error.to_string().contains("kind LLMGateway is served"), "{error}");
    }
}
