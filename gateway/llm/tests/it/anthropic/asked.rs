//! Requests as clients of other dialects make them, in the shared terms.

use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;
use tokenweir_llm::conversation::{Media, Message, Part, PartKind, Request, Role, Source, Tool, ToolCall, ToolResult};

pub fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

pub fn message(role: Role, at: &str, parts: Vec<PartKind>) -> Message {
    Message {
        role,
        parts: (parts.into_iter().enumerate())
            .map(|(index, kind)| Part::new(kind, format!("{at}.content[{index}]")))
            .collect(),
        name: None,
        at: at.into(),
    }
}

pub fn text(text: &str) -> PartKind {
    PartKind::Text {
        text: text.to_owned(),
        citations: Vec::new(),
    }
}

pub fn call(id: &str, arguments: &str) -> PartKind {
    PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "get_weather".to_owned(),
        arguments: arguments.to_owned(),
        signature: None,
    })
}

pub fn result(id: &str, parts: Vec<PartKind>) -> PartKind {
    PartKind::ToolResult(ToolResult {
        id: id.to_owned(),
        parts: parts.into_iter().map(|kind| Part::new(kind, "result")).collect(),
        is_error: None,
    })
}

pub fn of(messages: Vec<Message>) -> Request {
    Request {
        model: "alias".to_owned(),
        messages,
        ..Request::default()
    }
}

pub fn hello() -> Request {
    of(vec![message(Role::User, "messages[0]", vec![text("Hello")])])
}

pub fn with_tools() -> Request {
    Request {
        tools: vec![Tool {
            name: "get_weather".to_owned(),
            description: Some("The weather.".to_owned()),
            parameters: Some(raw(
                &json!({"type": "object", "properties": {"location": {"type": "string"}}}),
            )),
            strict: Some(true),
            cache: None,
            at: "tools[0]".into(),
        }],
        ..hello()
    }
}

pub fn image(source: Source) -> PartKind {
    PartKind::Image { source, detail: None }
}

pub fn inline(media_type: &str, base64: &str) -> Source {
    Source::Inline(Media {
        media_type: media_type.to_owned(),
        base64: base64.to_owned(),
    })
}
