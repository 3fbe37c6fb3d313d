//! `/sim/…`: what tests ask and change.
//!
//! | | |
//! |---|---|
//! | `GET /sim/requests` | the recorded requests, oldest first |
//! | `DELETE /sim/requests` | forgets them, and starts fault chains anew |
//! | `GET /sim/config` | the behaviour |
//! | `PUT /sim/config` | replaces it; what is absent gets its default |
//! | `PATCH /sim/config` | changes what is given (JSON merge patch) |
//! | `GET /sim/stats` | counters, active requests, the engine's load |

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::SimBody;
use crate::behaviour::Behaviour;
use crate::state::State;

/// A behaviour is a few hundred bytes; this is room for many faults.
const MAX_BODY: usize = 1024 * 1024;

pub(super) async fn handle(state: &State, request: Request<Incoming>) -> Response<SimBody> {
    let (parts, body) = request.into_parts();
    match (parts.uri.path(), &parts.method) {
        ("/sim/requests", &Method::GET) => show(&state.recorder.requests()),
        ("/sim/requests", &Method::DELETE) => {
            state.recorder.clear();
            state.reset();
            super::text(StatusCode::NO_CONTENT, "")
        }
        ("/sim/stats", &Method::GET) => show(&state.stats()),
        ("/sim/config", &Method::GET) => show(&state.current().behaviour),
        ("/sim/config", method @ (&Method::PUT | &Method::PATCH)) => {
            let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB");
            };
            let base = if method == Method::PATCH {
                serde_json::to_value(&state.current().behaviour).unwrap_or(Value::Null)
            } else {
                json!({})
            };
            match merged(base, &body.to_bytes()) {
                Ok(behaviour) => {
                    state.set_behaviour(behaviour.clone());
                    show(&behaviour)
                }
                Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        }
        ("/sim/requests" | "/sim/stats" | "/sim/config", _) => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here")
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "known are /sim/requests, /sim/stats and /sim/config",
        ),
    }
}

fn merged(mut base: Value, patch: &[u8]) -> Result<Behaviour, serde_json::Error> {
    merge(&mut base, serde_json::from_slice(patch)?);
    serde_json::from_value(base)
}

/// JSON merge patch (RFC 7396).
fn merge(base: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *base = patch;
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    if let Value::Object(base) = base {
        for (key, value) in patch {
            if value.is_null() {
                base.remove(&key);
            } else {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

fn show(value: &impl serde::Serialize) -> Response<SimBody> {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => super::json(StatusCode::OK, body.into()),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<SimBody> {
    super::json(status, json!({"error": message}).to_string().into())
}
