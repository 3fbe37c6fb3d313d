use std::time::Instant;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::json;
use tokenweir_crds::schema::{definitions, open_api_schema};

fn is_sync<T: Send + Sync>(_: &T) {}

#[test]
fn probe() {
    let start = Instant::now();
    let all = definitions().unwrap();
    println!("definitions {:?}", start.elapsed());
    let schemas: Vec<_> = all.iter().map(|d| open_api_schema(d).unwrap()).collect();
    let start = Instant::now();
    let compiled: Vec<CompiledSchema> = schemas.iter().map(compile_schema).collect();
    println!("compiled {:?}", start.elapsed());
    is_sync(&compiled[0]);
    for c in &compiled {
        println!("{:?}", c.compilation_errors());
    }
    let start = Instant::now();
    let got = Validator::new().validate_compiled(&compiled[1], &json!({"metadata": {"name": "a"}, "spec": {"type": "OpenAICompatible", "endpoint": "x", "timeouts": {"connect": "5x", "idle": "20h"}, "models": [{"name": "a", "aliases": ["b"]}, {"name": "b"}]}}), None);
    println!(
        "{:?} {:#?}",
        start.elapsed(),
        got.map_err(|e| e
            .into_vec()
            .into_iter()
            .map(|e| (e.field_path, e.message))
            .collect::<Vec<_>>())
    );
    let got = Validator::new().validate_compiled(&compiled[0], &json!({"metadata": {"name": "0a"}, "spec": {"pod": {"resources": {"requests": {"cpu": 3, "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "x"}}}}}), None);
    println!(
        "{:#?}",
        got.map_err(|e| e
            .into_vec()
            .into_iter()
            .map(|e| (e.field_path, e.message))
            .collect::<Vec<_>>())
    );
    let got = Validator::new().validate_compiled(&compiled[2], &json!({"metadata": {"name": "0a"}, "spec": {"model": "a b", "backends": [{"weight": 0}], "retry": {"when": [429, "429", "x"]}}}), None);
    println!(
        "{:#?}",
        got.map_err(|e| e
            .into_vec()
            .into_iter()
            .map(|e| (e.field_path, e.message))
            .collect::<Vec<_>>())
    );
    let got = Validator::new().validate_compiled(&compiled[4], &json!({"metadata": {"name": "0a"}, "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}, "replicas": {"min": 5, "max": 3}, "horizontal": {"scaleUp": {"stabilization": "1.5s"}, "signals": [{}, {"queueDepth": {"perReplica": 0}, "inFlight": {"perReplica": "0.5"}}, {"inFlight": {"perReplica": "x", "tenantRef": {"name": "a"}, "routeRef": {"name": "b"}}}]}}}), None);
    println!(
        "{:#?}",
        got.map_err(|e| e
            .into_vec()
            .into_iter()
            .map(|e| (e.field_path, e.message))
            .collect::<Vec<_>>())
    );
}
