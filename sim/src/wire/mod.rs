//! The endpoints.

mod admin;
mod anthropic;
mod body;
mod embeddings;
mod exchange;
mod openai;
mod pace;
mod prompt;
mod refusal;
mod script;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokenweir_llm::{ErrorKind, Operation};

use crate::state::{Head, State, Track};
pub(crate) use body::{Broken, Line, SimBody};
use exchange::{Call, Exchange};
use refusal::Refusal;

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
    let (call, method) = match path {
        "/v1/chat/completions" => (Some(Call::OpenAi(Operation::Chat)), Method::POST),
        "/v1/completions" => (Some(Call::OpenAi(Operation::TextCompletion)), Method::POST),
        "/v1/embeddings" => (Some(Call::OpenAi(Operation::Embeddings)), Method::POST),
        "/v1/messages" => (Some(Call::Messages), Method::POST),
        "/v1/models" => (None, Method::GET),
        path if path.starts_with("/v1/models/") => (None, Method::GET),
        path => {
            let message = format!("Invalid URL ({} {path})", request.method());
            return Ok(Refusal::new(ErrorKind::NotFound, message).response(false, track));
        }
    };
    if *request.method() != method {
        let message = format!("Method {} is not allowed here; use {method}.", request.method());
        let anthropic = call == Some(Call::Messages);
        return Ok(Refusal::new(ErrorKind::MethodNotAllowed, message).response(anthropic, track));
    }
    match call {
        Some(call) => Exchange::new(state, line, call, track).run(request).await,
        None => Ok(models(&state, request.headers(), request.uri().path(), track)),
    }
}

fn models(state: &State, headers: &http::HeaderMap, path: &str, mut track: Track) -> Response<SimBody> {
    if let Err(refusal) = exchange::authenticate(state, headers) {
        return refusal.response(false, track);
    }
    let current = state.current();
    let behaviour = &current.behaviour;
    let created = behaviour.created.unwrap_or(0);
    let body = match path.strip_prefix("/v1/models/") {
        None if behaviour.models.is_empty() => openai::models(&["sim".to_owned()], created),
        None => openai::models(&behaviour.models, created),
        Some(name) if exchange::serves(behaviour, name) => openai::model(name, created).to_string().into(),
        Some(name) => return Refusal::model_not_found(name).response(false, track),
    };
    track.status(200);
    track.complete();
    json(StatusCode::OK, body)
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
