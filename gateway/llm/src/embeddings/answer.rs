//! Answers: read in the provider's form, written in OpenAI's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Embed, EmbeddingsWire, Encoding};
use crate::Usage;
use crate::dialect::AnswerError;
use crate::dialect::json::encode;
use crate::tokens;

/// Vectors as they were written, and the tokens where the provider says them.
struct Vectors<'a> {
    vectors: Vec<&'a RawValue>,
    tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfGemini<'a> {
    #[serde(borrow)]
    embeddings: Vec<Values<'a>>,
    usage_metadata: Option<GeminiUsage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiUsage {
    prompt_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[derive(Deserialize)]
struct OfVertex<'a> {
    #[serde(borrow)]
    predictions: Vec<Prediction<'a>>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Counted<'a>,
}

#[derive(Deserialize)]
struct Counted<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    token_count: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfTitan<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
    input_text_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct OfCohere<'a> {
    #[serde(borrow)]
    embeddings: CohereEmbeddings<'a>,
}

/// A list of vectors, or lists of them by type.
#[derive(Deserialize)]
#[serde(transparent)]
struct CohereEmbeddings<'a> {
    #[serde(borrow)]
    raw: &'a RawValue,
}

#[derive(Deserialize)]
struct ByType<'a> {
    #[serde(borrow)]
    float: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: WireUsage,
}

#[derive(Serialize)]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Float(&'a RawValue),
    Base64(String),
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(super) fn translate<B: AsRef<[u8]>>(
    wire: EmbeddingsWire,
    bodies: &[B],
    embed: &Embed,
) -> Result<(Vec<u8>, Usage), AnswerError> {
    let malformed = |why: String| AnswerError::Malformed { wire: wire.name(), why };
    let answers: Vec<Vectors<'_>> = bodies
        .iter()
        .map(|body| read(wire, body.as_ref()).map_err(|error| malformed(error.to_string())))
        .collect::<Result<_, _>>()?;
    // Only where all of them say it, it is known what they have cost together.
    let tokens: Option<u64> = answers
        .iter()
        .map(|answer| answer.tokens)
        .try_fold(0_u64, |sum, tokens| Some(sum.saturating_add(tokens?)));
    let vectors: Vec<&RawValue> = answers.into_iter().flat_map(|answer| answer.vectors).collect();
    let texts = embed.input.texts();
    if vectors.len() != texts.len() {
        return Err(malformed(format!(
            "it has {} vectors for {} inputs",
            vectors.len(),
            texts.len()
        )));
    }
    let data = vectors
        .into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let numbers: Vec<f32> = serde_json::from_str(raw.get())
                .map_err(|error| malformed(format!("vector {index} is not one: {error}")))?;
            let vector = match embed.encoding {
                Encoding::Float => Vector::Float(raw),
                Encoding::Base64 => {
                    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    Vector::Base64(STANDARD.encode(bytes))
                }
            };
            Ok(Embedding {
                object: "embedding",
                index,
                vector,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let shown = tokens.unwrap_or_else(|| texts.iter().map(|text| tokens::estimate(text)).sum());
    let list = List {
        object: "list",
        data,
        model: &embed.model,
        usage: WireUsage {
            prompt_tokens: shown,
            total_tokens: shown,
        },
    };
    let usage = Usage {
        prompt_tokens: tokens,
        total_tokens: tokens,
        ..Usage::default()
    };
    Ok((encode(&list), usage))
}

fn read(wire: EmbeddingsWire, body: &[u8]) -> Result<Vectors<'_>, serde_json::Error> {
    Ok(match wire {
        EmbeddingsWire::Gemini => {
            let answer: OfGemini<'_> = serde_json::from_slice(body)?;
            Vectors {
                vectors: answer
                    .embeddings
                    .into_iter()
                    .map(|embedding| embedding.values)
                    .collect(),
                tokens: answer.usage_metadata.and_then(|usage| usage.prompt_token_count),
            }
        }
        EmbeddingsWire::Vertex => {
            let answer: OfVertex<'_> = serde_json::from_slice(body)?;
            let counts = answer.predictions.iter().map(|prediction| {
                let count = prediction.embeddings.statistics.as_ref()?.token_count?;
                // Counts come as floats, since they pass through a generic structure; a strange one is none.
                format!("{count:.0}").parse::<u64>().ok()
            });
            Vectors {
                tokens: counts.sum(),
                vectors: answer
                    .predictions
                    .into_iter()
                    .map(|prediction| prediction.embeddings.values)
                    .collect(),
            }
        }
        EmbeddingsWire::Titan => {
            let answer: OfTitan<'_> = serde_json::from_slice(body)?;
            Vectors {
                vectors: vec![answer.embedding],
                tokens: answer.input_text_token_count,
            }
        }
        EmbeddingsWire::Cohere => {
            let answer: OfCohere<'_> = serde_json::from_slice(body)?;
            let raw = answer.embeddings.raw.get();
            let vectors = if raw.starts_with('{') {
                serde_json::from_str::<ByType<'_>>(raw)?.float
            } else {
                serde_json::from_str(raw)?
            };
            Vectors { vectors, tokens: None }
        }
    })
}
