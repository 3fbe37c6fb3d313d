//! Embeddings by InvokeModel: Titan's and Cohere's bodies, by the model's name.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenweir_llm::tokens::estimate;

use super::super::fields::{Fields, Mistake};
use crate::answer::{id, vector};
use crate::behaviour::hash;

/// What Titan can do.
const TITAN_DIMENSIONS: [usize; 3] = [256, 512, 1024];
/// As many texts as Cohere takes at once.
const MOST: usize = 96;
/// The largest vectors of Cohere.
const COHERE_DIMENSIONS: usize = 1536;

/// Answers a request. The model is the one of the path.
pub(in super::super) fn vectors(fields: Fields<'_>, model: &str, seed: u64) -> Result<Bytes, Mistake> {
    let answer = if model.contains("cohere") {
        cohere(fields, seed)?
    } else if model.contains("titan-embed") {
        titan(fields, seed)?
    } else {
        let why = "InvokeModel is there for the embeddings of Titan and Cohere alone; use Converse";
        return Err(Mistake::new("", why));
    };
    Ok(answer.to_string().into())
}

fn titan(mut fields: Fields<'_>, seed: u64) -> Result<Value, Mistake> {
    let text: String = fields.required("inputText")?;
    let dimensions: usize = fields.optional("dimensions")?.unwrap_or(1024);
    if !TITAN_DIMENSIONS.contains(&dimensions) {
        let why = "Malformed input request: it must be 256, 512 or 1024";
        return Err(Mistake::new("dimensions", why));
    }
    fields.optional::<bool>("normalize")?;
    let types: Option<Vec<String>> = fields.optional("embeddingTypes")?;
    fields.finish()?;
    let vector = vector(&text, seed, dimensions);
    let mut answer = json!({"embedding": vector, "inputTextTokenCount": estimate(&text)});
    if types.is_some_and(|types| types.iter().any(|kind| kind == "float")) {
        answer["embeddingsByType"] = json!({"float": vector});
    }
    Ok(answer)
}

fn cohere(mut fields: Fields<'_>, seed: u64) -> Result<Value, Mistake> {
    let texts: Vec<String> = fields.required("texts")?;
    let kind: String = fields.required("input_type")?;
    if !matches!(
        kind.as_str(),
        "search_document" | "search_query" | "classification" | "clustering"
    ) {
        let why = format!("Malformed input request: {kind} is not a valid enum value");
        return Err(Mistake::new("input_type", why));
    }
    if !(1..=MOST).contains(&texts.len()) {
        let why = format!("Malformed input request: expected from 1 to {MOST} items");
        return Err(Mistake::new("texts", why));
    }
    let types: Option<Vec<String>> = fields.optional("embedding_types")?;
    fields.optional::<String>("truncate")?;
    let dimensions: usize = fields.optional("output_dimension")?.unwrap_or(1024);
    if !(1..=COHERE_DIMENSIONS).contains(&dimensions) {
        let why = "Malformed input request: not a dimension of this model";
        return Err(Mistake::new("output_dimension", why));
    }
    fields.finish()?;
    let vectors: Vec<_> = texts.iter().map(|text| vector(text, seed, dimensions)).collect();
    let (kind, embeddings) = match types {
        Some(_) => ("embeddings_by_type", json!({"float": vectors})),
        None => ("embeddings_floats", json!(vectors)),
    };
    let id = id(hash(seed, texts.concat().as_bytes()));
    Ok(json!({"id": id, "texts": texts, "response_type": kind, "embeddings": embeddings}))
}
