//! Log probabilities, in OpenAI's form.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::conversation::Json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    #[serde(default)]
    chosen_candidates: Vec<Candidate>,
    #[serde(default)]
    top_candidates: Vec<Top>,
}

#[derive(Deserialize)]
struct Top {
    #[serde(default)]
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    token: String,
    #[serde(default)]
    log_probability: f64,
}

#[derive(Serialize)]
struct OfAnswer<'a> {
    content: Vec<OfToken<'a>>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct OfToken<'a> {
    #[serde(flatten)]
    token: Named<'a>,
    top_logprobs: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    token: &'a str,
    logprob: f64,
    bytes: &'a [u8],
}

impl Candidate {
    fn write(&self) -> Named<'_> {
        Named {
            token: &self.token,
            logprob: self.log_probability,
            bytes: self.token.as_bytes(),
        }
    }
}

/// What the provider says, if it can be read. That it cannot is no reason to withhold the answer.
pub(super) fn read(raw: &RawValue) -> Option<Json> {
    let result: Result = serde_json::from_str(raw.get()).ok()?;
    let content = result
        .chosen_candidates
        .iter()
        .enumerate()
        .map(|(n, chosen)| OfToken {
            token: chosen.write(),
            top_logprobs: result
                .top_candidates
                .get(n)
                .map(|top| top.candidates.iter().map(Candidate::write).collect())
                .unwrap_or_default(),
        })
        .collect();
    serde_json::value::to_raw_value(&OfAnswer { content, refusal: None }).ok()
}
