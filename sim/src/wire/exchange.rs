//! One request for tokens, from its body to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokenweir_llm::ErrorKind;

use super::body::{Broken, Line, Parts, SimBody, Source};
use super::fields::{Fields, Places};
use super::pace::Pace;
use super::refusal::Refusal;
use super::route::{Api, Operation, Route, Vectors};
use super::script::Script;
use super::{anthropic, auth, bedrock, gemini, generate, head, openai};
use crate::ask::Ask;
use crate::behaviour::{Behaviour, Fault, FaultChain, FaultKind, Malformed, Random, hash};
use crate::state::{Current, State, Track};

/// Larger bodies are a 413. OpenAI's own limit for a body with images is of this order.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// What a stream claims as its length when a fault has it lie.
const CLAIMED: i64 = 16 * 1024 * 1024;

/// A request on its way.
pub(super) struct Exchange {
    state: Arc<State>,
    line: Arc<Line>,
    route: Route,
    track: Track,
}

/// What a request asks for.
enum Wanted {
    Answer(Box<Ask>),
    /// Vectors, by a model.
    Vectors(String),
}

/// How a request ends other than by an answer.
enum Stop {
    Refuse(Box<Refusal>),
    /// An answer that is not of the API.
    Html(u16),
    Break,
}

impl<T: Into<Refusal>> From<T> for Stop {
    fn from(refusal: T) -> Self {
        Self::Refuse(Box::new(refusal.into()))
    }
}

/// Whether a model of this name exists.
pub(super) fn serves(behaviour: &Behaviour, model: &str) -> bool {
    behaviour.models.is_empty() || behaviour.models.iter().any(|name| name == model)
}

impl Exchange {
    pub(super) const fn new(state: Arc<State>, line: Arc<Line>, route: Route, track: Track) -> Self {
        Self {
            state,
            line,
            route,
            track,
        }
    }

    pub(super) async fn run(mut self, request: Request<Incoming>) -> Result<Response<SimBody>, Broken> {
        match self.answer(request).await {
            Ok((head, Ready::Whole(bytes))) => Ok(with_head(head, SimBody::whole(bytes, Some(self.track)))),
            Ok((head, Ready::Parts { source, fault, flush })) => {
                let parts = Parts::new(source, fault, flush, self.track, self.line);
                Ok(with_head(head, SimBody::parts(parts)))
            }
            Err(Stop::Refuse(refusal)) => Ok(refusal.response(self.route.api, self.track)),
            Err(Stop::Html(status)) => {
                self.track.status(status);
                self.track.complete();
                Ok(page(status))
            }
            Err(Stop::Break) => Err(Broken),
        }
    }

    async fn answer(&mut self, request: Request<Incoming>) -> Result<(HeaderMap, Ready), Stop> {
        let (parts, body) = request.into_parts();
        let body = collect(body).await?;
        self.track.body(&body);
        auth::authenticate(&self.state, self.route.api, &parts, &body)?;
        let current = self.state.current();
        let mut wanted = self.wanted(&parts, &body, current.behaviour.strict)?;
        let model = match &mut wanted {
            Wanted::Answer(ask) => &mut ask.model,
            Wanted::Vectors(model) => model,
        };
        let fault = self.fault(&current.behaviour, &parts.headers, model)?;
        let key = parts.headers.get("x-sim-key").and_then(|value| value.to_str().ok());
        let limit = format!(
            "{} {}",
            key.unwrap_or_default(),
            fault.as_ref().map_or("", Fault::as_str)
        );
        let fault = self.before_the_head(fault).await?;
        self.track.status(200);
        match wanted {
            Wanted::Answer(ask) => self.tokens(&current, &ask, fault, &limit).await,
            Wanted::Vectors(model) => self.vectors(&current, &body, &model, fault).await,
        }
    }

    fn wanted(&self, parts: &Head, body: &Bytes, strict: bool) -> Result<Wanted, Refusal> {
        let places = match self.route.api {
            Api::Anthropic | Api::Bedrock => Places::Dots,
            _ => Places::Brackets,
        };
        let mut fields = Fields::body(body, places)?;
        let model = self.route.model.clone();
        let ask = match &self.route.operation {
            Operation::Chat => openai::chat_request::read(fields, model, strict)?,
            Operation::Text => openai::text_request::read(fields, model, strict)?,
            Operation::Responses => openai::responses_request::read(fields, strict)?,
            Operation::Vectors(_) => {
                let model = match model {
                    Some(model) => model,
                    None => fields.required("model")?,
                };
                return Ok(Wanted::Vectors(model));
            }
            Operation::CountTokens if matches!(self.route.api, Api::Google | Api::Vertex) => {
                gemini::read(fields, model.unwrap_or_default(), false)?
            }
            Operation::Content { stream, .. } => gemini::read(fields, model.unwrap_or_default(), *stream)?,
            Operation::Converse { stream } => bedrock::read(fields, model.unwrap_or_default(), *stream)?,
            Operation::Messages | Operation::CountTokens => {
                if !parts.headers.contains_key("anthropic-version") {
                    return Err(Refusal::bad_request("anthropic-version: header is required", None));
                }
                let counts = self.route.operation == Operation::CountTokens;
                anthropic::read(fields, counts, parts.headers.contains_key("anthropic-beta"))?
            }
            Operation::Models | Operation::Model(_) | Operation::Token => {
                return Err(Refusal::new(ErrorKind::NotFound, "Nothing is generated here."));
            }
        };
        if self.route.api == Api::Azure && ask.directives.filter && !ask.stream {
            return Err(Refusal::filtered());
        }
        Ok(Wanted::Answer(Box::new(ask)))
    }

