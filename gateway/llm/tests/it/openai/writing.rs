//! Requests for providers of Chat Completions, from conversations of other dialects.

use tokenweir_llm::conversation::{
    CacheControl, Effort, Extra, Format, Json, JsonSchema, Media, Message, Named, Part, PartKind, Reasoning, Report,
    Request, Role, Sampling, Source, Tool, ToolCall, ToolChoice, ToolResult,
};
use tokenweir_llm::dialect::{ChatCompletions, ChatFlavor, ProviderWire, Target};

use super::pretty;

fn raw(json: &str) -> Json {
    serde_json::from_str(json).unwrap()
}

fn message(role: Role, at: &str, parts: Vec<PartKind>) -> Message {
    let parts = parts.into_iter().enumerate();
    Message {
        role,
        parts: parts
            .map(|(index, kind)| Part::new(kind, format!("{at}.content[{index}]")))
            .collect(),
        name: None,
        at: at.into(),
    }
}

fn text(text: &str) -> PartKind {
    Part::text(text, "").kind
}

fn image() -> Source {
    Source::Inline(Media {
        media_type: "image/png".to_owned(),
        base64: "iVBORw0KGgo=".to_owned(),
    })
}

fn result(id: &str, parts: Vec<PartKind>, is_error: Option<bool>) -> PartKind {
    PartKind::ToolResult(ToolResult {
        id: id.to_owned(),
        parts: parts.into_iter().map(|kind| Part::new(kind, "result")).collect(),
        is_error,
    })
}

fn call(id: &str, arguments: &str) -> PartKind {
    PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "look".to_owned(),
        arguments: arguments.to_owned(),
        signature: Some("c2ln".to_owned()),
    })
}

fn thought(text: &str, signature: Option<&str>) -> PartKind {
    PartKind::Thinking {
        text: text.to_owned(),
        signature: signature.map(ToOwned::to_owned),
    }
}

/// The body for a flavor and what was reported.
fn written(request: &Request, chat: ChatFlavor) -> (String, Vec<String>) {
    let target = Target {
        model: "provider-model",
        chat,
        ..Target::default()
    };
    let mut report = Report::about(ChatCompletions::NAME);
    let body = ChatCompletions::write_request(request, &target, &mut report);
    let fields = report.finish().err().map(|found| found.fields).unwrap_or_default();
    (pretty(&body), fields.into_iter().map(Into::into).collect())
}

fn both(request: &Request) -> String {
    let show = |chat| {
        let (body, reported) = written(request, chat);
        format!("{chat:?}: {body}\nreported: {reported:?}")
    };
    format!("{}\n\n{}", show(ChatFlavor::OpenAi), show(ChatFlavor::Compatible))
}

fn conversation(messages: Vec<Message>) -> Request {
    Request {
        model: "m".to_owned(),
        messages,
        ..Request::default()
    }
}

#[test]
fn instructions_of_several_kinds() {
    insta::assert_snapshot!(both(&conversation(vec![
        message(Role::System, "system", vec![text("You are Claude."), text("Be brief.")]),
        message(Role::Developer, "messages[0]", vec![text("Use tools.")]),
        message(Role::User, "messages[1]", vec![text("Hi")]),
    ])));
}

#[test]
fn results_go_first_and_their_images_behind_them() {
    insta::assert_snapshot!(both(&conversation(vec![
        message(Role::User, "messages[0]", vec![text("Look at both")]),
        message(
            Role::Assistant,
            "messages[1]",
            vec![
                thought("They want both", Some("proof")),
                text("I look."),
                call("a", "{\"n\":1}"),
            ]
        ),
        message(Role::Assistant, "messages[2]", vec![call("b", "")]),
        message(
            Role::User,
            "messages[3]",
            vec![
                text("Here they are"),
                result(
                    "a",
                    vec![PartKind::Image {
                        source: image(),
                        detail: None
                    }],
                    None
                ),
            ]
        ),
        message(
            Role::User,
            "messages[4]",
            vec![result("b", vec![text("not found"), text("try again")], Some(true))]
        ),
        message(Role::User, "messages[5]", vec![text("And now?")]),
    ])));
}

#[test]
fn thoughts_in_clear_go_back_behind_calls_to_servers_that_want_them() {
    insta::assert_snapshot!(both(&conversation(vec![
        message(
            Role::Assistant,
            "messages[0]",
            vec![thought("no call follows", None), text("Hello")]
        ),
        message(Role::User, "messages[1]", vec![text("go")]),
        message(
            Role::Assistant,
            "messages[2]",
            vec![
                thought("I should look", None),
                thought("signed elsewhere", Some("proof")),
                PartKind::RedactedThinking {
                    data: "eA==".to_owned()
                },
                call("a", "{}"),
            ]
        ),
        message(Role::User, "messages[3]", vec![result("a", vec![], None)]),
    ])));
}

