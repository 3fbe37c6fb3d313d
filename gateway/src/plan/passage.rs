//! How a request reaches a provider: as it is, or in the provider's own dialect.

use tokenweir_config::ProviderKind;
use tokenweir_llm::Operation;
use tokenweir_llm::dialect::{Client, Wire};

/// How a request of one operation reaches a provider of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The provider speaks the client's dialect: bytes pass.
    Passed,
    /// The provider answers conversations in another dialect.
    Translated(Client, Wire),
    /// The provider has embeddings in words of its own.
    Embedded,
    /// The gateway counts the request's tokens by itself, as the provider has nothing that counts for this client.
    Counted,
    /// The provider has nothing of the kind.
    Missing,
}

impl Passage {
    /// How an operation reaches a kind of provider.
    pub const fn of(kind: ProviderKind, operation: Operation) -> Self {
        use ProviderKind as Kind;
        let wire = match kind {
            Kind::OpenAI | Kind::AzureOpenAI | Kind::OpenAICompatible => Wire::ChatCompletions,
            Kind::Anthropic => Wire::Messages,
            Kind::Bedrock => Wire::Converse,
            Kind::Gemini | Kind::Vertex => Wire::Gemini,
        };
        match (kind, operation) {
            (
                Kind::OpenAI | Kind::AzureOpenAI | Kind::OpenAICompatible,
                Operation::Chat | Operation::TextCompletion | Operation::Embeddings,
            )
            | (Kind::OpenAI | Kind::AzureOpenAI, Operation::Responses)
            | (Kind::Anthropic, Operation::Messages | Operation::CountTokens) => Self::Passed,
            (_, Operation::CountTokens) => Self::Counted,
            (Kind::Bedrock | Kind::Gemini | Kind::Vertex, Operation::Embeddings) => Self::Embedded,
            (_, operation) => match operation.client() {
                Some(client) => Self::Translated(client, wire),
                None => Self::Missing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_passes_wherever_its_dialect_is_spoken_and_is_translated_elsewhere() {
        let passage = |kind| Operation::ALL.map(|operation| Passage::of(kind, operation));
        let translated = |client, wire| Passage::Translated(client, wire);
        assert_eq!(
            passage(ProviderKind::OpenAI),
            [
                Passage::Passed,
                Passage::Passed,
                Passage::Passed,
                Passage::Passed,
                translated(Client::Messages, Wire::ChatCompletions),
                Passage::Counted,
            ]
        );
        assert_eq!(passage(ProviderKind::AzureOpenAI), passage(ProviderKind::OpenAI));
        assert_eq!(
            passage(ProviderKind::OpenAICompatible),
            [
                Passage::Passed,
                Passage::Passed,
                Passage::Passed,
                translated(Client::Responses, Wire::ChatCompletions),
                translated(Client::Messages, Wire::ChatCompletions),
                Passage::Counted,
            ]
        );
        assert_eq!(
            passage(ProviderKind::Anthropic),
            [
                translated(Client::ChatCompletions, Wire::Messages),
                translated(Client::Completions, Wire::Messages),
                Passage::Missing,
                translated(Client::Responses, Wire::Messages),
                Passage::Passed,
                Passage::Passed,
            ]
        );
        for (kind, wire) in [
            (ProviderKind::Bedrock, Wire::Converse),
            (ProviderKind::Gemini, Wire::Gemini),
            (ProviderKind::Vertex, Wire::Gemini),
        ] {
            assert_eq!(
                passage(kind),
                [
                    translated(Client::ChatCompletions, wire),
                    translated(Client::Completions, wire),
                    Passage::Embedded,
                    translated(Client::Responses, wire),
                    translated(Client::Messages, wire),
                    Passage::Counted,
                ]
            );
        }
    }
}
