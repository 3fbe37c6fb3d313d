//! From what a request asks for to an answer, written on its wire.

use bytes::Bytes;

use super::route::{Api, Operation};
use super::script::Writer;
use super::{anthropic, bedrock, gemini, openai};
use crate::answer::{Answer, Usage, choices};
use crate::ask::Ask;
use crate::behaviour::{FaultKind, hash};
use crate::state::{State, unix_seconds};

/// OpenAI caches prompts from this length on, and in steps of 128 tokens.
const LEAST_CACHED: u64 = 1024;

/// Composes the answer to a request.
pub(super) fn answer(state: &State, behaviour: &crate::Behaviour, ask: &Ask, fault: Option<&FaultKind>) -> Answer {
    let hash = hash(hash(behaviour.seed, ask.model.as_bytes()), &ask.hash.to_le_bytes());
    let choices = choices(ask, behaviour, hash);
    let (cached, written) = prompt_cache(state, ask);
    let usage = Usage {
        prompt: ask.prompt.tokens,
        cached,
        written,
        output: choices.iter().map(crate::answer::Choice::tokens).sum(),
        thoughts: choices.iter().map(crate::answer::Choice::thoughts).sum(),
    };
    let asked_for = ask.include_usage || !ask.stream;
    Answer {
        hash,
        created: behaviour.created.unwrap_or_else(unix_seconds),
        model: super::text::quoted(&ask.model),
        choices,
        usage,
        tell_usage: match fault {
            Some(FaultKind::NoUsage) => 0,
            Some(FaultKind::UsageTwice) if asked_for => 2,
            _ => u8::from(asked_for),
        },
        done: fault != Some(&FaultKind::NoDone),
        logprobs: ask.logprobs,
        echo: ask.echo.clone(),
    }
}

/// Tokens that were read from the prompt cache, and tokens that were written into it.
fn prompt_cache(state: &State, ask: &Ask) -> (u64, u64) {
    let prefixes = &ask.prompt.prefixes;
    let longest = prefixes.last().map_or(0, |(_, tokens)| *tokens);
    if longest < LEAST_CACHED {
        return (0, 0);
    }
    // The model's name belongs to the prefix: models share no cache.
    let model = hash(0, ask.model.as_bytes());
    let known = state.prompts.look_up(
        prefixes.iter().map(|(prefix, tokens)| (prefix ^ model, *tokens)),
        LEAST_CACHED,
    );
    if ask.prompt.marked {
        (known, longest - known)
    } else {
        (known - known % 128, 0)
    }
}

/// The writer of a stream.
pub(super) fn writer(api: Api, operation: &Operation, answer: &Answer) -> Box<dyn Writer> {
    match operation {
        Operation::Messages => Box::new(anthropic::MessageWriter::new()),
        Operation::Content { list, .. } => Box::new(gemini::ContentWriter::new(answer, *list)),
        Operation::Converse { .. } => Box::new(bedrock::ConverseWriter),
        Operation::Responses => Box::new(openai::responses::ResponseWriter::new(answer)),
        operation => Box::new(openai::chat::ChunkWriter::new(answer, form(api, operation))),
    }
}

/// A whole answer.
pub(super) fn whole(api: Api, operation: &Operation, answer: &Answer) -> Bytes {
    match operation {
        Operation::Messages => anthropic::whole(answer),
        Operation::Content { .. } => gemini::whole(answer),
        Operation::Converse { .. } => bedrock::whole(answer),
        Operation::Responses => openai::responses::whole(answer),
        operation => openai::chat::whole(answer, form(api, operation)),
    }
}

const fn form(api: Api, operation: &Operation) -> openai::chat::Form {
    match (api, operation) {
        (_, Operation::Text) => openai::chat::Form::Text,
        (Api::Azure, _) => openai::chat::Form::AzureChat,
        _ => openai::chat::Form::Chat,
    }
}
