//! The admin port of a gateway pod, opened with a token of the install's root key, as the operator and the adapter do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokenweir_config::admin_token::{AdminKey, Scope, derive_admin_key};
use tokenweir_config::names;

use super::error::{HarnessError, Result, api};
use super::{install, reach};

/// A loopback or pod network answer; longer means that nobody is there.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// An answer of a plain HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: String,
}

/// The admin key of a gateway, derived from the root key in the install namespace.
pub async fn key(client: &Client, namespace: &str, gateway: &str) -> Result<AdminKey> {
    let root = secret_field(
        client,
        install::NAMESPACE,
        names::ROOT_KEY_SECRET,
        names::ROOT_KEY_FIELD,
    )
    .await?;
    let missing = |missing: String| HarnessError::Missing {
        object: "the root key".to_owned(),
        missing,
    };
    let raw = tokenweir_config::keys::decode_32(&root).map_err(|e| missing(format!("32 bytes of base64: {e}")))?;
    AdminKey::new(&derive_admin_key(&raw, namespace, gateway)).map_err(|e| missing(e.to_string()))
}

/// A token for a scope, minted now.
pub fn mint(key: &AdminKey, scope: Scope) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    key.mint(scope, i64::try_from(now).unwrap_or(i64::MAX))
}

/// Asks a pod's admin port, with or without a token.
pub async fn get(client: &Client, namespace: &str, pod: &str, path: &str, token: Option<&str>) -> Result<Answer> {
    let route = reach::pod(client, namespace, pod, names::ADMIN_PORT).await?;
    http_get(&format!("{}{path}", route.url()), token).await
}

/// Asks any URL, with or without a bearer token, and returns whatever is answered.
pub async fn http_get(url: &str, token: Option<&str>) -> Result<Answer> {
    let unreachable = |reason: String| HarnessError::Unreachable {
        target: url.to_owned(),
        reason,
    };
    let mut request = http::Request::get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request
        .body(Full::<Bytes>::default())
        .map_err(|e| unreachable(e.to_string()))?;
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let work = async {
        let answer = http.request(request).await.map_err(|e| unreachable(e.to_string()))?;
        let status = answer.status().as_u16();
        let bytes = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| unreachable(e.to_string()))?
            .to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    tokio::time::timeout(ANSWER_LIMIT, work)
        .await
        .unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))
}

/// A field of a Secret as text.
pub async fn secret_field(client: &Client, namespace: &str, name: &str, field: &str) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets
        .get(name)
        .await
        .map_err(api(format!("read Secret {namespace}/{name}")))?;
    let missing = |missing: String| HarnessError::Missing {
        object: format!("Secret {namespace}/{name}"),
        missing,
    };
    let bytes = secret
        .data
        .and_then(|mut data| data.remove(field))
        .ok_or_else(|| missing(format!("field {field}")))?;
    String::from_utf8(bytes.0).map_err(|_| missing(format!("text in field {field}")))
}
