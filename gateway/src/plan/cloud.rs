//! Request lines of providers whose models stand in the path: Amazon Bedrock, Google Gemini and Vertex AI.

use tokenweir_config::ProviderKind;
use tokenweir_llm::embeddings::EmbeddingsWire;

use super::uris::escape;

/// Whose paths they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    /// `PREFIX/model/MODEL/converse`.
    Bedrock,
    /// `PREFIX/models/MODEL:generateContent`.
    Gemini,
    /// `PREFIX/publishers/google/models/MODEL:generateContent`.
    Vertex,
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// An answer, in one piece or as a stream.
    Answer {
        /// As a stream.
        stream: bool,
    },
    /// Vectors.
    Embeddings,
}

impl Cloud {
    /// The cloud of a kind of provider; `None` for kinds that are in none.
    pub(super) const fn of(kind: ProviderKind) -> Option<Self> {
        match kind {
            ProviderKind::Bedrock => Some(Self::Bedrock),
            ProviderKind::Gemini => Some(Self::Gemini),
            ProviderKind::Vertex => Some(Self::Vertex),
            ProviderKind::OpenAI
            | ProviderKind::OpenAICompatible
            | ProviderKind::Anthropic
            | ProviderKind::AzureOpenAI => None,
        }
    }

    /// What embeddings of a model are asked for in; `None` if the model has none, or in a form that is not known.
    pub(super) fn embeddings(self, model: &str) -> Option<EmbeddingsWire> {
        match self {
            Self::Bedrock => EmbeddingsWire::of_bedrock(model),
            Self::Gemini => Some(EmbeddingsWire::Gemini),
            Self::Vertex => Some(EmbeddingsWire::Vertex),
        }
    }

    /// The path with its query.
    pub(super) fn path(self, prefix: &str, ask: Ask, model: &str) -> String {
        let mut path = String::from(prefix);
        match self {
            Self::Bedrock => {
                path.push_str("/model/");
                // The whole id is one segment, slashes of ARNs included; two dots would be none.
                if is_name(model) {
                    escape(model, &mut path);
                }
                path.push_str(match ask {
                    Ask::Answer { stream: false } => "/converse",
                    Ask::Answer { stream: true } => "/converse-stream",
                    Ask::Embeddings => "/invoke",
                });
                return path;
            }
            Self::Gemini => resource(&["models", "tunedModels"], "/models/", model, &mut path),
            Self::Vertex => resource(
                &["publishers", "endpoints"],
                "/publishers/google/models/",
                model,
                &mut path,
            ),
        }
        path.push_str(match ask {
            Ask::Answer { stream: false } => ":generateContent",
            Ask::Answer { stream: true } => ":streamGenerateContent?alt=sse",
            Ask::Embeddings if self == Self::Vertex => ":predict",
            Ask::Embeddings => ":batchEmbedContents",
        });
        path
    }
}

/// A model by its short name, or by its own path: `tunedModels/x`, `endpoints/123`. Where clients may name any model, a
/// name must not lead out of the folders of models, so all other names are one segment, slashes included.
fn resource(folders: &[&str], short: &str, model: &str, path: &mut String) {
    let is_own_path = model
        .split_once('/')
        .is_some_and(|(folder, rest)| folders.contains(&folder) && rest.split('/').all(is_name));
    if !is_own_path {
        path.push_str(short);
        escape(model, path);
        return;
    }
    for segment in model.split('/') {
        path.push('/');
        escape(segment, path);
    }
}

/// Whether a segment stays where it is.
fn is_name(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_paths() {
        let whole = Ask::Answer { stream: false };
        let stream = Ask::Answer { stream: true };
        for (cloud, prefix, ask, model, path) in [
            (
                Cloud::Bedrock,
                "",
                whole,
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            ),
            (
                Cloud::Bedrock,
                "/proxy",
                stream,
                "arn:aws:bedrock:us-east-1:1:inference-profile/x",
                "/proxy/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream",
            ),
            (
                Cloud::Bedrock,
                "",
                Ask::Embeddings,
                "amazon.titan-embed-text-v2:0",
                "/model/amazon.titan-embed-text-v2%3A0/invoke",
            ),
            (
                Cloud::Gemini,
                "/v1beta",
                whole,
                "gemini-2.5-flash",
                "/v1beta/models/gemini-2.5-flash:generateContent",
            ),
            (
                Cloud::Gemini,
                "/v1beta",
                stream,
                "tunedModels/a b",
                "/v1beta/tunedModels/a%20b:streamGenerateContent?alt=sse",
            ),
            (
                Cloud::Gemini,
                "/v1beta",
                Ask::Embeddings,
                "gemini-embedding-001",
                "/v1beta/models/gemini-embedding-001:batchEmbedContents",
            ),
            (
                Cloud::Vertex,
                "/v1beta1/projects/p/locations/l",
                stream,
                "gemini-2.5-pro",
                "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
            ),
            (
                Cloud::Vertex,
                "/v1beta1/projects/p/locations/l",
                Ask::Embeddings,
                "text-embedding-005",
                "/v1beta1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict",
            ),
        ] {
            assert_eq!(cloud.path(prefix, ask, model), path);
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folders_of_models() {
        let ask = Ask::Answer { stream: false };
        for (cloud, model, path) in [
            (Cloud::Bedrock, "..", "/p/model//converse"),
            (Cloud::Bedrock, "../x", "/p/model/..%2Fx/converse"),
            (Cloud::Gemini, "..", "/p/models/..:generateContent"),
            (
                Cloud::Gemini,
                "../../files/x",
                "/p/models/..%2F..%2Ffiles%2Fx:generateContent",
            ),
            (
                Cloud::Gemini,
                "models/../x",
                "/p/models/models%2F..%2Fx:generateContent",
            ),
            (Cloud::Gemini, "models//x", "/p/models/models%2F%2Fx:generateContent"),
            (Cloud::Vertex, "endpoints/12", "/p/endpoints/12:generateContent"),
            (
                Cloud::Vertex,
                "customJobs/x",
                "/p/publishers/google/models/customJobs%2Fx:generateContent",
            ),
            (Cloud::Gemini, "a?b#c:d", "/p/models/a%3Fb%23c%3Ad:generateContent"),
        ] {
            assert_eq!(cloud.path("/p", ask, model), path);
        }
    }
}
