//! Requests, answers and streams as they may be: what the laws are held against.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use tokenweir_llm::Usage;
use tokenweir_llm::conversation::{
    Answer, CacheControl, Choice, Citation, Effort, Finish, Format, Json, JsonSchema, Media, Message, Named, Part,
    PartKind, Reasoning, Request, Role, Source, Tool, ToolCall, ToolChoice, ToolResult,
};

use super::COMPATIBLE;

/// A model that takes efforts, and instructions behind a user's turn.
pub const ADAPTIVE: &str = "claude-opus-4-8";

fn words() -> impl Strategy<Value = String> {
    "[ -~äß日\n]{0,12}[a-z]"
}

fn object() -> impl Strategy<Value = String> {
    prop::collection::btree_map(
        "[a-z\"]{1,4}",
        select(vec!["1", "null", "\"ü\\n\"", "[1, {}]", "{\"a\":2.50}"]),
        0..3,
    )
    .prop_map(|entries| {
        let entries: Vec<String> = (entries.iter())
            .map(|(key, value)| format!("{}: {value}", json!(key)))
            .collect();
        format!("{{{}}}", entries.join(","))
    })
}

fn raw(text: String) -> Json {
    serde_json::value::RawValue::from_string(text).unwrap()
}

fn cache() -> impl Strategy<Value = Option<CacheControl>> {
    prop::option::weighted(0.2, prop::option::of(select(vec!["5m".to_owned(), "1h".to_owned()])))
        .prop_map(|mark| mark.map(|ttl| CacheControl { ttl }))
}

fn text(citations: impl Strategy<Value = Vec<Citation>>) -> impl Strategy<Value = PartKind> {
    (words(), citations).prop_map(|(text, citations)| PartKind::Text { text, citations })
}

fn place() -> impl Strategy<Value = Citation> {
    (0u8..9).prop_map(|index| {
        let place = json!({"type": "char_location", "document_index": index, "cited_text": "c"});
        Citation::Document(raw(place.to_string()))
    })
}

fn page() -> impl Strategy<Value = Citation> {
    (words(), prop::option::of(words()), prop::option::of(words())).prop_map(|(url, title, cited_text)| Citation::Url {
        url,
        title,
        range: None,
        cited_text,
    })
}

fn source(media_type: &'static str) -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Inline(Media {
            media_type: media_type.to_owned(),
            base64: "AAAA".to_owned()
        })),
        words().prop_map(Source::Url),
        words().prop_map(Source::File),
    ]
}

fn medium() -> impl Strategy<Value = PartKind> {
    prop_oneof![
        text(Just(Vec::new())),
        source("image/png").prop_map(|source| PartKind::Image { source, detail: None }),
        (
            prop_oneof![source("application/pdf"), words().prop_map(Source::Text)],
            prop::option::of(words()),
            any::<bool>()
        )
            .prop_map(|(source, name, citations)| PartKind::Document {
                source,
                name,
                citations
            }),
    ]
}

fn id() -> impl Strategy<Value = String> {
    "toolu_[a-zA-Z0-9]{1,6}"
}

fn result() -> impl Strategy<Value = PartKind> {
    let parts = prop::collection::vec(part(medium()), 0..3);
    (id(), parts, prop::option::of(any::<bool>()))
        .prop_map(|(id, parts, is_error)| PartKind::ToolResult(ToolResult { id, parts, is_error }))
}

fn call() -> impl Strategy<Value = PartKind> {
    (id(), "[a-z_]{1,6}", object()).prop_map(|(id, name, arguments)| {
        PartKind::ToolCall(ToolCall {
            id,
            name,
            arguments,
            signature: None,
        })
    })
}

fn thought() -> impl Strategy<Value = PartKind> {
    prop_oneof![
        (words(), "[A-Za-z0-9+/]{1,8}").prop_map(|(text, signature)| PartKind::Thinking {
            text,
            signature: Some(signature),
        }),
        words().prop_map(|data| PartKind::RedactedThinking { data }),
    ]
}

fn part(kind: impl Strategy<Value = PartKind>) -> impl Strategy<Value = Part> {
    (kind, cache()).prop_map(|(kind, cache)| {
        let bears = !matches!(kind, PartKind::Thinking { .. } | PartKind::RedactedThinking { .. });
        Part {
            cache: cache.filter(|_| bears),
            ..Part::new(kind, "")
        }
    })
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
        at: "".into(),
    }
}

