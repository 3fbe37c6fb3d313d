//! `GET /v1/models` and `GET /v1/models/{id}`, in the form of OpenAI or of Anthropic.

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use tokenweir_llm::ErrorForm;

use super::errors::{self, Teller};
use crate::plan::{Caller, ModelEntry, Plan};
use crate::relay::GatewayBody;

/// Most entries on one page in Anthropic's form, as its API has it. It is the default here too: a client that asks for
/// one page only gets all that there is.
const MAX_PAGE: usize = 1000;

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

#[derive(Serialize)]
struct AnthropicModel<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: &'a [AnthropicModel<'a>],
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

impl<'a> From<ModelEntry<'a>> for AnthropicModel<'a> {
    fn from(entry: ModelEntry<'a>) -> Self {
        let since = i64::try_from(entry.since_unix).ok();
        let created = since.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        Self {
            r#type: "model",
            id: entry.id,
            display_name: entry.id,
            // Beyond the year 9999, which only a broken clock can say, the beginning of time is as good.
            created_at: created.unwrap_or_default().to_string(),
        }
    }
}

/// The models that a key may be used to ask.
pub fn list(plan: &Plan, caller: &Caller, form: ErrorForm, query: Option<&str>) -> Response<GatewayBody> {
    let entries = plan.models(|id| caller.may_see(id));
    match form {
        ErrorForm::OpenAi => {
            let data = entries.into_iter().map(Model::from).collect();
            answer(&List { object: "list", data })
        }
        ErrorForm::Anthropic => {
            let all: Vec<AnthropicModel<'_>> = entries.into_iter().map(AnthropicModel::from).collect();
            let ids: Vec<&str> = all.iter().map(|model| model.id).collect();
            let (page, has_more) = page(&ids, query.unwrap_or_default());
            let data = &all[page];
            answer(&AnthropicList {
                data,
                has_more,
                first_id: data.first().map(|model| model.id),
                last_id: data.last().map(|model| model.id),
            })
        }
    }
}

/// The part of a list that `limit`, `after_id` and `before_id` of a query ask for, and whether there is more behind it
/// (before it, for `before_id`). An id that is not in the list is no bound, and a limit that is none is not one.
fn page(ids: &[&str], query: &str) -> (std::ops::Range<usize>, bool) {
    let (mut limit, mut start, mut end, mut backward) = (MAX_PAGE, 0, ids.len(), false);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let at = || ids.iter().position(|id| *id == value);
        match &*name {
            "limit" => limit = value.parse().unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE),
            "after_id" => start = at().map_or(0, |at| at + 1),
            "before_id" => {
                end = at().unwrap_or(ids.len());
                backward = true;
            }
            _ => {}
        }
    }
    let end = end.max(start);
    if backward {
        let from = end.saturating_sub(limit).max(start);
        (from..end, from > start)
    } else {
        let to = end.min(start + limit);
        (start..to, to < end)
    }
}

/// One of them. The id stands percent-encoded in a path, as some have slashes.
pub fn one(plan: &Plan, caller: &Caller, id_in_path: &str, teller: Teller<'_>) -> Response<GatewayBody> {
    let id = percent_decoded(id_in_path);
    let seen = id.as_deref().filter(|id| caller.may_see(id));
    match (seen.and_then(|id| plan.model(id)), teller.form) {
        (Some(entry), ErrorForm::OpenAi) => answer(&Model::from(entry)),
        (Some(entry), ErrorForm::Anthropic) => answer(&AnthropicModel::from(entry)),
        (None, _) => teller.model_not_found(id.as_deref().unwrap_or(id_in_path)),
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
    fn pages_are_cut_as_anthropics_clients_ask_for_them() {
        let ids = ["a", "b", "c", "d"];
        for (query, range, more) in [
            ("", 0..4, false),
            ("limit=3", 0..3, true),
            ("limit=2&after_id=b", 2..4, false),
            ("limit=2&before_id=d", 1..3, true),
            ("before_id=c", 0..2, false),
            ("after_id=d", 4..4, false),
            ("after_id=unknown&limit=0", 0..1, true),
            ("limit=many&before_id=a", 0..0, false),
            ("after_id=d&before_id=a", 4..4, false),
        ] {
            assert_eq!(page(&ids, query), (range, more), "{query}");
        }
    }

    #[test]
    fn an_id_in_a_path_is_decoded_and_nonsense_is_refused() {
        assert_eq!(percent_decoded("org%2Fmodel-1").as_deref(), Some("org/model-1"));
        assert_eq!(percent_decoded("gr%C3%BCn").as_deref(), Some("grün"));
        for nonsense in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decoded(nonsense), None, "{nonsense}");
        }
    }
}
