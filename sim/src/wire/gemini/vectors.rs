//! Embeddings: `batchEmbedContents` and `embedContent` of Gemini, `predict` of Vertex AI.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenweir_llm::tokens::estimate;

use super::super::fields::{Fields, Item, Mistake};
use super::super::route::Vectors;
use super::request::refuse_unknown;
use crate::answer::vector;

/// As many texts as Google takes at once.
const MOST: usize = 250;
/// The dimensions of Google's largest model.
const MAX_DIMENSIONS: usize = 3072;

/// Answers a request. The model is the one of the path.
pub(in super::super) fn vectors(
    mut fields: Fields<'_>,
    kind: Vectors,
    model: &str,
    seed: u64,
    usual: usize,
) -> Result<Bytes, Mistake> {
    let answer = match kind {
        Vectors::Batch => {
            let requests = fields.list("requests")?;
            bounded(requests.len(), "requests")?;
            let embeddings: Result<Vec<Value>, Mistake> = requests
                .iter()
                .map(|item| {
                    let mut request = item.fields()?;
                    let named: String = request.required("model")?;
                    if named.strip_prefix("models/") != Some(model) {
                        let why = "the model of each request must be the model of the path";
                        return Err(Mistake::new(request.place("model"), why));
                    }
                    embed(request, seed, usual)
                })
                .collect();
            refuse_unknown(fields)?;
            json!({"embeddings": embeddings?})
        }
        Vectors::One => {
            fields.ignore(&["model"]);
            json!({"embedding": embed(fields, seed, usual)?})
        }
        Vectors::Predict => predict(fields, seed, usual)?,
        Vectors::OpenAi | Vectors::Invoke => return Err(Mistake::new("", "not an operation of Google's")),
    };
    Ok(answer.to_string().into())
}

fn bounded(count: usize, at: &str) -> Result<(), Mistake> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        format!("from 1 to {MOST} are allowed at once, not {count}"),
    ))
}

fn embed(mut request: Fields<'_>, seed: u64, usual: usize) -> Result<Value, Mistake> {
    let mut content = request.object("content")?.ok_or_else(|| request.missing("content"))?;
    content.ignore(&["role"]);
    let mut text = String::new();
    for part in content.list("parts")? {
        let mut part = part.fields()?;
        text.push_str(&part.required::<String>("text")?);
        refuse_unknown(part)?;
    }
    refuse_unknown(content)?;
    let dimensions = dimensions(request.item("outputDimensionality"), usual)?;
    request.optional::<String>("taskType")?;
    request.optional::<String>("title")?;
    refuse_unknown(request)?;
    Ok(json!({"values": vector(&text, seed, dimensions)}))
}

fn predict(mut fields: Fields<'_>, seed: u64, usual: usize) -> Result<Value, Mistake> {
    let mut wanted = usual;
    if let Some(mut parameters) = fields.object("parameters")? {
        wanted = dimensions(parameters.item("outputDimensionality"), usual)?;
        parameters.optional::<bool>("autoTruncate")?;
        refuse_unknown(parameters)?;
    }
    let instances = fields.list("instances")?;
    bounded(instances.len(), "instances")?;
    refuse_unknown(fields)?;
    let predictions: Result<Vec<Value>, Mistake> = instances
        .iter()
        .map(|item| {
            let mut instance = item.fields()?;
            let text: String = instance.required("content")?;
            instance.optional::<String>("task_type")?;
            instance.optional::<String>("title")?;
            refuse_unknown(instance)?;
            let statistics = json!({"truncated": false, "token_count": estimate(&text)});
            Ok(json!({"embeddings": {"values": vector(&text, seed, wanted), "statistics": statistics}}))
        })
        .collect();
    Ok(json!({"predictions": predictions?}))
}

fn dimensions(given: Option<Item<'_>>, usual: usize) -> Result<usize, Mistake> {
    let Some(given) = given else { return Ok(usual) };
    let dimensions: usize = given.parse()?;
    if (1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Ok(dimensions);
    }
    Err(given.mistake(format!("must be from 1 to {MAX_DIMENSIONS}")))
}
