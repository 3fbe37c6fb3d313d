//! `POST /v1/tokens/count`: how many tokens a chat request has, without asking anybody.

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use tokenweir_llm::dialect::Client;
use tokenweir_llm::tokens::estimate_input;
use tokenweir_llm::translate::read_request;
use tokenweir_llm::{Peek, RequestError};
use tokenweir_tokens::{Counted, Encoding, count};

use super::errors;
use crate::admission::BackendSet;
use crate::plan::Route;
use crate::relay::GatewayBody;

/// The largest body that is counted with an encoding, in bytes: that takes a worker up to some 15 ms, during which it does
/// nothing else. The estimate, which is ten times as fast, counts larger ones.
pub const COUNTED_BYTES: usize = 256 * 1024;

#[derive(Serialize)]
struct Count {
    input_tokens: u64,
    exact: bool,
    encoding: &'static str,
}

/// Counts a request for the first of the usable backends.
pub fn answer(peek: &Peek, route: &Route, usable: BackendSet) -> Result<Response<GatewayBody>, RequestError> {
    let first = usize::try_from(usable.trailing_zeros()).unwrap_or(usize::MAX);
    let backend = route.backends.get(first);
    let model = backend
        .and_then(|backend| backend.model(peek.model()))
        .unwrap_or(peek.model());
    let request = read_request(Client::ChatCompletions, &peek.body().to_bytes())?;
    let counted = if peek.body().len() <= COUNTED_BYTES {
        count(&request, model)
    } else {
        Counted {
            tokens: estimate_input(&request),
            exact: false,
            encoding: None,
        }
    };
    let count = Count {
        input_tokens: counted.tokens,
        exact: counted.exact,
        encoding: counted.encoding.map_or("estimate", Encoding::name),
    };
    // Strings and integers always serialise.
    Ok(errors::json(
        serde_json::to_vec(&count).map(Bytes::from).unwrap_or_default(),
    ))
}