    /// The fault of this request: by header, else by the model's suffix, else by configuration. Takes the suffix off.
    fn fault(&self, behaviour: &Behaviour, headers: &HeaderMap, model: &mut String) -> Result<Option<Fault>, Refusal> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let suffix = model
            .split_once('!')
            .map(|(model, fault)| (model.to_owned(), fault.to_owned()));
        let written = header("x-sim-fault").map(str::to_owned);
        let written = match suffix {
            Some((plain, fault)) => {
                *model = plain;
                written.or(Some(fault))
            }
            None => written,
        };
        if !serves(behaviour, model) {
            return Err(Refusal::model_not_found(model));
        }
        let parsed: Option<FaultChain> =
            written
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: crate::behaviour::SpecError| {
                    Refusal::bad_request(&error.to_string(), Some("x-sim-fault"))
                })?;
        let configured = || behaviour.faults.get(model).or_else(|| behaviour.faults.get("*"));
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
            Some(FaultKind::Html { status }) => Err(Stop::Html(status)),
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
            Some(FaultKind::IdleClose) => {
                self.line.close_at_next_request();
                Ok(None)
            }
            Some(FaultKind::GoAway { after: None }) => {
                self.line.go_away(false);
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn tokens(
        &self,
        current: &Current,
        ask: &Ask,
        fault: Option<FaultKind>,
        limit: &str,
    ) -> Result<(HeaderMap, Ready), Stop> {
        let (api, operation) = (self.route.api, &self.route.operation);
        if *operation == Operation::CountTokens {
            let name = if api == Api::Anthropic {
                "input_tokens"
            } else {
                "totalTokens"
            };
            let count = format!("{{\"{name}\":{}}}", ask.prompt.tokens);
            return Ok((
                head::of(&self.route, false, ask.hash),
                Ready::whole_or_halves(count.into(), fault),
            ));
        }
        let answer = generate::answer(&self.state, &current.behaviour, ask, fault.as_ref());
        let mut headers = head::of(&self.route, ask.stream, answer.hash);
        let fault = match fault {
            Some(FaultKind::Limit(most)) => {
                let tokens = answer.usage.prompt.saturating_add(answer.usage.output);
                let left = self.state.limits.take(limit, most, tokens);
                head::limits(api, most, left, &mut headers);
                if left.exceeded {
                    headers.remove(CONTENT_TYPE);
                    return Err(Refusal::limited(head::seconds(left.reset), headers).into());
                }
                None
            }
            fault => fault,
        };
        let tokens = answer
            .choices
            .iter()
            .map(crate::answer::Choice::tokens)
            .max()
            .unwrap_or(1);
        let mut pace = pace(current, answer.hash, answer.usage.prompt, tokens)?;
        if ask.stream {
            if let Some(FaultKind::Length { by }) = fault {
                claim(&mut headers, CLAIMED.saturating_add(by));
            }
            let writer = generate::writer(api, operation, &answer);
            let ready = Ready::Parts {
                source: Source::Stream {
                    script: Script::new(answer, writer),
                    pace,
                },
                fault,
                flush: current.behaviour.flush_each_event,
            };
            return Ok((headers, ready));
        }
        pace.all(tokens).await;
        self.track.tokens(tokens);
        let bytes = generate::whole(api, operation, &answer);
        if let Some(FaultKind::Length { by }) = fault {
            claim(
                &mut headers,
                i64::try_from(bytes.len()).unwrap_or(i64::MAX).saturating_add(by),
            );
        }
        Ok((headers, Ready::whole_or_halves(bytes, fault)))
    }

    async fn vectors(
        &self,
        current: &Current,
        body: &Bytes,
        model: &str,
        fault: Option<FaultKind>,
    ) -> Result<(HeaderMap, Ready), Stop> {
        let behaviour = &current.behaviour;
        let (seed, dimensions) = (behaviour.seed, behaviour.embedding_dimensions);
        // Models have nothing in common but their words.
        let own = seed ^ hash(0, model.as_bytes());
        let bytes = match self.route.operation {
            Operation::Vectors(Vectors::Invoke) => bedrock::vectors(Fields::body(body, Places::Dots)?, model, own)?,
            Operation::Vectors(kind @ (Vectors::Batch | Vectors::One | Vectors::Predict)) => {
                gemini::vectors(Fields::body(body, Places::Brackets)?, kind, model, own, dimensions)?
            }
            _ => {
                let usage = fault != Some(FaultKind::NoUsage);
                openai::embeddings::answer(body, &super::text::quoted(model), seed, dimensions, usage)?
            }
        };
        let hash = hash(hash(behaviour.seed, model.as_bytes()), body);
        pace(current, hash, 1, 1)?.all(1).await;
        Ok((head::of(&self.route, false, hash), Ready::whole_or_halves(bytes, fault)))
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
            None | Some(FaultKind::NoUsage | FaultKind::UsageTwice | FaultKind::NoDone | FaultKind::Limit(_)) => {
                Self::Whole(bytes)
            }
            // Cut JSON with a length of its own: the connection is fine, the body is not.
            Some(FaultKind::Malformed { form, .. }) => {
                let half = bytes.split_to(bytes.len() / 2);
                Self::Whole(match form {
                    Malformed::Utf8 => [&half[..], b"\xff\xfe\"}"].concat().into(),
                    Malformed::Text => Bytes::from_static(b"upstream connect error"),
                    Malformed::Json | Malformed::Endless => half,
                })
            }
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

/// Says how long a body is, true or not.
fn claim(headers: &mut HeaderMap, length: i64) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length.max(0)));
}

fn with_head(headers: HeaderMap, body: SimBody) -> Response<SimBody> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// What a load balancer says.
fn page(status: u16) -> Response<SimBody> {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let mut response = super::typed(StatusCode::OK, "text/html", page.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}
