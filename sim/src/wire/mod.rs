//! The endpoints.

mod admin;
mod anthropic;
mod auth;
mod bedrock;
mod body;
mod count;
mod exchange;
mod fields;
mod gemini;
mod generate;
mod head;
mod openai;
mod pace;
mod refusal;
mod route;
mod script;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokenweir_llm::ErrorKind;

use crate::state::{Head, State, Track};
pub(crate) use body::{Broken, Line, SimBody};
use exchange::Exchange;
use refusal::Refusal;
use route::{Api, Operation, Route};

/// Assertions are below 2 KiB.
const MAX_FORM: usize = 64 * 1024;

/// Answers one request. An error ends the connection: a fault asked for it.
pub(crate) async fn handle(
    state: Arc<State>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Broken> {
    let path = request.uri().path();
    if path.starts_with("/sim/") {
        return Ok(admin::handle(&state, request).await);
    }
    if matches!(path, "/livez" | "/readyz") {
        return Ok(text(StatusCode::OK, "ok\n"));
    }
    let track = state.recorder.begin(&Head {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
    });
    let route = match Route::of(request.uri(), request.headers()) {
        Ok(route) => route,
        Err(api) => {
            let message = format!("Invalid URL ({} {path})", request.method());
            return Ok(Refusal::new(ErrorKind::NotFound, message).response(api, track));
        }
    };
    let method = route.method();
    if *request.method() != method {
        let message = format!("Method {} is not allowed here; use {method}.", request.method());
        return Ok(Refusal::new(ErrorKind::MethodNotAllowed, message).response(route.api, track));
    }
    match &route.operation {
        Operation::Models => Ok(models(&state, request, route.api, None, track)),
        Operation::Model(name) => Ok(models(&state, request, route.api, Some(name), track)),
        Operation::Token => token(&state, request, track).await,
        _ => Exchange::new(state, line, route, track).run(request).await,
    }
}

/// Google's endpoint for tokens.
async fn token(state: &State, request: Request<Incoming>, mut track: Track) -> Result<Response<SimBody>, Broken> {
    let body = Limited::new(request.into_body(), MAX_FORM).collect().await;
    // A client that broke off while it sent has nobody to answer; a form too large is no form.
    let form = body.map_err(|_| Broken)?.to_bytes();
    track.body(&form);
    let (status, answer) = gemini::grant(state.account.as_ref(), &form);
    track.status(status);
    track.complete();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Ok(json(status, answer.to_string().into()))
}

/// The models that exist, or one of them.
fn models(
    state: &State,
    request: Request<Incoming>,
    api: Api,
    name: Option<&str>,
    mut track: Track,
) -> Response<SimBody> {
    let (parts, _) = request.into_parts();
    if let Err(refusal) = auth::authenticate(state, api, &parts, &[]) {
        return refusal.response(api, track);
    }
    let current = state.current();
    let behaviour = &current.behaviour;
    let created = behaviour.created.unwrap_or(0);
    if let Some(name) = name.filter(|name| !exchange::serves(behaviour, name)) {
        return Refusal::model_not_found(name).response(api, track);
    }
    let any = ["sim".to_owned()];
    let all = if behaviour.models.is_empty() {
        &any[..]
    } else {
        &behaviour.models
    };
    let body = match (api, name) {
        (Api::Anthropic, None) => anthropic::models(all),
        (Api::Anthropic, Some(name)) => anthropic::model(name).to_string().into(),
        (_, None) => openai::models(all, created),
        (_, Some(name)) => openai::model(name, created).to_string().into(),
    };
    track.status(200);
    track.complete();
    json(StatusCode::OK, body)
}

/// Whether a text is base64 as it is written in JSON: with padding, and not empty.
fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn json(status: StatusCode, body: Bytes) -> Response<SimBody> {
    typed(status, "application/json", body)
}

fn text(status: StatusCode, body: &str) -> Response<SimBody> {
    typed(
        status,
        "text/plain; charset=utf-8",
        Bytes::copy_from_slice(body.as_bytes()),
    )
}

fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<SimBody> {
    let mut response = Response::new(SimBody::whole(body, None));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
