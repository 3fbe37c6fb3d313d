//! An API server for unit tests: gives prepared answers in order and remembers what was asked.

use std::collections::VecDeque;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub uri: String,
    pub body: Value,
}

/// Answers in order; a request beyond them gets 500.
pub struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub fn serve(answers: Vec<(u16, Value)>) -> (Client, Self) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let log = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (log, answers) = (log.clone(), answers.clone());
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                log.lock().push(Asked {
                    method: parts.method.to_string(),
                    uri: parts.uri.to_string(),
                    body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                });
                let (code, body) = answers
                    .lock()
                    .pop_front()
                    .unwrap_or_else(|| (500, serde_json::json!({"kind": "Status", "code": 500})));
                Ok::<_, tower::BoxError>(
                    Response::builder()
                        .status(code)
                        .body(Body::from(body.to_string().into_bytes()))
                        .unwrap(),
                )
            }
        });
        (Client::new(service, "default"), Self { asked })
    }

    pub async fn finish(self) -> Vec<Asked> {
        tokio::task::yield_now().await;
        self.asked.lock().clone()
    }
}

pub fn answer(code: u16, body: &Value) -> (u16, Value) {
    (code, body.clone())
}

pub fn owner_reference(uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "tokenweir.dev/v1alpha1".into(),
        kind: "LLMGateway".into(),
        name: "edge".into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
