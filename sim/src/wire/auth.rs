//! Whether a request brings a key that is valid, where its API wants it.

use http::HeaderMap;
use http::request::Parts;
use tokenweir_llm::ErrorKind;

use super::refusal::Refusal;
use super::route::Api;
use crate::state::{State, bearer};

/// Refuses a request without a valid key, if keys are required.
pub(super) fn authenticate(state: &State, api: Api, parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let given = match api {
        Api::OpenAi => bearer(headers),
        Api::Azure => plain(headers, "api-key").or_else(|| bearer(headers)),
        Api::Anthropic => plain(headers, "x-api-key").or_else(|| bearer(headers)),
    };
    if state.keys.allow(given) {
        return Ok(());
    }
    let message = match api {
        Api::Anthropic => "invalid x-api-key",
        Api::Azure => "Access denied due to invalid subscription key or wrong API endpoint.",
        Api::OpenAi => "Incorrect API key provided.",
    };
    Err(Refusal::new(ErrorKind::Unauthenticated, message))
}

fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
