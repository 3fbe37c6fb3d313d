//! How long a changed ModelRoute takes until every gateway pod serves it.

use std::fmt::Write;
use std::time::Instant;

use serde_json::json;

use super::{Api, Settings, World};
use crate::change::served_by_all;
use crate::error::BenchError;
use crate::load::percentile;
use crate::machine;

/// Changes the route again and again, and returns the times as text: from the moment the change is sent to the API server
/// to the first answer of the last pod that names the new model.
pub async fn measure(api: Api, settings: Settings, changes: usize) -> Result<String, BenchError> {
    let machine = machine::describe();
    let mut world = World::make(api, settings).await?;
    let gateways = world.gateways().await?;
    served_by_all(&gateways, "sim", Instant::now()).await?;
    let path = format!(
        "/apis/tokenweir.dev/v1alpha1/namespaces/{}/modelroutes/bench",
        world.settings.namespace
    );
    let mut times = Vec::new();
    for change in 0..changes.max(1) {
        let model = format!("sim-{change}");
        let route = json!({"spec": {"backends": [{"providerRef": {"name": "sim"}, "model": model}]}});
        let sent = Instant::now();
        let (status, answer) = world.api.patch(&path, &route).await?;
        if !status.is_success() {
            return Err(BenchError::Silent {
                what: "the API server".into(),
                reason: answer["message"].as_str().unwrap_or("it refused a change").to_owned(),
            });
        }
        let slowest = served_by_all(&gateways, &model, sent).await?;
        times.push(u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    let mut out = format!("{machine}. ");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} gateway pods, {} changes of a ModelRoute: served by all after p50 {} ms, p95 {} ms, slowest {} ms.",
        gateways.len(),
        times.len(),
        percentile(&times, 50),
        percentile(&times, 95),
        percentile(&times, 100)
    );
    Ok(out)
}
