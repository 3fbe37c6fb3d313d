//! What clients of each dialect send, and where in their answers things stand.

use serde_json::{Value, json};

use super::harness::Answer;
use super::passed::assert_anthropic_error;

/// What a client sends, and where in its answers things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Chat,
    Completions,
    Responses,
    Messages,
}

use Speaks::{Chat, Completions, Messages, Responses};

pub const ALL: [Speaks; 4] = [Chat, Completions, Responses, Messages];

impl Speaks {
    pub fn path(self) -> &'static str {
        match self {
            Chat => "/v1/chat/completions",
            Completions => "/v1/completions",
            Responses => "/v1/responses",
            Messages => "/v1/messages",
        }
    }

    pub fn request(self, model: &str, text: &str, stream: bool) -> Value {
        let messages = json!([{"role": "user", "content": text}]);
        match self {
            Chat | Messages => json!({"model": model, "max_tokens": 2000, "messages": messages, "stream": stream}),
            Completions => json!({"model": model, "max_tokens": 2000, "prompt": text, "stream": stream}),
            Responses => json!({"model": model, "max_output_tokens": 2000, "input": text, "stream": stream}),
        }
    }

    pub fn tool(self) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        match self {
            Chat => json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]),
            Responses => json!([{"type": "function", "name": "weather", "parameters": schema}]),
            Messages => json!([{"name": "weather", "input_schema": schema}]),
            Completions => Value::Null,
        }
    }

    /// The text of a whole answer.
    pub fn text(self, answer: &Value) -> String {
        let text = match self {
            Chat => &answer["choices"][0]["message"]["content"],
            Completions => &answer["choices"][0]["text"],
            Responses => {
                let items = answer["output"].as_array().unwrap();
                &items.iter().find(|item| item["type"] == "message").unwrap()["content"][0]["text"]
            }
            Messages => &answer["content"][0]["text"],
        };
        text.as_str()
            .unwrap_or_else(|| panic!("no text in {answer}"))
            .to_owned()
    }

    /// The text of a stream, put together; checks that it ends as the dialect's streams do.
    pub fn streamed_text(self, body: &str) -> String {
        let end = match self {
            Chat | Completions => "data: [DONE]\n\n",
            Responses => "}\n\n",
            Messages => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        };
        assert!(body.ends_with(end), "{self:?}: {body}");
        let mut all = String::new();
        for event in data(body) {
            let piece = match self {
                Chat => &event["choices"][0]["delta"]["content"],
                Completions => &event["choices"][0]["text"],
                Responses if event["type"] == "response.output_text.delta" => &event["delta"],
                Messages if event["delta"]["type"] == "text_delta" => &event["delta"]["text"],
                Responses | Messages => &Value::Null,
            };
            all.push_str(piece.as_str().unwrap_or_default());
        }
        if self == Responses {
            let last = data(body).pop().unwrap();
            assert_eq!(last["type"], "response.completed");
            assert_eq!(self.text(&last["response"]), all);
        }
        all
    }

    /// (input, output) tokens of a whole answer.
    pub fn usage(self, answer: &Value) -> (u64, u64) {
        let (input, output) = match self {
            Chat | Completions => ("prompt_tokens", "completion_tokens"),
            Responses | Messages => ("input_tokens", "output_tokens"),
        };
        let count = |field| {
            answer["usage"][field]
                .as_u64()
                .unwrap_or_else(|| panic!("no {field} in {answer}"))
        };
        (count(input), count(output))
    }

    /// The name and arguments of the call in a whole answer.
    pub fn call(self, answer: &Value) -> (Value, Value) {
        let parsed = |text: &Value| serde_json::from_str(text.as_str().unwrap()).unwrap();
        match self {
            Chat => {
                let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
                (call["name"].clone(), parsed(&call["arguments"]))
            }
            Responses => {
                let items = answer["output"].as_array().unwrap();
                let call = items.iter().find(|item| item["type"] == "function_call").unwrap();
                (call["name"].clone(), parsed(&call["arguments"]))
            }
            Messages => {
                let parts = answer["content"].as_array().unwrap();
                let call = parts.iter().find(|part| part["type"] == "tool_use").unwrap();
                (call["name"].clone(), call["input"].clone())
            }
            Completions => unreachable!("it has no calls"),
        }
    }

    pub fn assert_error(self, answer: &Answer, status: u16) -> String {
        if self == Messages {
            let kind = match status {
                400 => "invalid_request_error",
                429 => "rate_limit_error",
                503 => "overloaded_error",
                _ => "api_error",
            };
            return assert_anthropic_error(answer, status, kind);
        }
        assert_eq!(answer.status, status, "{self:?}: {}", answer.text());
        answer.error()
    }
}

/// The `data` of each event of a stream that is JSON.
pub fn data(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
}
