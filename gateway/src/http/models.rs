//! `GET /v1/models` and `GET /v1/models/{id}`.

use bytes::Bytes;
use http::Response;
use serde::Serialize;

use super::errors;
use crate::plan::{ModelEntry, Plan, Tenant};
use crate::relay::GatewayBody;

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    /// OpenAI's clients want a time; this is when the gateway first served the model.
    created: u64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

impl<'a> From<ModelEntry<'a>> for Model<'a> {
    fn from(entry: ModelEntry<'a>) -> Self {
        Self {
            id: entry.id,
            object: "model",
            created: entry.since_unix,
            owned_by: entry.owned_by,
        }
    }
}

/// The models that a tenant may ask for.
pub fn list(plan: &Plan, tenant: &Tenant) -> Response<GatewayBody> {
    let data = plan.models(tenant).into_iter().map(Model::from).collect();
    answer(&List { object: "list", data })
}

/// One of them. The id stands percent-encoded in a path, as some have slashes.
pub fn one(plan: &Plan, tenant: &Tenant, id_in_path: &str) -> Response<GatewayBody> {
    let id = percent_decoded(id_in_path);
    match id.as_deref().and_then(|id| plan.model(tenant, id)) {
        Some(entry) => answer(&Model::from(entry)),
        None => errors::model_not_found(id.as_deref().unwrap_or(id_in_path)),
    }
}

fn answer(value: &impl Serialize) -> Response<GatewayBody> {
    // Strings and integers always serialise.
    errors::json(serde_json::to_vec(value).map(Bytes::from).unwrap_or_default())
}

/// `None` if it is not UTF-8 or has a broken escape.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            rest = tail;
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_a_path_is_decoded_and_nonsense_is_refused() {
        assert_eq!(percent_decoded("org%2Fmodel-1").as_deref(), Some("org/model-1"));
        assert_eq!(percent_decoded("gr%C3%BCn").as_deref(), Some("grün"));
        for nonsense in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decoded(nonsense), None, "{nonsense}");
        }
    }
}
