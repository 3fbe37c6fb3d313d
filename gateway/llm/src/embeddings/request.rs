//! Requests: read from OpenAI's form, written in the provider's.

use serde::Serialize;
use serde_json::value::RawValue;

use super::EmbeddingsWire;
use crate::RequestError;
use crate::conversation::{Extra, Named, Report};
use crate::dialect::json::{Fields, encode, list, text};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Embed {
    /// The model's name, as the client asked for it.
    pub model: String,
    /// What to embed.
    pub input: Input,
    /// How the client reads vectors.
    pub encoding: Encoding,
    /// The length of the vectors.
    pub dimensions: Option<Named<u64>>,
    /// Google's name for what they are for: `RETRIEVAL_QUERY`.
    pub task_type: Option<Named<String>>,
    /// Cohere's: `search_query`.
    pub input_type: Option<Named<String>>,
    /// All other fields.
    pub extras: Vec<Extra>,
}

/// What is to be embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Texts; never empty.
    Texts(Vec<String>),
    /// Tokens of OpenAI's models, which no other provider can read.
    Tokens,
}

impl Input {
    /// The texts; none for tokens.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Texts(texts) => texts,
            Self::Tokens => &[],
        }
    }
}

/// How a client reads vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As base64 of the numbers' bytes, 32 bits each, the lowest byte first.
    Base64,
}

impl Embed {
    /// Reads a request of OpenAI's form.
    pub fn read(body: &[u8]) -> Result<Self, RequestError> {
        let mut top = Fields::of_body(body)?;
        let named = |field, value: Option<String>| value.map(|value| Named::new(field, value));
        let model = top.string("model")?.ok_or(RequestError::Missing { field: "model" })?;
        let input = top.take("input")?.ok_or(RequestError::Missing { field: "input" })?;
        let encoding = match top.string("encoding_format")?.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(top.wrong("encoding_format", "'float' or 'base64'")),
        };
        let mut embed = Self {
            model,
            input: read_input(input)
                .ok_or_else(|| top.wrong("input", "a string or an array of strings or of tokens"))?,
            encoding,
            dimensions: top.count("dimensions")?.map(|value| Named::new("dimensions", value)),
            task_type: named("task_type", top.string("task_type")?),
            input_type: named("input_type", top.string("input_type")?),
            extras: Vec::new(),
        };
        top.rest(&mut embed.extras);
        Ok(embed)
    }
}

fn read_input(input: &RawValue) -> Option<Input> {
    if let Some(one) = text(input) {
        return Some(Input::Texts(vec![one]));
    }
    let several = list(input)?;
    // A list of numbers is one input of tokens, a list of lists several of them.
    if several
        .first()?
        .get()
        .starts_with(|c: char| c.is_ascii_digit() || c == '[')
    {
        return Some(Input::Tokens);
    }
    several.into_iter().map(text).collect::<Option<_>>().map(Input::Texts)
}

#[derive(Serialize)]
struct BatchEmbedContents<'a> {
    requests: Vec<EmbedContent<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContent<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Predict<'a> {
    instances: Vec<Instance<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
}

#[derive(Serialize)]
struct Instance<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    output_dimensionality: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Titan<'a> {
    input_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u64>,
}

#[derive(Serialize)]
struct Cohere<'a> {
    texts: &'a [String],
    input_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u64>,
}

/// Most requests that are made of one: as many texts as OpenAI itself takes. Without a bound a small body could ask for
/// millions.
const MOST_REQUESTS: usize = 2_048;

/// The bodies of all requests that it takes; `None` if the input itself cannot be said.
pub(super) fn write(wire: EmbeddingsWire, embed: &Embed, model: &str, report: &mut Report) -> Option<Vec<Vec<u8>>> {
    for extra in &embed.extras {
        report.add(extra.field.clone());
    }
    let google = matches!(wire, EmbeddingsWire::Gemini | EmbeddingsWire::Vertex);
    if let Some(task) = embed.task_type.as_ref().filter(|_| !google) {
        report.add(task.field);
    }
    if let Some(kind) = embed.input_type.as_ref().filter(|_| wire != EmbeddingsWire::Cohere) {
        report.add(kind.field);
    }
    let Input::Texts(texts) = &embed.input else {
        return None;
    };
    let dimensions = embed.dimensions.map(|dimensions| dimensions.value);
    let task_type = embed.task_type.as_ref().map(|task| task.value.as_str());
    let body = match wire {
        EmbeddingsWire::Gemini => {
            let model = format!("models/{model}");
            let requests = texts.iter().map(|text| EmbedContent {
                model: &model,
                content: Content { parts: [Part { text }] },
                task_type,
                output_dimensionality: dimensions,
            });
            encode(&BatchEmbedContents {
                requests: requests.collect(),
            })
        }
        EmbeddingsWire::Vertex => encode(&Predict {
            instances: texts.iter().map(|content| Instance { content, task_type }).collect(),
            parameters: dimensions.map(|output_dimensionality| Parameters { output_dimensionality }),
        }),
        EmbeddingsWire::Titan => {
            if texts.len() > MOST_REQUESTS {
                return None;
            }
            let each = texts.iter().map(|input_text| encode(&Titan { input_text, dimensions }));
            return Some(each.collect());
        }
        EmbeddingsWire::Cohere => {
            let output_dimension = dimensions.filter(|_| takes_dimensions(model));
            if let Some(given) = embed.dimensions
                && output_dimension.is_none()
            {
                report.add(given.field);
            }
            encode(&Cohere {
                texts,
                // Cohere demands one; documents are what most embeddings are made of.
                input_type: embed.input_type.as_ref().map_or("search_document", |kind| &kind.value),
                output_dimension,
            })
        }
    };
    Some(vec![body])
}

/// `cohere.embed-v4:0` does; `cohere.embed-english-v3` and its like do not.
fn takes_dimensions(model: &str) -> bool {
    !model.ends_with("-v3") && !model.contains("-v3:")
}
