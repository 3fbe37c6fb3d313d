//! Whether a provider says that a conversation does not fit into its model's context.

use super::ProviderWire;
use super::anthropic::Messages;
use super::converse::Converse;
use super::gemini::Gemini;
use super::openai_chat::ChatCompletions;

/// Whether an answer with an error status says, on any of the wires, that the conversation is too long for the model. Then
/// another model, with a larger context, may answer it.
pub fn overflows_context(status: u16, body: &[u8]) -> bool {
    if !matches!(status, 400 | 413 | 422) {
        return false;
    }
    let readers = [
        ChatCompletions::read_error,
        Messages::read_error,
        Converse::read_error,
        Gemini::read_error,
    ];
    readers.iter().any(|read| read(status, body).context_overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_say_it_in_their_own_words_and_other_mistakes_are_none() {
        for said in [
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            r#"{"message":"Input is too long for requested model."}"#,
            r#"{"error":{"code":400,"message":"The input token count (1500000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
        ] {
            assert!(overflows_context(400, said.as_bytes()), "{said}");
            assert!(!overflows_context(500, said.as_bytes()));
        }
        for other in [
            "",
            "<html>",
            r#"{"error":{"message":"messages: at least one message is required"}}"#,
        ] {
            assert!(!overflows_context(400, other.as_bytes()), "{other}");
        }
    }
}
