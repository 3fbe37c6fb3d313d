//! One request for tokens, from its body to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokenweir_llm::{ErrorKind, Operation, Peek};

use super::body::{Broken, Line, Parts, SimBody, Source};
use super::pace::Pace;
use super::prompt::Shaping;
use super::refusal::Refusal;
use super::script::{Answer, Dialect, Script};
use super::{anthropic, embeddings, openai};
use crate::behaviour::{Behaviour, Fault, FaultChain, FaultKind, OutputTokens, Random, hash};
use crate::state::{Current, State, Track, unix_seconds};

/// Larger bodies are a 413. OpenAI's own limit for a body with images is of this order.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    OpenAi(Operation),
    Messages,
}

/// A request on its way.
pub(super) struct Exchange {
    state: Arc<State>,
    line: Arc<Line>,
    call: Call,
    track: Track,
}

/// What a request asks for, whatever its dialect.
struct Wanted {
    model: String,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<u64>,
    choices: u64,
}

/// How a request ends other than by an answer.
enum Stop {
    Refuse(Refusal),
    Break,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// Whether a request brings a key that is valid.
pub(super) fn authenticate(state: &State, headers: &HeaderMap) -> Result<(), Refusal> {
    if state.keys.allows_headers(headers) {
        return Ok(());
    }
    Err(Refusal::new(ErrorKind::Unauthenticated, "Incorrect API key provided."))
}

/// Whether a model of this name exists.
pub(super) fn serves(behaviour: &Behaviour, model: &str) -> bool {
    behaviour.models.is_empty() || behaviour.models.iter().any(|name| name == model)
}

impl Exchange {
    pub(super) const fn new(state: Arc<State>, line: Arc<Line>, call: Call, track: Track) -> Self {
        Self {
            state,
            line,
            call,
            track,
        }
    }

    pub(super) async fn run(mut self, request: Request<Incoming>) -> Result<Response<SimBody>, Broken> {
        let anthropic = self.call == Call::Messages;
        match self.answer(request).await {
            Ok((head, Ready::Whole(bytes))) => Ok(with_head(head, SimBody::whole(bytes, Some(self.track)))),
            Ok((head, Ready::Parts { source, fault, flush })) => {
                let parts = Parts::new(source, fault, flush, self.track, self.line);
                Ok(with_head(head, SimBody::parts(parts)))
            }
            Err(Stop::Refuse(refusal)) => Ok(refusal.response(anthropic, self.track)),
            Err(Stop::Break) => Err(Broken),
        }
    }

    async fn answer(&mut self, request: Request<Incoming>) -> Result<(HeaderMap, Ready), Stop> {
        let (parts, body) = request.into_parts();
        let body = collect(body).await?;
        self.track.body(&body);
        authenticate(&self.state, &parts.headers)?;
        let mut wanted = self.wanted(&parts.headers, &body)?;
        let current = self.state.current();
        let fault = self.fault(&current.behaviour, &parts.headers, &mut wanted)?;
        let fault = self.before_the_head(fault).await?;
        self.track.status(200);
        self.generate(&current, &body, &wanted, fault).await
    }

    fn wanted(&self, headers: &HeaderMap, body: &Bytes) -> Result<Wanted, Refusal> {
        match self.call {
            Call::OpenAi(operation) => {
                let peek = Peek::parse(operation, body.clone())?;
                let choices = peek.n().unwrap_or(1);
                if !(1..=128).contains(&choices) {
                    return Err(Refusal::bad_request("'n' must be from 1 to 128", Some("n")));
                }
                Ok(Wanted {
                    model: peek.model().to_owned(),
                    stream: peek.stream() && operation != Operation::Embeddings,
                    include_usage: peek.include_usage() == Some(true),
                    max_tokens: peek.max_tokens(),
                    choices,
                })
            }
            Call::Messages => {
                if !headers.contains_key("anthropic-version") {
                    return Err(Refusal::bad_request("anthropic-version: header is required", None));
                }
                let message = anthropic::parse(body)?;
                Ok(Wanted {
                    model: message.model,
                    stream: message.stream,
                    include_usage: true,
                    max_tokens: Some(message.max_tokens),
                    choices: 1,
                })
            }
        }
    }

