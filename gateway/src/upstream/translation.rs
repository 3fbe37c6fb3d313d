//! A request in the words of a provider that speaks another dialect than the client, and its answer the way back.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header;
use tokenweir_llm::conversation::{Request, Unsupported};
use tokenweir_llm::dialect::{ChatFlavor, Client, Context, Messages, Target, Wire};
use tokenweir_llm::embeddings::{Embed, EmbeddingsWire};
use tokenweir_llm::tokens::estimate_input;
use tokenweir_llm::translate::{StreamTranslation, Translation, read_request};
use tokenweir_llm::{ErrorKind, OpenAiError, Operation, Pieces, RequestError, Usage};
use tokenweir_tokens::count;

use super::answer::{Answer, AnswerBody, JSON};
use super::outgoing::{Outgoing, Prepared};
use crate::http::COUNTED_BYTES;
use crate::meter::UpstreamErrorKind;

/// What stands between a client and a provider that have different words for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// A conversation: the client's dialect and the provider's.
    Conversation(Client, Wire),
    /// OpenAI's embeddings, and the provider's.
    Embeddings(EmbeddingsWire),
}

impl Pair {
    /// A request whose body is in the provider's words.
    pub(super) fn prepared(self, model: &str, written: Written) -> Prepared<'_> {
        let operation = match self {
            Self::Embeddings(_) => Operation::Embeddings,
            Self::Conversation(_, Wire::Messages) => Operation::Messages,
            // The paths of clouds only tell embeddings from answers.
            Self::Conversation(_, Wire::ChatCompletions | Wire::Converse | Wire::Gemini) => Operation::Chat,
        };
        Prepared {
            operation,
            model,
            body: written.body.into(),
            more: written.more,
            translated: Some(self),
            dropped: written.dropped,
        }
    }

    /// The body of a provider's error in the client's words. `request_id` is for Anthropic's clients, which look for it in
    /// the body.
    pub fn error(self, status: u16, body: &[u8], request_id: &str) -> Option<Bytes> {
        let body = match self {
            Self::Embeddings(wire) => wire.error(status, body).1,
            Self::Conversation(client, wire) => {
                let (told, body) = Translation::new(client, wire)?.error(status, body);
                match client {
                    Client::Messages => Messages::write_error_of(&told, request_id),
                    Client::ChatCompletions | Client::Completions | Client::Responses => body,
                }
            }
        };
        Some(body.into())
    }
}

/// A request's body, understood: read when it is first needed, and then once for all targets.
#[derive(Debug, Default)]
pub struct Conversation {
    request: OnceLock<Result<Arc<Request>, RequestError>>,
    embed: OnceLock<Result<Box<Embed>, RequestError>>,
}

type Refusal = Box<OpenAiError>;

/// A body in a provider's words.
#[derive(Debug)]
pub(super) struct Written {
    body: Bytes,
    more: Vec<Pieces>,
    /// The client's fields that are not in it.
    dropped: Vec<Box<str>>,
}

impl Written {
    /// A body without some fields, unless the route wants all of them or none.
    fn new(
        mut bodies: impl Iterator<Item = Vec<u8>>,
        missing: Option<Unsupported>,
        drop_unsupported: bool,
    ) -> Result<Self, Refusal> {
        match missing {
            Some(missing) if !drop_unsupported => Err(Box::new(unsupported(&missing))),
            missing => Ok(Self {
                body: bodies.next().unwrap_or_default().into(),
                more: bodies.map(|body| Bytes::from(body).into()).collect(),
                dropped: missing.map(|missing| missing.fields).unwrap_or_default(),
            }),
        }
    }
}

fn unsupported(what: &Unsupported) -> OpenAiError {
    let error = OpenAiError::new(ErrorKind::InvalidRequest, what.to_string()).with_code("unsupported_parameter");
    match what.fields.first() {
        Some(field) => error.with_param(&**field),
        None => error,
    }
}

impl Outgoing {
    fn read(&self, read: impl FnOnce(&[u8]) -> Result<Request, RequestError>) -> Result<&Arc<Request>, &RequestError> {
        let request = &self.conversation.request;
        request
            .get_or_init(|| read(&self.peek.body().to_bytes()).map(Arc::new))
            .as_ref()
    }

