//! Streams that are held open: a load whose truth is known exactly.

use std::time::Duration;

use tokenweir_e2e::harness::load::Streams;
use tokenweir_e2e::harness::openai::{Chat, Completion, Failure, OpenAi};

use super::SOON;
use super::stack::MODEL;

/// A chat that lasts about `seconds` with `token_ms` between tokens.
pub fn long_chat(seconds: u32, token_ms: u32) -> Chat {
    Chat {
        limit: Duration::from_secs(u64::from(seconds) * 2 + 30),
        ..Chat::new(MODEL, seconds * 1000 / token_ms.max(1))
    }
}

/// Starts streams and waits until every one of them flows.
pub async fn hold(client: &OpenAi, chat: &Chat, count: usize) -> Streams {
    let mut streams = Streams::start(client, chat, count);
    if !streams.flowing(count, SOON).await {
        let failures = broken(&streams.over());
        panic!("not all of {count} streams began to flow; failures: {failures:?}");
    }
    streams
}

/// Waits for all streams and shows that none was broken and that each brought every token it was asked for.
pub async fn assert_whole(streams: Streams, tokens: u32) {
    let outcomes = streams.outcomes().await;
    assert_eq!(broken(&outcomes), Vec::<String>::new());
    for completion in outcomes.iter().flatten() {
        assert_eq!(completion.completion_tokens, u64::from(tokens), "{completion:?}");
    }
}

/// The failures among outcomes, in words.
pub fn broken(outcomes: &[Result<Completion, Failure>]) -> Vec<String> {
    outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err().map(ToString::to_string))
        .collect()
}
