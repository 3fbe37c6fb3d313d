//! Whether a request brings what its API wants: a key, a token, a signature.

use http::HeaderMap;
use http::request::Parts;
use tokenweir_llm::ErrorKind;

use super::bedrock;
use super::refusal::Refusal;
use super::route::{Api, parameter};
use crate::state::{State, bearer};

/// Refuses a request without a valid key, if keys are required. `body` is what a signature covers.
pub(super) fn authenticate(state: &State, api: Api, parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if api == Api::Bedrock {
        return signed(state, parts, body);
    }
    if let (Api::Vertex, Some(account)) = (api, &state.account) {
        return if bearer(headers).is_some_and(|token| account.knows(token)) {
            Ok(())
        } else {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
            Err(Refusal::new(ErrorKind::Unauthenticated, message))
        };
    }
    let query;
    let given = match api {
        Api::OpenAi | Api::Vertex | Api::Bedrock => bearer(headers),
        Api::Azure => plain(headers, "api-key").or_else(|| bearer(headers)),
        Api::Anthropic => plain(headers, "x-api-key").or_else(|| bearer(headers)),
        Api::Google => {
            query = parameter(parts.uri.query(), "key");
            plain(headers, "x-goog-api-key")
                .or(query.as_deref())
                .or_else(|| bearer(headers))
        }
    };
    if state.keys.allow(given) {
        return Ok(());
    }
    let message = match api {
        Api::Anthropic => "invalid x-api-key",
        Api::Azure => "Access denied due to invalid subscription key or wrong API endpoint.",
        Api::Google | Api::Vertex => "API key not valid. Please pass a valid API key.",
        Api::OpenAi | Api::Bedrock => "Incorrect API key provided.",
    };
    Err(Refusal::new(ErrorKind::Unauthenticated, message))
}

/// Amazon takes a signature, or one of its API keys as a bearer token. Where neither is configured, a signature must
/// only look like one.
fn signed(state: &State, parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
    let refuse = |message: &str| Refusal::new(ErrorKind::Forbidden, message);
    let required = state.keys.are_required();
    match bearer(&parts.headers) {
        Some(key) if required && state.keys.allow(Some(key)) => return Ok(()),
        Some(_) if !required && state.aws.is_none() => return Ok(()),
        Some(_) => return Err(refuse("Invalid API Key format: Must start with pre-defined prefix")),
        None => {}
    }
    let unsigned = !parts.headers.contains_key(http::header::AUTHORIZATION);
    match &state.aws {
        None if required => Err(refuse("Missing Authentication Token")),
        None if unsigned => Ok(()),
        keys => bedrock::verify(parts, body, keys.as_ref()).map_err(|error| refuse(&error.to_string())),
    }
}

fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
