//! Makes requests and answers of all that Chat Completions can express.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tokenweir_llm::Usage;
use tokenweir_llm::conversation::{
    Answer, Choice, Citation, Effort, Finish, Format, Json, JsonSchema, Media, Message, Named, Part, PartKind,
    Reasoning, Request, Role, Sampling, Source, Tool, ToolCall, ToolChoice, ToolResult,
};

/// Texts dense in what JSON and SSE treat as special.
pub(super) fn words() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\n\r\t{}:ü日 ]{1,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,12}"
}

pub(super) fn json() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just("{}"),
        Just(r#"{"type":"object","properties":{"b":{"type":"number"},"a":{}},"required":["b"]}"#),
        Just(r#"{ "x" : [1.50, null, "}"] }"#),
    ]
    .prop_map(|text| serde_json::from_str(text).unwrap())
}

fn text() -> impl Strategy<Value = PartKind> {
    words().prop_map(|text| PartKind::Text {
        text,
        citations: Vec::new(),
    })
}

fn media(types: &'static [&'static str]) -> impl Strategy<Value = Source> {
    (prop::sample::select(types), "[A-Za-z0-9+/]{0,8}").prop_map(|(media_type, base64)| {
        Source::Inline(Media {
            media_type: media_type.to_owned(),
            base64,
        })
    })
}

fn of_user() -> impl Strategy<Value = PartKind> {
    let image = prop_oneof![
        media(&["image/png", "image/jpeg"]),
        "[a-z]{1,5}".prop_map(|path| Source::Url(format!("https://example.com/{path}"))),
    ];
    let detail = option::of(prop::sample::select(&["low", "high", "original"][..]));
    let document = prop_oneof![
        (media(&["application/pdf", "text/csv"]), name()).prop_map(|(source, name)| (source, Some(name))),
        (name(), option::of(name())).prop_map(|(id, name)| (Source::File(id), name)),
    ];
    prop_oneof![
        4 => text(),
        1 => (image, detail).prop_map(|(source, detail)| PartKind::Image {
            source,
            detail: detail.map(|detail| Named::new("detail", detail.to_owned())),
        }),
        1 => media(&["audio/wav", "audio/mpeg"]).prop_map(|source| PartKind::Audio { source }),
        1 => document.prop_map(|(source, name)| PartKind::Document { source, name, citations: false }),
    ]
}

pub(super) fn call() -> impl Strategy<Value = ToolCall> {
    (name(), name(), "\\{[a-z\":]{0,9}\\}", option::of(name())).prop_map(|(id, name, arguments, signature)| ToolCall {
        id,
        name,
        arguments,
        signature,
    })
}

fn message(role: Role, parts: Vec<PartKind>, name: Option<String>) -> Message {
    Message {
        role,
        parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
        name: name.map(|name| Named::new("name", name)),
        at: "".into(),
    }
}

/// A turn of the model and what is said to it next.
fn turn() -> impl Strategy<Value = Vec<Message>> {
    let said = vec(text(), 1..3);
    let refusal = words().prop_map(|text| PartKind::Refusal { text });
    let results = vec((name(), vec(text(), 1..3)), 1..3).prop_map(|results| {
        (results.into_iter())
            .map(|(id, parts)| {
                PartKind::ToolResult(ToolResult {
                    id,
                    parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
                    is_error: None,
                })
            })
            .collect::<Vec<_>>()
    });
    let assistant = (
        said,
        option::of(refusal),
        vec(call().prop_map(PartKind::ToolCall), 0..3),
        option::of(name()),
    );
    (
        assistant,
        option::of(results),
        option::of(vec(of_user(), 1..4)),
        option::of(name()),
    )
        .prop_map(|((mut parts, refusal, calls, by), results, user, name)| {
            parts.extend(refusal);
            parts.extend(calls);
            let mut turn = vec![message(Role::Assistant, parts, by)];
            turn.extend(results.map(|parts| message(Role::User, parts, None)));
            // Messages of the model must not follow each other, as they would become one.
            let user = user.unwrap_or_else(|| {
                vec![PartKind::Text {
                    text: "go on".to_owned(),
                    citations: Vec::new(),
                }]
            });
            turn.push(message(Role::User, user, name));
            turn
        })
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let instructor = prop_oneof![Just(Role::System), Just(Role::Developer)];
    let instructions =
        (instructor, vec(text(), 1..3), option::of(name())).prop_map(|(role, parts, name)| message(role, parts, name));
    let opening = (vec(of_user(), 1..4), option::of(name())).prop_map(|(parts, name)| message(Role::User, parts, name));
    (vec(instructions, 0..3), opening, vec(turn(), 0..4)).prop_map(|(mut all, opening, turns)| {
        all.push(opening);
        all.extend(turns.into_iter().flatten());
        all
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    (
        name(),
        option::of(words()),
        option::of(json()),
        option::of(any::<bool>()),
    )
        .prop_map(|(name, description, parameters, strict)| Tool {
            name,
            description,
            parameters,
            strict,
            cache: None,
            at: "".into(),
        })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let penalty = || option::of(-2.0..2.0);
    (
        option::of(0.0..2.0),
        option::of(0.0..1.0),
        penalty(),
        penalty(),
        option::of(any::<i64>()),
        option::of(any::<bool>()),
        option::of(0..20_u64),
    )
        .prop_map(
            |(temperature, top_p, presence, frequency, seed, logprobs, top_logprobs)| Sampling {
                temperature: temperature.map(|value| Named::new("temperature", value)),
                top_p: top_p.map(|value| Named::new("top_p", value)),
                top_k: None,
                presence_penalty: presence.map(|value| Named::new("presence_penalty", value)),
                frequency_penalty: frequency.map(|value| Named::new("frequency_penalty", value)),
                seed: seed.map(|value| Named::new("seed", value)),
                logprobs: logprobs.map(|value| Named::new("logprobs", value)),
                top_logprobs: top_logprobs.map(|value| Named::new("top_logprobs", value)),
            },
        )
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Text),
        Just(Format::JsonObject),
        (name(), option::of(words()), json(), option::of(any::<bool>())).prop_map(
            |(name, description, schema, strict)| Format::JsonSchema(JsonSchema {
                name: Some(name),
                description,
                schema,
                strict,
            })
        ),
    ]
}

