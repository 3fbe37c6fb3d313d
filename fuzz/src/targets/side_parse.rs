//! What is read beside bytes that pass: usage, and the facts of stream events.

use bytes::Bytes;
use tokenweir_llm::response::{Inspector, estimate_of_answer, usage_of_answer};
use tokenweir_llm::sse::Parser;
use tokenweir_llm::{Operation, Payload};

use crate::in_proportion;

pub fn run(data: &[u8]) {
    for operation in Operation::ALL {
        in_proportion("reading usage", data.len(), || usage_of_answer(operation, data));
        in_proportion("reading events", data.len(), || events(operation, data));
        let estimated = in_proportion("estimating", data.len(), || estimate_of_answer(operation, data));
        assert!(estimated <= most_tokens(data));
    }
}

/// More than any text of so many bytes can be estimated to have.
const fn most_tokens(data: &[u8]) -> u64 {
    8 * data.len() as u64 + 8
}

fn events(operation: Operation, data: &[u8]) {
    let mut inspector = Inspector::from(operation);
    let mut parser = Parser::new(usize::MAX);
    parser.push(Bytes::copy_from_slice(data));
    while let Ok(Some(event)) = parser.next_event() {
        let Some(data) = event.data() else { continue };
        if let Payload::Chunk(chunk) = inspector.inspect(data) {
            assert!(
                chunk.tokens <= most_tokens(data),
                "{} tokens in {} bytes",
                chunk.tokens,
                data.len()
            );
            assert!(chunk.choices <= data.len());
            assert!(!chunk.is_usage_only() || !chunk.bears_tokens());
            assert!(chunk.usage.is_none_or(|usage| !usage.is_empty()));
        }
    }
}