/// A user's turn, perhaps instructions behind it, and the assistant's.
fn turns(late: bool) -> impl Strategy<Value = Vec<Message>> {
    let user = (
        prop::collection::vec(part(result()), 0..3),
        prop::collection::vec(part(medium()), 1..3),
    );
    let system = prop::collection::vec(part(text(Just(Vec::new()))), 0..=usize::from(late));
    let said = prop_oneof![text(prop::collection::vec(place(), 0..2)), call(), thought()];
    let assistant = prop::collection::vec(part(said), 1..4);
    let turn = (user, system, assistant).prop_map(|((results, media), system, assistant)| {
        let mut messages = vec![message(Role::User, [results, media].concat())];
        if !system.is_empty() {
            messages.push(message(Role::System, system));
        }
        messages.push(message(Role::Assistant, assistant));
        messages
    });
    prop::collection::vec(turn, 0..3).prop_map(|turns| turns.concat())
}

fn tool() -> impl Strategy<Value = Tool> {
    (
        "[a-z_]{1,6}",
        prop::option::of(words()),
        select(vec![
            r#"{"type":"object"}"#,
            r#"{"type": "object", "properties": {"a": {}}}"#,
        ]),
        prop::option::of(any::<bool>()),
        cache(),
    )
        .prop_map(|(name, description, schema, strict, cache)| Tool {
            name,
            description,
            parameters: Some(raw(schema.to_owned())),
            strict,
            cache,
            at: "".into(),
        })
}

type Tools = (Vec<Tool>, Option<Named<ToolChoice>>, Option<Named<bool>>);

fn tools() -> impl Strategy<Value = Tools> {
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        Just(ToolChoice::None),
        "[a-z]{1,4}".prop_map(ToolChoice::Function),
    ];
    (
        prop::collection::vec(tool(), 0..3),
        prop::option::of(choice),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(tools, choice, parallel)| {
            let choice = choice.filter(|_| !tools.is_empty());
            let parallel = parallel.filter(|_| choice.as_ref().is_some_and(|choice| *choice != ToolChoice::None));
            (
                tools,
                choice.map(|choice| Named::new("tool_choice", choice)),
                parallel.map(|parallel| Named::new("tool_choice.disable_parallel_tool_use", parallel)),
            )
        })
}

fn reasoning(model: &'static str) -> impl Strategy<Value = Option<Named<Reasoning>>> {
    let own = if model == COMPATIBLE {
        (1024u64..2000)
            .prop_map(|budget| Named::new("thinking.budget_tokens", Reasoning::Budget(budget)))
            .boxed()
    } else {
        select(vec![
            Effort::Low,
            Effort::Medium,
            Effort::High,
            Effort::ExtraHigh,
            Effort::Max,
        ])
        .prop_map(|effort| Named::new("output_config.effort", Reasoning::Effort(effort)))
        .boxed()
    };
    prop::option::of(prop_oneof![
        Just(Named::new("thinking", Reasoning::Off)),
        Just(Named::new("thinking", Reasoning::Adaptive)),
        own,
    ])
}

/// What the dialect can say for a model.
pub fn request(model: &'static str) -> impl Strategy<Value = Request> {
    let sampling = (
        prop::option::of(select(vec![0.0, 0.25, 1.0])),
        prop::option::of(select(vec![0.5, 1.0])),
        prop::option::of(0u64..100),
    );
    let conversation = (
        prop::collection::vec(part(text(Just(Vec::new()))), 0..3),
        turns(model == ADAPTIVE),
    );
    let rest = (
        2000u64..9000,
        prop::collection::vec(words(), 0..3),
        any::<bool>(),
        prop::option::of(words()),
        prop::option::of(object()),
    );
    (conversation, tools(), reasoning(model), sampling, rest).prop_map(
        move |((system, turns), (tools, tool_choice, parallel_tool_calls), reasoning, sampling, rest)| {
            let (max_tokens, stop, stream, user, schema) = rest;
            let mut request = Request {
                model: model.to_owned(),
                tools,
                tool_choice,
                parallel_tool_calls,
                reasoning,
                max_tokens: Some(Named::new("max_tokens", max_tokens)),
                stop: (!stop.is_empty()).then(|| Named::new("stop_sequences", stop)),
                stream,
                include_usage: true,
                user: user.map(|user| Named::new("metadata.user_id", user)),
                format: schema.map(|schema| {
                    let schema = JsonSchema {
                        name: None,
                        description: None,
                        schema: raw(schema),
                        strict: Some(true),
                    };
                    Named::new("output_config.format", Format::JsonSchema(schema))
                }),
                ..Request::default()
            };
            if !system.is_empty() {
                request.messages.push(message(Role::System, system));
            }
            request.messages.extend(turns);
            if model == COMPATIBLE {
                let (temperature, top_p, top_k) = sampling;
                request.sampling.temperature = temperature.map(|value| Named::new("temperature", value));
                request.sampling.top_p = top_p.map(|value| Named::new("top_p", value));
                request.sampling.top_k = top_k.map(|value| Named::new("top_k", value));
            }
            request
        },
    )
}

fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        Just(Finish::Stop),
        words().prop_map(|text| Finish::StopSequence(Some(text))),
        Just(Finish::Length),
        Just(Finish::ContextFull),
        Just(Finish::ToolCalls),
        Just(Finish::Refusal),
        Just(Finish::Pause),
    ]
}

/// An answer that has ended with calls waits for them.
fn ending(finish: Finish, parts: &[PartKind]) -> Finish {
    let calls = parts.iter().any(|part| matches!(part, PartKind::ToolCall(_)));
    match finish {
        Finish::Stop | Finish::StopSequence(_) if calls => Finish::ToolCalls,
        other => other,
    }
}

pub fn answer() -> impl Strategy<Value = Answer> {
    let said = prop_oneof![
        text(prop::collection::vec(prop_oneof![place(), page()], 0..3)),
        call(),
        thought(),
    ];
    let usage = (
        0u64..500,
        prop::option::of(0u64..500),
        prop::option::of(0u64..500),
        0u64..500,
    );
    ("[a-z0-9]{0,6}", prop::collection::vec(said, 0..5), finish(), usage).prop_map(
        |(id, parts, finish, (input, cached, written, completion))| Answer {
            id: format!("msg_{id}"),
            model: "claude".to_owned(),
            created: None,
            choices: vec![Choice {
                finish: ending(finish, &parts),
                parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
                logprobs: None,
            }],
            usage: Usage {
                prompt_tokens: Some(input + cached.unwrap_or(0) + written.unwrap_or(0)),
                completion_tokens: Some(completion),
                cached_tokens: cached,
                cache_write_tokens: written,
                ..Usage::default()
            },
        },
    )
}

/// Events as a provider should not send them, and those that it should, in any order.
pub fn wild() -> impl Strategy<Value = Vec<u8>> {
    let index = 0u8..3;
    let piece = prop_oneof![
        Just(json!({"type": "message_start", "message": {"id": "a", "usage": {"input_tokens": 1}}})),
        Just(json!({"type": "message_start"})),
        Just(json!({"type": "ping"})),
        (index.clone(), select(vec!["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", ""])).prop_map(
            |(index, kind)| json!({"type": "content_block_start", "index": index, "content_block": {
                "type": kind, "text": "t", "thinking": "h", "signature": "s", "id": "i", "input": {"a": 1}}})
        ),
        (index.clone(), select(vec!["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"]))
            .prop_map(|(index, kind)| json!({"type": "content_block_delta", "index": index, "delta": {
                "type": kind, "text": "t", "thinking": "h", "signature": "s", "partial_json": "{", "citation": {"type": "x"}}})),
        index.prop_map(|index| json!({"type": "content_block_stop", "index": index})),
        Just(json!({"type": "content_block_stop"})),
        Just(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})),
        Just(json!({"type": "message_delta", "delta": {"stop_reason": "refusal",
            "stop_details": {"type": "refusal", "explanation": "no"}}})),
        Just(json!({"type": "message_delta", "usage": {"output_tokens": 2}})),
        Just(json!({"type": "message_stop"})),
        Just(json!({"type": "error", "error": {"type": "api_error", "message": "m"}})),
        Just(json!(["no object"])),
    ];
    prop::collection::vec((piece, 0u8..20), 0..14).prop_map(|pieces| {
        (pieces.iter())
            .map(|(data, odd)| match odd {
                0 => "data: {\n\n".to_owned(),
                1 => format!("data: {data}\r\n\r\n"),
                2 => ": comment\n\n".to_owned(),
                _ => format!("event: x\ndata: {data}\n\n"),
            })
            .collect::<String>()
            .into_bytes()
    })
}
