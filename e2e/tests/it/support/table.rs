//! What `kubectl get` would print.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenweir_e2e::harness::HarnessError;

use super::World;

/// The row of one object as `kubectl get PLURAL NAME` would print it, by column name, without age.
pub async fn row(world: &World, plural: &str, name: &str) -> Result<BTreeMap<String, String>, HarnessError> {
    let path = format!(
        "/apis/tokenweir.dev/v1alpha1/namespaces/{}/{plural}/{name}",
        world.namespace
    );
    let request = http::Request::get(&path)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .expect("a request of constants");
    let table: Value = world
        .client
        .request(request)
        .await
        .map_err(|source| HarnessError::Api {
            action: format!("GET {path}"),
            source: Box::new(source),
        })?;
    let names = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["name"].as_str());
    let cells = table["rows"][0]["cells"].as_array().into_iter().flatten();
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), ToOwned::to_owned);
    Ok(names
        .map(ToOwned::to_owned)
        .zip(cells.map(text))
        .filter(|(name, _)| name != "Age")
        .collect())
}
