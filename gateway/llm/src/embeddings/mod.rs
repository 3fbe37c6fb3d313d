//! OpenAI's embeddings in front of providers that have them in other words.
//!
//! | field | Gemini | Vertex AI | Titan | Cohere |
//! |---|---|---|---|---|
//! | `input`, one text | yes | yes | yes | yes |
//! | `input`, several texts | yes | yes | a request for each | yes |
//! | `input`, tokens | no | no | no | no |
//! | `dimensions` | yes | yes | yes | v4 and later |
//! | `encoding_format` | here | here | here | here |
//! | `task_type` | yes | yes | no | no |
//! | `input_type` | no | no | no | yes, else `search_document` |
//! | all others | no | no | no | no |
//!
//! What a provider does not have is reported, as it is for conversations. `encoding_format` is answered here, since the
//! providers give floats and OpenAI's own packages ask for `base64` unless they are told otherwise.
//!
//! Where a provider does not say its tokens, the client reads an estimate, and [`Usage`] stays empty.

mod answer;
mod request;

pub use request::{Embed, Encoding, Input};

use crate::Usage;
use crate::conversation::{Report, Unsupported};
use crate::dialect::{
    AnswerError, ChatCompletions, ClientDialect as _, Converse, Gemini, ProviderError, ProviderWire as _,
};

/// What a provider of embeddings speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmbeddingsWire {
    /// Google's Gemini API: `batchEmbedContents`.
    Gemini,
    /// Google's Vertex AI: `predict`.
    Vertex,
    /// Amazon Titan on Bedrock: `invoke`.
    Titan,
    /// Cohere on Bedrock: `invoke`.
    Cohere,
}

impl EmbeddingsWire {
    /// What a model on Bedrock speaks, by its id; `None` for one that has no embeddings, or whose form is not known.
    pub fn of_bedrock(model: &str) -> Option<Self> {
        if model.contains("amazon.titan-embed-text") {
            Some(Self::Titan)
        } else if model.contains("cohere.embed") {
            Some(Self::Cohere)
        } else {
            None
        }
    }

    /// The wire's name for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gemini => "Google Gemini",
            Self::Vertex => "Google Vertex AI",
            Self::Titan => "Amazon Titan",
            Self::Cohere => "Cohere on Amazon Bedrock",
        }
    }

    /// Writes one request for a model. What the wire has no place for is an error, unless it is to be dropped; an input
    /// cannot be dropped, and more texts than go into one request are an input that cannot be said.
    pub fn request(self, embed: &Embed, model: &str, drop_unsupported: bool) -> Result<Vec<u8>, Unsupported> {
        let (mut bodies, missing) = self.write(embed, model)?;
        match (bodies.pop(), missing) {
            (_, Some(unsupported)) if !drop_unsupported => Err(unsupported),
            (Some(body), _) if bodies.is_empty() => Ok(body),
            _ => Err(self.wordless()),
        }
    }

    /// Writes requests for a model without what the wire has no place for, and says what that is, if there is any. There is
    /// one request, but for Titan, which takes a text at a time: as many as there are texts, in their order, up to 2,048. An error
    /// if it is an input that the wire has no place for, without which there is no request.
    pub fn write(self, embed: &Embed, model: &str) -> Result<(Vec<Vec<u8>>, Option<Unsupported>), Unsupported> {
        let mut report = Report::about(self.name());
        let bodies = request::write(self, embed, model, &mut report).ok_or_else(|| self.wordless())?;
        Ok((bodies, report.finish().err()))
    }

    fn wordless(self) -> Unsupported {
        Unsupported {
            fields: vec!["input".into()],
            target: self.name(),
        }
    }

    /// Translates the answer to one request; also says what it has cost.
    pub fn answer(self, body: &[u8], embed: &Embed) -> Result<(Vec<u8>, Usage), AnswerError> {
        self.answers(&[body], embed)
    }

    /// Translates the answers to all that [`Self::write`] has written, in their order, into one.
    pub fn answers<B: AsRef<[u8]>>(self, bodies: &[B], embed: &Embed) -> Result<(Vec<u8>, Usage), AnswerError> {
        answer::translate(self, bodies, embed)
    }

    /// Translates an answer with an error status.
    pub fn error(self, status: u16, body: &[u8]) -> (ProviderError, Vec<u8>) {
        let error = match self {
            Self::Gemini | Self::Vertex => Gemini::read_error(status, body),
            Self::Titan | Self::Cohere => Converse::read_error(status, body),
        };
        let body = ChatCompletions::write_error(&error);
        (error, body)
    }
}