    fn embed(&self) -> Result<&Embed, &RequestError> {
        let embed = &self.conversation.embed;
        let read = embed.get_or_init(|| Embed::read(&self.peek.body().to_bytes()).map(Box::new));
        read.as_ref().map(|embed| &**embed)
    }

    /// The body in the words of a provider.
    pub(super) fn translated_body(
        &self,
        client: Client,
        wire: Wire,
        model: &str,
        chat: ChatFlavor,
    ) -> Result<Written, Refusal> {
        let request = self
            .read(|body| read_request(client, body))
            .map_err(|error| Box::new(error.into()))?;
        let translation = Translation::new(client, wire).ok_or_else(|| Box::new(self.missing()))?;
        let target = Target {
            model,
            max_tokens: None,
            chat,
        };
        let (body, missing) = translation.write(request, &target);
        Written::new(std::iter::once(body), missing, self.drop_unsupported)
    }

    /// The same for embeddings.
    pub(super) fn embeddings_body(&self, wire: EmbeddingsWire, model: &str) -> Result<Written, Refusal> {
        let embed = self.embed().map_err(|error| Box::new(error.into()))?;
        let written = wire.write(embed, model);
        let (bodies, missing) = written.map_err(|error| Box::new(unsupported(&error)))?;
        Written::new(bodies.into_iter(), missing, self.drop_unsupported)
    }

    /// How many tokens the request has for a model, in the words of the client's API.
    pub(super) fn counted(&self, model: &str) -> Result<Bytes, Refusal> {
        let request = self
            .read(Messages::read_count_request)
            .map_err(|error| Box::new(error.into()))?;
        let tokens = if self.peek.body().len() <= COUNTED_BYTES {
            count(request, model).tokens
        } else {
            estimate_input(request)
        };
        Ok(Messages::write_count(tokens).into())
    }

    fn conversation(&self, client: Client, wire: Wire) -> Option<(Translation, Context)> {
        let context = Context {
            id: self.request_id.to_str().unwrap_or_default().into(),
            now_unix: self.now_unix,
            request: Arc::clone(self.read(|body| read_request(client, body)).ok()?),
        };
        Some((Translation::new(client, wire)?, context))
    }

    /// A whole answer in the client's words, and what it has cost. `None` if it is no answer. `more`: the answers to further
    /// requests that belong to the same.
    fn whole(&self, pair: Pair, body: &Bytes, more: &[Bytes]) -> Option<(Vec<u8>, Usage)> {
        let answer = match pair {
            Pair::Conversation(client, wire) => {
                let (translation, context) = self.conversation(client, wire)?;
                translation.answer(body, &context)
            }
            Pair::Embeddings(wire) if more.is_empty() => wire.answer(body, self.embed().ok()?),
            Pair::Embeddings(wire) => wire.answers(&[std::slice::from_ref(body), more].concat(), self.embed().ok()?),
        };
        answer
            .inspect_err(|error| tracing::debug!(%error, "an answer cannot be translated"))
            .ok()
    }

    /// Puts an answer into the client's words: all of it if it is whole, with the answers to further requests that belong to
    /// the same, and nothing yet if it is a stream.
    pub(super) fn translate(
        &self,
        pair: Pair,
        mut answer: Answer,
        more: &[Bytes],
    ) -> Result<Answer, UpstreamErrorKind> {
        answer.body = match answer.body {
            AnswerBody::Whole(body) => {
                let (body, usage) = self.whole(pair, &body, more).ok_or(UpstreamErrorKind::Malformed)?;
                answer.usage = Some(Box::new(usage));
                answer.head.headers.insert(header::CONTENT_TYPE, JSON);
                AnswerBody::Whole(body.into())
            }
            begun @ AnswerBody::Begun { .. } if answer.events => begun,
            AnswerBody::Begun { .. } => return Err(UpstreamErrorKind::Malformed),
        };
        Ok(answer)
    }

    /// Begins to put a streamed answer into the client's words.
    pub fn stream_translation(&self, pair: Pair) -> Option<StreamTranslation> {
        let Pair::Conversation(client, wire) = pair else {
            return None;
        };
        let (translation, context) = self.conversation(client, wire)?;
        Some(translation.stream(context))
    }
}
