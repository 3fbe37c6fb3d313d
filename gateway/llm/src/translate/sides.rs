//! What each dialect can do, by its name: one line for each of them.

use crate::RequestError;
use crate::conversation::{Answer, Report, Request};
use crate::dialect::{
    AnswerError, ChatCompletions, Client, ClientDialect, Completions, Context, Converse, Gemini, Messages,
    ProviderError, ProviderWire, Responses, StreamReader, StreamWriter, Target, Wire,
};

/// The functions of a client's dialect.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientSide {
    pub(super) read_request: fn(&[u8]) -> Result<Request, RequestError>,
    pub(super) write_answer: fn(&Answer, &Context) -> Vec<u8>,
    pub(super) write_error: fn(&ProviderError) -> Vec<u8>,
    pub(super) stream: fn(Context) -> Box<dyn StreamWriter>,
}

impl ClientSide {
    pub(super) const fn of(client: Client) -> Self {
        match client {
            Client::ChatCompletions => Self::from::<ChatCompletions>(),
            Client::Completions => Self::from::<Completions>(),
            Client::Responses => Self::from::<Responses>(),
            Client::Messages => Self::from::<Messages>(),
        }
    }

    const fn from<D: ClientDialect>() -> Self {
        Self {
            read_request: D::read_request,
            write_answer: D::write_answer,
            write_error: D::write_error,
            stream: D::stream,
        }
    }
}

/// The functions of a provider's wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireSide {
    pub(super) name: &'static str,
    pub(super) write_request: fn(&Request, &Target<'_>, &mut Report) -> Vec<u8>,
    pub(super) read_answer: fn(&[u8]) -> Result<Answer, AnswerError>,
    pub(super) read_error: fn(u16, &[u8]) -> ProviderError,
    pub(super) stream: fn() -> Box<dyn StreamReader>,
}

impl WireSide {
    pub(super) const fn of(wire: Wire) -> Self {
        match wire {
            Wire::ChatCompletions => Self::from::<ChatCompletions>(),
            Wire::Converse => Self::from::<Converse>(),
            Wire::Gemini => Self::from::<Gemini>(),
            Wire::Messages => Self::from::<Messages>(),
        }
    }

    const fn from<W: ProviderWire>() -> Self {
        Self {
            name: W::NAME,
            write_request: W::write_request,
            read_answer: W::read_answer,
            read_error: W::read_error,
            stream: W::stream,
        }
    }
}
