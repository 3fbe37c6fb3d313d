//! What is held for one request until its answer has gone: its permit, its meter and its line in the access log.

use std::sync::Arc;

use http::HeaderValue;
use tokenweir_llm::response::estimate_of_answer;
use tokenweir_llm::{Operation, Usage};
use tokio::time::Instant;

use crate::admission::Permit;
use crate::meter::{CLIENT_CLOSED, RequestMeter, UpstreamErrorKind};

/// A request that was admitted. Dropping it without [`Exchange::end`] says that the client went away.
#[derive(Debug)]
pub struct Exchange {
    meter: Option<RequestMeter>,
    permit: Option<Permit>,
    provider: Option<Arc<str>>,
    /// The provider's own numbers so far.
    used: Used,
    log: Option<Box<AccessLog>>,
}

/// The tokens of a request, as far as its provider has told them.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
}

impl Used {
    /// Takes over what is told. The numbers are totals: a later one replaces an earlier one.
    fn note(&mut self, usage: &Usage) {
        self.input = usage.prompt_tokens.or(self.input);
        self.output = usage.completion_tokens.or(self.output);
        self.total = usage.total_tokens.or(self.total);
    }

    /// All tokens, once they are known.
    fn tokens(self) -> Option<u64> {
        match (self.input, self.output) {
            (Some(input), Some(output)) => Some(input.saturating_add(output)),
            // Embeddings have no output.
            _ => self.total,
        }
    }
}

/// One line of the access log, as far as it is known.
#[derive(Debug)]
pub struct AccessLog {
    /// The request's id.
    pub request_id: HeaderValue,
    /// Who asked.
    pub tenant: Arc<str>,
    /// With which of the tenant's keys.
    pub key: Arc<str>,
    /// Which route served it.
    pub route: Arc<str>,
    /// The model that the client asked for.
    pub model: Box<str>,
    /// What was asked for.
    pub operation: Operation,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// When the request came.
    pub started: Instant,
    /// Tries at providers.
    pub tries: u32,
    /// Tokens, as far as they are known.
    pub usage: Usage,
    /// Fields of the request that the provider has never seen, as the answer's header names them.
    pub dropped: Option<HeaderValue>,
}

impl AccessLog {
    /// Whether the level of the logs lets these lines through.
    pub fn is_written() -> bool {
        tracing::enabled!(target: "access", tracing::Level::INFO)
    }

    fn write(&self, provider: Option<&str>, status: u16, error: Option<&str>) {
        tracing::info!(
            target: "access",
            request_id = self.request_id.to_str().unwrap_or_default(),
            tenant = &*self.tenant,
            key = &*self.key,
            route = &*self.route,
            model = &*self.model,
            operation = self.operation.name(),
            stream = self.stream,
            provider,
            tries = self.tries,
            status,
            error,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            input_tokens = self.usage.prompt_tokens,
            output_tokens = self.usage.completion_tokens,
            dropped = self.dropped.as_ref().and_then(|fields| fields.to_str().ok()),
            "request"
        );
    }
}

impl Exchange {
    /// A request with what it holds.
    pub fn new(meter: RequestMeter, log: Option<Box<AccessLog>>) -> Self {
        Self {
            meter: Some(meter),
            permit: None,
            provider: None,
            used: Used::default(),
            log,
        }
    }

    /// Holds the permit until the end.
    pub fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Says where the request went.
    pub fn served_by(&mut self, provider: Option<Arc<str>>, tries: u32) {
        self.provider = provider;
        if let Some(log) = &mut self.log {
            log.tries = tries;
        }
    }

    /// Says which fields of the request were left out.
    pub fn dropped(&mut self, fields: &HeaderValue) {
        if let Some(log) = &mut self.log {
            log.dropped = Some(fields.clone());
        }
    }

    /// The request's meter; `None` only after its end.
    pub fn meter(&self) -> Option<&RequestMeter> {
        self.meter.as_ref()
    }

    /// The first byte of the answer's body has come.
    pub fn first_byte(&self) {
        if let Some(meter) = &self.meter {
            meter.first_byte();
        }
    }

    /// So many further tokens have passed, by estimate.
    pub fn stream_tokens(&self, completion: u64) {
        if let Some(meter) = &self.meter {
            meter.stream_tokens(completion);
        }
    }

    /// The provider's own numbers.
    pub fn usage(&mut self, usage: Usage) {
        if let Some(meter) = &self.meter {
            meter.usage(usage.prompt_tokens, usage.completion_tokens);
        }
        self.used.note(&usage);
        if let Some(log) = &mut self.log {
            log.usage = usage;
        }
    }

    /// The provider's own numbers of an answer that is here as a whole; where there is none for the output, an estimate.
    pub fn usage_of(&mut self, usage: Option<Usage>, operation: Operation, body: &[u8]) {
        if usage.is_none_or(|usage| usage.completion_tokens.is_none()) {
            self.stream_tokens(estimate_of_answer(operation, body));
        }
        if let Some(usage) = usage {
            self.usage(usage);
        }
    }

    /// The provider failed after the first byte of its answer.
    pub fn upstream_error(&self, kind: UpstreamErrorKind) {
        if let (Some(meter), Some(provider)) = (&self.meter, &self.provider) {
            meter.upstream_error(provider, kind);
        }
    }

    /// The request has ended. `error` is from a closed list; `None` for success.
    pub fn end(mut self, status: u16, error: Option<&'static str>) {
        // The place goes first, so that whoever waits for it does not wait for the bookkeeping. What broke off has cost more
        // than its provider has told, and stays with its estimate.
        if let Some(permit) = self.permit.take()
            && let (None, Some(tokens)) = (error, self.used.tokens())
        {
            permit.settle(tokens);
        }
        if let Some(meter) = self.meter.take() {
            meter.finish(status, error);
        }
        if let Some(log) = self.log.take() {
            log.write(self.provider.as_deref(), status, error);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Only there if nobody called `end`; dropping the meter counts the same.
        if let Some(log) = self.log.take() {
            log.write(self.provider.as_deref(), CLIENT_CLOSED, Some("cancelled"));
        }
    }
}