#[test]
fn media_in_all_forms_and_those_without_one() {
    let document = |source, name: Option<&str>, citations| PartKind::Document {
        source,
        name: name.map(ToOwned::to_owned),
        citations,
    };
    let inline = |media_type: &str| {
        Source::Inline(Media {
            media_type: media_type.to_owned(),
            base64: "QQ==".to_owned(),
        })
    };
    insta::assert_snapshot!(both(&conversation(vec![message(
        Role::User,
        "messages[0]",
        vec![
            PartKind::Image {
                source: Source::Url("https://example.com/a.png".to_owned()),
                detail: Some(Named::new("detail", "low".to_owned())),
            },
            PartKind::Image {
                source: Source::File("file-1".to_owned()),
                detail: None
            },
            PartKind::Audio {
                source: inline("audio/mpeg")
            },
            PartKind::Audio {
                source: inline("audio/flac")
            },
            document(inline("application/pdf"), None, false),
            document(inline("application/pdf"), Some("a.pdf"), true),
            document(Source::Text("plain".to_owned()), Some("Title"), false),
            document(Source::File("file-2".to_owned()), None, false),
            document(Source::Url("https://example.com/a.pdf".to_owned()), None, false),
        ]
    )])));
}

#[test]
fn a_refusal_is_one_for_openai_and_text_for_others() {
    insta::assert_snapshot!(both(&conversation(vec![message(
        Role::Assistant,
        "messages[0]",
        vec![PartKind::Refusal {
            text: "I cannot.".to_owned()
        }]
    )])));
}

#[test]
fn options_tools_and_formats() {
    let request = Request {
        tools: vec![Tool {
            name: "look".to_owned(),
            description: Some("Looks".to_owned()),
            parameters: Some(raw(r#"{"type":"object","properties":{"z":{},"a":{}}}"#)),
            strict: Some(true),
            cache: Some(CacheControl { ttl: None }),
            at: "tools[0]".into(),
        }],
        tool_choice: Some(Named::new("tool_choice", ToolChoice::Function("look".to_owned()))),
        parallel_tool_calls: Some(Named::new("disable_parallel_tool_use", false)),
        max_tokens: Some(Named::new("max_tokens", 1024)),
        sampling: Sampling {
            temperature: Some(Named::new("temperature", 0.7)),
            top_p: Some(Named::new("top_p", 0.9)),
            top_k: Some(Named::new("top_k", 5)),
            ..Sampling::default()
        },
        stop: Some(Named::new(
            "stop_sequences",
            ["1", "2", "3", "4", "5"].map(ToOwned::to_owned).to_vec(),
        )),
        format: Some(Named::new(
            "output_config.format",
            Format::JsonSchema(JsonSchema {
                name: None,
                description: None,
                schema: raw(r#"{"type":"object"}"#),
                strict: Some(true),
            }),
        )),
        reasoning: Some(Named::new("thinking", Reasoning::Budget(5000))),
        stream: true,
        user: Some(Named::new("metadata.user_id", "u".to_owned())),
        extras: vec![
            Extra {
                field: "text.verbosity".into(),
                value: raw("\"low\""),
            },
            Extra {
                field: "service_tier".into(),
                value: raw("\"flex\""),
            },
            Extra {
                field: "mcp_servers".into(),
                value: raw("[]"),
            },
        ],
        ..conversation(vec![message(Role::User, "messages[0]", vec![text("Hi")])])
    };
    insta::assert_snapshot!(both(&request));
}

#[test]
fn reasoning_becomes_an_effort() {
    let effort = |reasoning| {
        let request = Request {
            reasoning: Some(Named::new("thinking", reasoning)),
            ..conversation(Vec::new())
        };
        let (body, reported) = written(&request, ChatFlavor::OpenAi);
        assert!(reported.is_empty());
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["reasoning_effort"].as_str().map(ToOwned::to_owned)
    };
    for (reasoning, expected) in [
        (Reasoning::Off, Some("none")),
        (Reasoning::Adaptive, None),
        (Reasoning::Budget(4095), Some("low")),
        (Reasoning::Budget(4096), Some("medium")),
        (Reasoning::Budget(16_384), Some("high")),
        (Reasoning::Effort(Effort::Minimal), Some("minimal")),
        (Reasoning::Effort(Effort::Low), Some("low")),
        (Reasoning::Effort(Effort::Medium), Some("medium")),
        (Reasoning::Effort(Effort::High), Some("high")),
        (Reasoning::Effort(Effort::ExtraHigh), Some("xhigh")),
        (Reasoning::Effort(Effort::Max), Some("max")),
    ] {
        assert_eq!(effort(reasoning).as_deref(), expected, "{reasoning:?}");
    }
}

#[test]
fn a_tier_of_another_provider_is_reported() {
    let request = Request {
        extras: vec![Extra {
            field: "service_tier".into(),
            value: raw("\"standard_only\""),
        }],
        ..conversation(Vec::new())
    };
    assert_eq!(written(&request, ChatFlavor::OpenAi).1, ["service_tier"]);
}

#[test]
fn parallel_calls_are_not_spoken_of_without_tools() {
    let request = Request {
        parallel_tool_calls: Some(Named::new("parallel_tool_calls", false)),
        ..conversation(Vec::new())
    };
    let (body, reported) = written(&request, ChatFlavor::OpenAi);
    assert!(!body.contains("parallel_tool_calls") && reported.is_empty());
}