    /// The fault of this request: by header, else by the model's suffix, else by configuration. Takes the suffix off.
    fn fault(&self, behaviour: &Behaviour, headers: &HeaderMap, wanted: &mut Wanted) -> Result<Option<Fault>, Refusal> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let suffix = wanted
            .model
            .split_once('!')
            .map(|(model, fault)| (model.to_owned(), fault.to_owned()));
        let written = header("x-sim-fault").map(str::to_owned);
        let written = match suffix {
            Some((model, fault)) => {
                wanted.model = model;
                written.or(Some(fault))
            }
            None => written,
        };
        if !serves(behaviour, &wanted.model) {
            return Err(Refusal::model_not_found(&wanted.model));
        }
        let parsed: Option<FaultChain> =
            written
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: crate::behaviour::SpecError| {
                    Refusal::bad_request(&error.to_string(), Some("x-sim-fault"))
                })?;
        let configured = || {
            behaviour
                .faults
                .get(&wanted.model)
                .or_else(|| behaviour.faults.get("*"))
        };
        let Some(chain) = parsed.as_ref().or_else(configured) else {
            return Ok(None);
        };
        let fault = self.state.next_fault(chain, header("x-sim-key"));
        if let Some(fault) = &fault {
            self.track.fault(fault.as_str());
        }
        Ok(fault)
    }

    /// Lets faults strike that come before the head of the answer, and hands back the others.
    async fn before_the_head(&self, fault: Option<Fault>) -> Result<Option<FaultKind>, Stop> {
        match fault.map(|fault| fault.kind) {
            Some(FaultKind::Status { status, retry_after }) => Err(Refusal::fault(status, retry_after).into()),
            Some(FaultKind::Hang { after: None }) => std::future::pending().await,
            Some(FaultKind::Reset { after: None }) => {
                self.line.reset();
                Err(Stop::Break)
            }
            Some(FaultKind::Close { after: None }) => Err(Stop::Break),
            Some(FaultKind::Delay(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn generate(
        &self,
        current: &Current,
        body: &Bytes,
        wanted: &Wanted,
        fault: Option<FaultKind>,
    ) -> Result<(HeaderMap, Ready), Stop> {
        let behaviour = &current.behaviour;
        let shaping: Shaping<'_> =
            serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string(), None))?;
        let model = serde_json::Value::from(wanted.model.as_str()).to_string();
        let hash = [shaping.messages, shaping.system, shaping.prompt, shaping.seed]
            .into_iter()
            .flatten()
            .fold(hash(behaviour.seed, wanted.model.as_bytes()), |state, raw| {
                hash(state, raw.get().as_bytes())
            });
        let usage = fault != Some(FaultKind::NoUsage);
        if self.call == Call::OpenAi(Operation::Embeddings) {
            let bytes = embeddings::answer(body, &model, behaviour.seed, behaviour.embedding_dimensions, usage)?;
            let mut pace = pace(current, hash, 1, 1)?;
            pace.all(1).await;
            return Ok((head(false, hash), Ready::whole_or_halves(bytes, fault)));
        }
        let (tokens, cut) = length(behaviour, &shaping, wanted, hash);
        let dialect = match self.call {
            Call::OpenAi(Operation::TextCompletion) => Dialect::Text,
            Call::OpenAi(_) => Dialect::Chat,
            Call::Messages => Dialect::Anthropic,
        };
        let answer = Answer {
            dialect,
            hash,
            created: behaviour.created.unwrap_or_else(unix_seconds),
            model,
            prompt_tokens: shaping.prompt_tokens(),
            tokens,
            choices: wanted.choices,
            cut,
            usage: usage && (wanted.include_usage || !wanted.stream),
            done: fault != Some(FaultKind::NoDone),
        };
        let mut pace = pace(current, hash, answer.prompt_tokens, tokens)?;
        if wanted.stream {
            let script = Script::new(answer);
            let ready = Ready::Parts {
                source: Source::Stream { script, pace },
                fault,
                flush: behaviour.flush_each_event,
            };
            return Ok((head(true, hash), ready));
        }
        pace.all(tokens).await;
        self.track.tokens(tokens);
        let bytes = match dialect {
            Dialect::Chat | Dialect::Text => openai::whole(&answer),
            Dialect::Anthropic => anthropic::whole(&answer),
        };
        Ok((head(false, hash), Ready::whole_or_halves(bytes, fault)))
    }
}

/// The rhythm of an answer, with a place in the engine where there is one.
fn pace(current: &Current, hash: u64, prompt_tokens: u64, tokens: u64) -> Result<Pace, Refusal> {
    let seat = current
        .join(prompt_tokens, tokens)
        .map_err(|full| Refusal::new(ErrorKind::Unavailable, full.to_string()))?;
    Ok(Pace::new(current.behaviour.latency, seat, Random::new(hash ^ 0x7A)))
}

/// A body that is ready to go out.
#[allow(clippy::large_enum_variant, reason = "moved once, straight into the box of the body")]
enum Ready {
    Whole(Bytes),
    Parts {
        source: Source,
        fault: Option<FaultKind>,
        flush: bool,
    },
}

impl Ready {
    /// A body that is no stream goes out at once unless a fault is to strike in its middle.
    fn whole_or_halves(mut bytes: Bytes, fault: Option<FaultKind>) -> Self {
        match fault {
            None | Some(FaultKind::NoUsage | FaultKind::NoDone) => Self::Whole(bytes),
            // Cut JSON with a length of its own: the connection is fine, the body is not.
            Some(FaultKind::Malformed { .. }) => Self::Whole(bytes.split_to(bytes.len() / 2)),
            fault => {
                let first = bytes.split_to(bytes.len() / 2);
                Self::Parts {
                    source: Source::Halves {
                        first: Some(first),
                        second: Some(bytes),
                    },
                    fault,
                    flush: true,
                }
            }
        }
    }
}

/// How many tokens the answer has, and whether the client's limit cut it.
fn length(behaviour: &Behaviour, shaping: &Shaping<'_>, wanted: &Wanted, hash: u64) -> (u64, bool) {
    // All choices together stay within what one request may make the simulator hold.
    let most = OutputTokens::LIMIT / wanted.choices.max(1);
    let drawn = behaviour.output_tokens.draw(&mut Random::new(hash ^ 0x10)).min(most);
    // A limit of 0 generates one token, as the smallest answer there is.
    let limit = wanted.max_tokens.map(|limit| limit.clamp(1, most));
    match limit {
        Some(limit) if shaping.ignore_eos == Some(true) || drawn > limit => (limit, true),
        _ => (drawn, false),
    }
}

async fn collect(body: Incoming) -> Result<Bytes, Stop> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(ErrorKind::TooLarge, "The request body is larger than 64 MiB.").into())
        }
        // The client broke off while it sent; there is nobody to answer.
        Err(_) => Err(Stop::Break),
    }
}

fn head(stream: bool, hash: u64) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    let content_type = if stream {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if stream {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    if let Ok(id) = HeaderValue::from_str(&format!("req_{hash:016x}")) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    headers
}

fn with_head(headers: HeaderMap, body: SimBody) -> Response<SimBody> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
