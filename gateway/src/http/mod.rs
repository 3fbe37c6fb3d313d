//! The APIs of OpenAI and Anthropic as the gateway serves them.

mod body;
mod completion;
mod compress;
mod count;
mod errors;
pub mod headers;
mod models;
mod request_id;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use tokenweir_config::status::Phase;
use tokenweir_llm::{ErrorForm, Operation};

use crate::auth::authenticate;
use crate::encoding::accepted;
use crate::meter::Refusal;
use crate::plan::Caller;
use crate::relay::GatewayBody;
use crate::server::{Active, Worker};
use completion::Head;
pub use count::COUNTED_BYTES;
use errors::Teller;
use request_id::request_id;

/// Request heads larger than this are refused with 431.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// What a header line takes besides its name and value.
const HEADER_LINE_BYTES: usize = 4;

/// A path that the gateway serves.
enum Path<'a> {
    /// A request for tokens.
    Operation(Operation),
    /// How many tokens a chat request has.
    Count,
    /// The list of models.
    Models,
    /// One model, by its percent-encoded id.
    Model(&'a str),
}

fn path(path: &str) -> Option<Path<'_>> {
    let below = path.strip_prefix("/v1")?;
    if let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.path() == below) {
        return Some(Path::Operation(operation));
    }
    if below == "/tokens/count" {
        return Some(Path::Count);
    }
    match below.strip_prefix("/models")? {
        "" => Some(Path::Models),
        id => id.strip_prefix('/').filter(|id| !id.is_empty()).map(Path::Model),
    }
}

/// The form in which the client expects errors and lists: that of the API to which the path belongs, or which the client
/// says it speaks where both have the path.
fn form_of(path: Option<&Path<'_>>, headers: &HeaderMap) -> ErrorForm {
    match path {
        Some(Path::Operation(operation)) => (*operation).into(),
        _ if headers.contains_key(headers::ANTHROPIC_VERSION) => ErrorForm::Anthropic,
        _ => ErrorForm::OpenAi,
    }
}

/// Answers one request. Whatever a client sends, there is an answer.
pub async fn handle(worker: &Worker, active: Active, request: Request<Incoming>) -> Response<GatewayBody> {
    let received = worker.meter.now();
    let id = request_id(request.headers());
    let version = request.version();
    let coding = accepted(request.headers());
    let (mut response, form) = respond(worker, &active, request, &id, received).await;
    if let Some(coding) = coding {
        response = compress::compress(coding, response).await;
    }
    if form == ErrorForm::Anthropic {
        response.headers_mut().insert(headers::REQUEST_ID, id.clone());
    }
    response.headers_mut().insert(headers::X_REQUEST_ID, id);
    // HTTP/2 has its own word for it, which the connection says.
    if worker.drain.phase() != Phase::Serving && version < Version::HTTP_2 {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // Most answers are all here; a stream has said before how long it may take.
    active.answer(Duration::ZERO);
    response.map(|body| body.counted(active))
}

/// Bytes of a request's head, as HTTP/1.1 would carry it.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + HEADER_LINE_BYTES;
    let uri = request.uri();
    uri.path().len() + uri.query().map_or(0, str::len) + request.headers().iter().map(line).sum::<usize>()
}

async fn respond(
    worker: &Worker,
    active: &Active,
    request: Request<Incoming>,
    request_id: &HeaderValue,
    received: Duration,
) -> (Response<GatewayBody>, ErrorForm) {
    let path = path(request.uri().path());
    let form = form_of(path.as_ref(), request.headers());
    let teller = Teller { form, request_id };
    if worker.drain.phase() >= Phase::Draining {
        worker.meter.refused(None, Refusal::Draining);
        return (teller.draining(), form);
    }
    if head_bytes(&request) > MAX_HEAD_BYTES {
        worker.meter.refused(None, Refusal::TooLarge);
        return (teller.headers_too_large(), form);
    }
    let Some(path) = path else {
        worker.meter.refused(None, Refusal::NotFound);
        return (teller.not_found(request.uri().path()), form);
    };
    let (operation, method, method_name) = match path {
        Path::Operation(operation) => (Some(operation), Method::POST, "POST"),
        // It is read as a request for a chat.
        Path::Count => (Some(Operation::Chat), Method::POST, "POST"),
        Path::Models | Path::Model(_) => (None, Method::GET, "GET"),
    };
    if *request.method() != method {
        worker.meter.refused(operation, Refusal::NotFound);
        return (teller.method_not_allowed(method_name), form);
    }
    let plan = worker.plan.load_full();
    let now_unix = worker.now_unix();
    let caller: &Caller = match authenticate(&plan.keys, request.headers(), now_unix) {
        Ok(caller) => caller,
        Err(why) => {
            worker.meter.refused(operation, Refusal::Unauthenticated);
            return (teller.unauthenticated(why), form);
        }
    };
    let response = match path {
        Path::Models => models::list(&plan, caller, form, request.uri().query()),
        Path::Model(id) => models::one(&plan, caller, id, teller),
        Path::Operation(_) | Path::Count => {
            let head = Head {
                worker,
                active,
                plan: &plan,
                caller,
                operation: operation.unwrap_or(Operation::Chat),
                counts: matches!(path, Path::Count),
                teller,
                received,
                now_unix: now_unix.unsigned_abs(),
            };
            head.serve(request).await
        }
    };
    (response, form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_paths_of_the_api_are_known() {
        for operation in Operation::ALL {
            let full = format!("/v1{}", operation.path());
            assert!(matches!(path(&full), Some(Path::Operation(found)) if found == operation));
        }
        assert!(matches!(path("/v1/tokens/count"), Some(Path::Count)));
        assert!(matches!(path("/v1/models"), Some(Path::Models)));
        assert!(matches!(path("/v1/models/org%2Fm"), Some(Path::Model("org%2Fm"))));
        for other in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v1/models/",
            "/v1/tokens",
            "/v1/modelsx",
            "/chat/completions",
            "/v1/chat/completions/",
            "/v1/messages/batches",
            "/v1/responses/resp_1",
        ] {
            assert!(path(other).is_none(), "{other}");
        }
    }
}