fn reasoning() -> impl Strategy<Value = Reasoning> {
    prop::sample::select(vec![
        Reasoning::Off,
        Reasoning::Effort(Effort::Minimal),
        Reasoning::Effort(Effort::Low),
        Reasoning::Effort(Effort::Medium),
        Reasoning::Effort(Effort::High),
        Reasoning::Effort(Effort::ExtraHigh),
        Reasoning::Effort(Effort::Max),
    ])
}

/// Requests that OpenAI's Chat Completions can express whole.
pub(super) fn request() -> impl Strategy<Value = Request> {
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Function),
    ];
    let tools = (vec(tool(), 1..3), option::of(choice), option::of(any::<bool>()));
    let limits = (
        option::of(any::<u64>()),
        option::of(vec(words(), 1..=4)),
        option::of(1..9_u64),
    );
    let rest = (
        option::of(format()),
        option::of(reasoning()),
        any::<bool>(),
        option::of(words()),
    );
    (name(), messages(), option::of(tools), limits, sampling(), rest).prop_map(
        |(model, messages, tools, (most, stop, n), sampling, (format, reasoning, stream, user))| {
            let (tools, choice, parallel) = tools.unwrap_or_default();
            Request {
                model,
                messages,
                tools,
                tool_choice: choice.map(|value| Named::new("tool_choice", value)),
                parallel_tool_calls: parallel.map(|value| Named::new("parallel_tool_calls", value)),
                max_tokens: most.map(|value| Named::new("max_completion_tokens", value)),
                sampling,
                stop: stop.map(|value| Named::new("stop", value)),
                n: n.map(|value| Named::new("n", value)),
                format: format.map(|value| Named::new("response_format", value)),
                reasoning: reasoning.map(|value| Named::new("reasoning_effort", value)),
                stream,
                // Always asked for, so that tokens are counted.
                include_usage: stream,
                user: user.map(|value| Named::new("user", value)),
                ..Request::default()
            }
        },
    )
}

fn thoughts() -> impl Strategy<Value = Vec<PartKind>> {
    let signed = (words(), name()).prop_map(|(text, signature)| PartKind::Thinking {
        text,
        signature: Some(signature),
    });
    let redacted = name().prop_map(|data| PartKind::RedactedThinking { data });
    let clear = words().prop_map(|text| vec![PartKind::Thinking { text, signature: None }]);
    prop_oneof![vec(prop_oneof![signed, redacted], 0..3), clear]
}

fn cited() -> impl Strategy<Value = PartKind> {
    let citation =
        (name(), option::of(name()), 0..50_u64, 0..50_u64).prop_map(|(path, title, from, length)| Citation::Url {
            url: format!("https://example.com/{path}"),
            title,
            range: Some((from, from + length)),
            cited_text: None,
        });
    (words(), vec(citation, 0..3)).prop_map(|(text, citations)| PartKind::Text { text, citations })
}

fn choice() -> impl Strategy<Value = Choice> {
    let end = prop_oneof![Just(Finish::Stop), Just(Finish::Length), Just(Finish::ContentFilter)];
    let refusal = words().prop_map(|text| PartKind::Refusal { text });
    let calls = vec(call().prop_map(PartKind::ToolCall), 0..3);
    (
        thoughts(),
        option::of(cited()),
        option::of(refusal),
        calls,
        end,
        option::of(json()),
    )
        .prop_map(|(mut parts, text, refusal, calls, end, logprobs)| {
            let (refused, called) = (refusal.is_some(), !calls.is_empty());
            parts.extend(text);
            parts.extend(refusal);
            parts.extend(calls);
            Choice {
                parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
                finish: match end {
                    Finish::Stop if called => Finish::ToolCalls,
                    Finish::Stop if refused => Finish::Refusal,
                    other => other,
                },
                logprobs,
            }
        })
}

fn usage() -> impl Strategy<Value = Usage> {
    let some = || option::of(0..1_000_000_u64);
    let counts = (0..1_000_000_u64, 0..1_000_000_u64, 0..2_000_000_u64);
    (counts, some(), some(), some(), some(), some()).prop_map(
        |((prompt, completion, total), cached, written, audio_in, reasoning, audio_out)| Usage {
            prompt_tokens: Some(prompt),
            completion_tokens: Some(completion),
            total_tokens: Some(total),
            cached_tokens: cached,
            cache_write_tokens: written,
            cache_write_1h_tokens: None,
            input_audio_tokens: audio_in,
            reasoning_tokens: reasoning,
            output_audio_tokens: audio_out,
        },
    )
}

/// Answers that Chat Completions can express whole.
pub(super) fn answer() -> impl Strategy<Value = Answer> {
    (name(), name(), any::<u32>(), vec(choice(), 1..3), option::of(usage())).prop_map(
        |(id, model, created, choices, usage)| Answer {
            id,
            model,
            created: Some(created.into()),
            choices,
            usage: usage.unwrap_or_default(),
        },
    )
}
