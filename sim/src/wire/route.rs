//! Which API a path belongs to, and what is called there.

use http::{HeaderMap, Method, Uri};

/// Whose rules hold: for keys, for errors, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    OpenAi,
    Azure,
    Anthropic,
    /// Gemini.
    Google,
    /// Gemini on Vertex AI.
    Vertex,
    Bedrock,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Chat,
    Text,
    Responses,
    Vectors(Vectors),
    Messages,
    /// Google's content; a stream is made of events or is a list.
    Content {
        stream: bool,
        list: bool,
    },
    Converse {
        stream: bool,
    },
    /// Anthropic's and Google's count of input tokens.
    CountTokens,
    /// A token for a service account's assertion.
    Token,
    Models,
    /// One model, by name.
    Model(String),
}

/// The forms of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vectors {
    OpenAi,
    /// Gemini's `batchEmbedContents`.
    Batch,
    /// Gemini's `embedContent`.
    One,
    /// Vertex AI's `predict`.
    Predict,
    /// Bedrock's `InvokeModel`.
    Invoke,
}

/// A path that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) api: Api,
    pub(super) operation: Operation,
    /// The model, where the path names it.
    pub(super) model: Option<String>,
}

impl Route {
    /// The route of a request; without one, the API whose form its error takes.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, Api> {
        let path = uri.path();
        if let Some(rest) = path.strip_prefix("/openai/") {
            return azure(rest, uri.query()).ok_or(Api::Azure);
        }
        if let Some(rest) = path.strip_prefix("/v1beta/models/") {
            return google(Api::Google, rest, uri.query()).ok_or(Api::Google);
        }
        if path.starts_with("/v1/projects/") || path.starts_with("/v1beta1/projects/") {
            let (_, rest) = path.split_once("/publishers/google/models/").ok_or(Api::Vertex)?;
            return google(Api::Vertex, rest, uri.query()).ok_or(Api::Vertex);
        }
        if let Some(rest) = path.strip_prefix("/model/") {
            return bedrock(rest).ok_or(Api::Bedrock);
        }
        if path == "/token" {
            return Ok(Self {
                api: Api::Google,
                operation: Operation::Token,
                model: None,
            });
        }
        let anthropic = headers.contains_key("anthropic-version") || path.starts_with("/v1/messages");
        let own = if anthropic { Api::Anthropic } else { Api::OpenAi };
        let rest = path.strip_prefix("/v1/").ok_or(own)?;
        let (api, operation) = match rest {
            "messages" => (Api::Anthropic, Operation::Messages),
            "messages/count_tokens" => (Api::Anthropic, Operation::CountTokens),
            "models" => (own, Operation::Models),
            rest => match rest.strip_prefix("models/") {
                Some(name) => (own, Operation::Model(decoded(name))),
                None => (Api::OpenAi, openai(rest).ok_or(own)?),
            },
        };
        Ok(Self {
            api,
            operation,
            model: None,
        })
    }

    pub(super) const fn method(&self) -> Method {
        match self.operation {
            Operation::Models | Operation::Model(_) => Method::GET,
            _ => Method::POST,
        }
    }
}

fn openai(path: &str) -> Option<Operation> {
    match path {
        "chat/completions" => Some(Operation::Chat),
        "completions" => Some(Operation::Text),
        "responses" => Some(Operation::Responses),
        "embeddings" => Some(Operation::Vectors(Vectors::OpenAi)),
        _ => None,
    }
}

/// Azure has the paths of OpenAI's API, and those of deployments, which want the version of the API.
fn azure(path: &str, query: Option<&str>) -> Option<Route> {
    if let Some(rest) = path.strip_prefix("v1/") {
        let operation = if rest == "models" {
            Operation::Models
        } else {
            openai(rest)?
        };
        return Some(Route {
            api: Api::Azure,
            operation,
            model: None,
        });
    }
    let (deployment, rest) = path.strip_prefix("deployments/")?.split_once('/')?;
    parameter(query, "api-version")?;
    Some(Route {
        api: Api::Azure,
        operation: openai(rest)?,
        model: Some(decoded(deployment)),
    })
}

/// `MODEL:METHOD`.
fn google(api: Api, path: &str, query: Option<&str>) -> Option<Route> {
    let (model, method) = path.rsplit_once(':')?;
    let operation = match method {
        "generateContent" => Operation::Content {
            stream: false,
            list: false,
        },
        "streamGenerateContent" => Operation::Content {
            stream: true,
            list: parameter(query, "alt").as_deref() != Some("sse"),
        },
        "countTokens" => Operation::CountTokens,
        "batchEmbedContents" if api == Api::Google => Operation::Vectors(Vectors::Batch),
        "embedContent" if api == Api::Google => Operation::Vectors(Vectors::One),
        "predict" if api == Api::Vertex => Operation::Vectors(Vectors::Predict),
        _ => return None,
    };
    Some(Route {
        api,
        operation,
        model: Some(decoded(model)),
    })
}

/// `MODEL/METHOD`.
fn bedrock(path: &str) -> Option<Route> {
    let (model, method) = path.rsplit_once('/')?;
    let operation = match method {
        "converse" => Operation::Converse { stream: false },
        "converse-stream" => Operation::Converse { stream: true },
        "invoke" => Operation::Vectors(Vectors::Invoke),
        _ => return None,
    };
    Some(Route {
        api: Api::Bedrock,
        operation,
        model: Some(decoded(model)),
    })
}

/// A parameter of a query.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| decoded(value))
        .next()
}

/// A segment of a path, as it was before it was encoded.
pub(super) fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_apis_and_models() {
        let of = |path: &str| {
            let route = Route::of(&path.parse().unwrap(), &HeaderMap::new());
            route.map(|route| (route.api, route.operation, route.model))
        };
        assert_eq!(of("/v1/chat/completions"), Ok((Api::OpenAi, Operation::Chat, None)));
        assert_eq!(of("/v1/messages"), Ok((Api::Anthropic, Operation::Messages, None)));
        assert_eq!(
            of("/v1/models/a%2Fb"),
            Ok((Api::OpenAi, Operation::Model("a/b".into()), None))
        );
        assert_eq!(
            of("/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
            Ok((Api::Azure, Operation::Chat, Some("my gpt".into())))
        );
        assert_eq!(of("/openai/deployments/gpt/chat/completions"), Err(Api::Azure));
        assert_eq!(
            of("/openai/v1/embeddings"),
            Ok((Api::Azure, Operation::Vectors(Vectors::OpenAi), None))
        );
        assert_eq!(
            of("/v1beta/models/gemini-2.5:streamGenerateContent?alt=sse"),
            Ok((
                Api::Google,
                Operation::Content {
                    stream: true,
                    list: false
                },
                Some("gemini-2.5".into())
            ))
        );
        assert_eq!(
            of("/v1/projects/p/locations/l/publishers/google/models/text-embedding:predict"),
            Ok((
                Api::Vertex,
                Operation::Vectors(Vectors::Predict),
                Some("text-embedding".into())
            ))
        );
        assert_eq!(
            of("/model/anthropic.claude-v1%3A0/converse-stream"),
            Ok((
                Api::Bedrock,
                Operation::Converse { stream: true },
                Some("anthropic.claude-v1:0".into())
            ))
        );
        assert_eq!(of("/v1beta/models/g:dance"), Err(Api::Google));
        assert_eq!(of("/model/m/dance"), Err(Api::Bedrock));
        assert_eq!(of("/v1/nothing"), Err(Api::OpenAi));
        assert_eq!(of("/v1/messages/nothing"), Err(Api::Anthropic));
    }
}
