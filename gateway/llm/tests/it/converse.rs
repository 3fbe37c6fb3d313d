use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as AwsMessage};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokenweir_llm::ErrorKind;
use tokenweir_llm::conversation::{
    CacheControl, Effort, Event, Finish, Format, JsonSchema, Media, Named, Part, PartKind, Reasoning, Request, Role,
    Sampling, Source, Tool, ToolCall, ToolChoice, ToolResult,
};
use tokenweir_llm::dialect::converse::eventstream::{Decoder, FrameError, encode};
use tokenweir_llm::dialect::{Converse, ProviderWire as _};

use crate::promises::keeps_its_promises;
use crate::wires::{cut, damaged, events_of, lines, message, raw, text, written};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn inline(media_type: &str) -> Source {
    Source::Inline(Media {
        media_type: media_type.to_owned(),
        base64: "aGk=".to_owned(),
    })
}

fn document(source: Source, name: Option<&str>) -> PartKind {
    PartKind::Document {
        source,
        name: name.map(str::to_owned),
        citations: false,
    }
}

fn weather() -> Tool {
    Tool {
        name: "get_weather".to_owned(),
        description: Some(String::new()),
        parameters: None,
        strict: Some(true),
        cache: Some(CacheControl {
            ttl: Some("1h".to_owned()),
        }),
        at: "tools[0]".into(),
    }
}

#[test]
fn a_conversation_with_media_caches_and_limits_is_written() {
    let mut system = message(Role::System, "messages[0]", vec![text("Be brief.")]);
    system.parts[0].cache = Some(CacheControl { ttl: None });
    let image = |source| PartKind::Image { source, detail: None };
    let request = Request {
        messages: vec![
            system,
            message(
                Role::User,
                "messages[1]",
                vec![
                    text("What is this?"),
                    text("  \n"),
                    image(inline("image/jpeg")),
                    image(Source::Url("s3://bucket/cat.png".to_owned())),
                    image(Source::Url("https://example.com/cat.png".to_owned())),
                    image(inline("image/tiff")),
                    document(inline("application/pdf"), Some("Q3: report_v2.pdf")),
                    document(Source::Text("words".to_owned()), Some("Q3: report_v2.pdf")),
                    PartKind::Audio {
                        source: inline("audio/mpeg"),
                    },
                ],
            ),
            message(Role::Developer, "messages[2]", vec![text("Now in French.")]),
            message(Role::User, "messages[3]", vec![text("Please.")]),
        ],
        max_tokens: Some(Named::new("max_tokens", 100)),
        sampling: Sampling {
            temperature: Some(Named::new("temperature", 1.5)),
            top_p: Some(Named::new("top_p", 0.9)),
            top_k: Some(Named::new("top_k", 40)),
            seed: Some(Named::new("seed", 7)),
            ..Sampling::default()
        },
        stop: Some(Named::new("stop", vec!["END".to_owned()])),
        n: Some(Named::new("n", 1)),
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Converse>(&request, CLAUDE));
}

#[test]
fn calls_results_and_signed_thoughts_are_written() {
    let call = |id: &str, arguments: &str| {
        PartKind::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "get_weather".to_owned(),
            arguments: arguments.to_owned(),
            signature: None,
        })
    };
    let thinking = |text: &str, signature: Option<&str>| PartKind::Thinking {
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    };
    let result = |id: &str, is_error| {
        PartKind::ToolResult(ToolResult {
            id: id.to_owned(),
            parts: vec![
                Part::text("15 C", "messages[2].content[0]"),
                Part::new(
                    PartKind::Image {
                        source: inline("image/png"),
                        detail: None,
                    },
                    "messages[2].content[1]",
                ),
            ],
            is_error,
        })
    };
    let mut request = Request {
        messages: vec![
            message(Role::User, "messages[0]", vec![text("Weather?")]),
            message(
                Role::Assistant,
                "messages[1]",
                vec![
                    thinking("Of Claude.", Some("EqQBCgIYAhIM")),
                    thinking("Of Gemini.", Some("gemini:c2ln")),
                    thinking("Of nobody.", None),
                    PartKind::RedactedThinking {
                        data: "EmwKAhgB".to_owned(),
                    },
                    call("a", r#"{"city":"Paris"}"#),
                    call("b", ""),
                    call("c", "not JSON"),
                ],
            ),
            message(
                Role::User,
                "messages[2]",
                vec![result("a", None), result("b", Some(true))],
            ),
        ],
        tools: vec![weather()],
        tool_choice: Some(Named::new("tool_choice", ToolChoice::Required)),
        parallel_tool_calls: Some(Named::new("parallel_tool_calls", false)),
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Converse>(&request, CLAUDE));
    request.tool_choice = Some(Named::new("tool_choice", ToolChoice::None));
    let forbidden = written::<Converse>(&request, CLAUDE);
    assert!(forbidden.contains("tool_choice"), "{forbidden}");
    request.messages.truncate(1);
    let without_calls = written::<Converse>(&request, CLAUDE);
    assert!(
        !without_calls.contains("tool_choice") && !without_calls.contains("toolConfig"),
        "{without_calls}"
    );
}

#[test]
fn ids_and_schemas_become_what_bedrock_takes() {
    let call = PartKind::ToolCall(ToolCall {
        id: "functions.f:0".to_owned(),
        name: "f".to_owned(),
        arguments: String::new(),
        signature: None,
    });
    let result = PartKind::ToolResult(ToolResult {
        id: "functions.f:0".to_owned(),
        parts: vec![Part::text("ok", "messages[1].content")],
        is_error: None,
    });
    let request = Request {
        messages: vec![
            message(Role::Assistant, "messages[0]", vec![call]),
            message(Role::User, "messages[1]", vec![result]),
        ],
        tools: vec![Tool {
            parameters: Some(raw(r#"{"properties":{"a":{}}}"#)),
            ..weather()
        }],
        ..Request::default()
    };
    let written = written::<Converse>(&request, CLAUDE);
    let body: serde_json::Value = serde_json::from_str(&written).unwrap();
    let id = &body["messages"][0]["content"][0]["toolUse"]["toolUseId"];
    assert_eq!(id, "esc_functions_2ef_3a0");
    assert_eq!(&body["messages"][1]["content"][0]["toolResult"]["toolUseId"], id);
    assert_eq!(
        body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"],
        serde_json::json!({"type": "object", "properties": {"a": {}}})
    );
}

#[test]
fn a_schema_for_the_answer_has_a_place_and_any_json_has_none() {
    let mut request = Request {
        format: Some(Named::new(
            "response_format",
            Format::JsonSchema(JsonSchema {
                name: Some("out".to_owned()),
                description: None,
                schema: raw(r#"{"type": "object"}"#),
                strict: Some(true),
            }),
        )),
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Converse>(&request, CLAUDE));
    request.format = Some(Named::new("response_format", Format::JsonObject));
    assert!(written::<Converse>(&request, CLAUDE).ends_with("reported: response_format"));
}

#[test]
fn reasoning_and_top_k_go_where_the_family_of_the_model_takes_them() {
    let fields = |reasoning, top_k: Option<u64>, model: &str| {
        let request = Request {
            reasoning: Some(Named::new("reasoning_effort", reasoning)),
            sampling: Sampling {
                top_k: top_k.map(|k| Named::new("top_k", k)),
                ..Sampling::default()
            },
            ..Request::default()
        };
        let written = written::<Converse>(&request, model);
        let (body, reported) = written.split_once("\nreported: ").unwrap_or((&written, ""));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        format!(
            "{} {} {reported}",
            body["additionalModelRequestFields"], body["outputConfig"]
        )
    };
    let nova = "us.amazon.nova-2-lite-v1:0";
    for (reasoning, top_k, model, expected) in [
        (
            Reasoning::Effort(Effort::Medium),
            Some(5),
            CLAUDE,
            r#"{"thinking":{"budget_tokens":16000,"type":"enabled"}} null top_k"#,
        ),
        (
            Reasoning::Effort(Effort::Max),
            None,
            "global.anthropic.claude-opus-4-6-v1",
            r#"{"thinking":{"type":"adaptive"}} {"effort":"max"} "#,
        ),
        (
            Reasoning::Off,
            None,
            CLAUDE,
            r#"{"thinking":{"type":"disabled"}} null "#,
        ),
        (
            Reasoning::Effort(Effort::Low),
            Some(5),
            nova,
            r#"{"inferenceConfig":{"topK":5},"reasoningConfig":{"maxReasoningEffort":"low","type":"enabled"}} null "#,
        ),
        (
            Reasoning::Effort(Effort::High),
            Some(5),
            "openai.gpt-oss-120b-1:0",
            r#"{"reasoning_effort":"high"} null top_k"#,
        ),
        (
            Reasoning::Budget(2_000),
            Some(5),
            "meta.llama4-maverick-17b-instruct-v1:0",
            "null null top_k, reasoning_effort",
        ),
    ] {
        assert_eq!(fields(reasoning, top_k, model), expected, "{model}");
    }
}

#[test]
fn an_answer_with_thoughts_calls_citations_and_caches_is_read() {
    insta::assert_debug_snapshot!(Converse::read_answer(ANSWER.as_bytes()).unwrap());
}

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[
        {"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"c2ln"}}},
        {"reasoningContent":{"redactedContent":"EmwK"}},
        {"text":"Look:"},
        {"citationsContent":{"content":[{"text":"The sky is blue."}],"citations":[
          {"title":"Sky","sourceContent":[{"text":"sky: blue"}],"location":{"documentChar":{"documentIndex":1,"start":3,"end":12}}},
          {"title":"Web","sourceContent":[{"text":"blue"}],"location":{"web":{"url":"https://e.com","domain":"e.com"}}},
          {"title":"Nowhere"}]}},
        {"toolUse":{"toolUseId":"tooluse_1","name":"get_weather","input":{"city": "Paris"}}},
        {"toolUse":{"toolUseId":"srv","name":"nova_grounding","input":{},"type":"server_tool_use"}},
        {"video":{}}]}},
      "stopReason":"tool_use","metrics":{"latencyMs":5},
      "usage":{"inputTokens":10,"outputTokens":20,"totalTokens":1130,"cacheReadInputTokens":1000,"cacheWriteInputTokens":100,
        "cacheDetails":[{"ttl":"1h","inputTokens":60},{"ttl":"5m","inputTokens":40}]}}"#;

#[test]
fn ends_are_told_apart_and_an_end_that_is_a_fault_is_no_answer() {
    let end = |reason: &str| {
        let body = format!(r#"{{"output":{{"message":{{"content":[]}}}},"stopReason":"{reason}"}}"#);
        Converse::read_answer(body.as_bytes()).map(|answer| answer.choices[0].finish.clone())
    };
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("stop_sequence", Finish::StopSequence(None)),
        ("guardrail_intervened", Finish::ContentFilter),
        ("content_filtered", Finish::ContentFilter),
        ("model_context_window_exceeded", Finish::ContextFull),
    ] {
        assert_eq!(end(reason).unwrap(), finish);
    }
    assert!(end("malformed_tool_use").is_err());
}

#[test]
fn errors_are_read_by_their_name_or_their_status() {
    for (status, body, kind, overflow) in [
        (
            400,
            r#"{"message":"Input is too long for requested model."}"#,
            ErrorKind::InvalidRequest,
            true,
        ),
        (
            400,
            r#"{"__type":"com.amazonaws#ThrottlingException:http://x","message":"slow"}"#,
            ErrorKind::RateLimited,
            false,
        ),
        (403, r#"{"Message":"no"}"#, ErrorKind::Forbidden, false),
        (424, r#"{"message":"model"}"#, ErrorKind::BadUpstream, false),
        (408, "{}", ErrorKind::UpstreamTimeout, false),
        (503, "<html>", ErrorKind::Unavailable, false),
    ] {
        let error = Converse::read_error(status, body.as_bytes());
        assert_eq!((error.kind, error.context_overflow), (kind, overflow), "{body}");
        assert!(!error.message.is_empty());
    }
}

/// A frame as Amazon's own crate writes it.
fn frame(kind: &str, name: &str, payload: &str) -> Vec<u8> {
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let type_header = if kind == "event" {
        ":event-type"
    } else {
        ":exception-type"
    };
    let message = AwsMessage::new(Bytes::copy_from_slice(payload.as_bytes()))
        .add_header(Header::new(":a-number", HeaderValue::Int64(7)))
        .add_header(Header::new(":bytes", HeaderValue::ByteArray(Bytes::from_static(b"x"))))
        .add_header(header(type_header, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut out = Vec::new();
    write_message_to(&message, &mut out).unwrap();
    out
}

/// Names and payloads of a stream.
const STREAM: &[(&str, &str)] = &[
    ("messageStart", r#"{"role":"assistant","p":"abcd"}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"ln"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"EmwK"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":2,"delta":{"text":"Zwei Städte"}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":2,"delta":{"citation":{"title":"T","location":{"web":{"url":"https://e.com"}}}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t1","name":"f"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":""}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"a\":"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"1}"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
    ("messageStop", r#"{"stopReason":"tool_use"}"#),
    (
        "metadata",
        r#"{"usage":{"inputTokens":10,"outputTokens":20,"totalTokens":30,"cacheReadInputTokens":0},"metrics":{"latencyMs":1}}"#,
    ),
];

fn stream() -> Vec<u8> {
    STREAM
        .iter()
        .flat_map(|(name, payload)| frame("event", name, payload))
        .collect()
}

#[test]
fn a_stream_becomes_events() {
    let events = events_of(Converse::stream(), &[&stream()]);
    keeps_its_promises(&events).unwrap();
    insta::assert_snapshot!(lines(&events));
}

#[test]
fn a_stream_that_fails_is_cut_or_is_damaged_says_so() {
    let error_of = |bytes: &[u8]| match events_of(Converse::stream(), &[bytes]).pop() {
        Some(Event::Error(error)) => (error.kind, error.message),
        other => panic!("{other:?}"),
    };
    for (name, kind) in [
        ("throttlingException", ErrorKind::RateLimited),
        ("modelStreamErrorException", ErrorKind::BadUpstream),
        ("internalServerException", ErrorKind::BadUpstream),
        ("validationException", ErrorKind::InvalidRequest),
        ("serviceUnavailableException", ErrorKind::Unavailable),
    ] {
        let bytes = frame("exception", name, r#"{"message":"no more"}"#);
        assert_eq!(error_of(&bytes), (kind, "no more".to_owned()));
    }
    let whole = stream();
    assert_eq!(error_of(&whole[..whole.len() / 2]).0, ErrorKind::BadUpstream);
    assert_eq!(error_of(&whole[..whole.len() - 1]).0, ErrorKind::BadUpstream);
    let mut damaged = whole.clone();
    damaged[whole.len() / 3] ^= 1;
    assert!(error_of(&damaged).1.contains("event of the stream"));
    assert!(error_of(b"HTTP/1.1 502 Bad Gateway\r\n").1.contains("damaged"));
    let odd = frame("event", "messageStop", "[");
    assert!(error_of(&odd).1.contains("messageStop"));
}

#[test]
fn a_stream_that_leaves_ever_more_open_is_ended() {
    let event = |name: &str, payload: &str| {
        let headers = [(":message-type", "event"), (":event-type", name)];
        encode(&headers, payload.as_bytes())
    };
    let blocks: Vec<Bytes> = (0..1_000)
        .map(|n| {
            let start = format!(r#"{{"contentBlockIndex":{n},"start":{{"toolUse":{{"toolUseId":"t","name":"f"}}}}}}"#);
            event("contentBlockStart", &start)
        })
        .collect();
    let proof = "x".repeat(1024 * 1024);
    let proof = format!(r#"{{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"signature":"{proof}"}}}}}}"#);
    let proofs = vec![event("contentBlockDelta", &proof); 20];
    for hostile in [blocks, proofs] {
        let events = events_of(
            Converse::stream(),
            &hostile.iter().map(|piece| &piece[..]).collect::<Vec<_>>(),
        );
        keeps_its_promises(&events).unwrap();
        let Some(Event::Error(error)) = events.last() else {
            panic!("an error");
        };
        assert!(error.message.contains("more open"), "{}", error.message);
    }
}

#[test]
fn a_frame_that_claims_to_be_huge_or_too_short_is_refused_before_its_bytes_come() {
    for (total, headers) in [(u32::MAX, 0), (64 * 1024 * 1024, 10), (15, 0), (16, 1), (20, u32::MAX)] {
        let mut prelude = Vec::new();
        prelude.extend_from_slice(&total.to_be_bytes());
        prelude.extend_from_slice(&headers.to_be_bytes());
        // The checksum of the lengths is right, so that only they are wrong.
        let checksum = crc32fast::hash(&prelude);
        prelude.extend_from_slice(&checksum.to_be_bytes());
        let mut decoder = Decoder::default();
        decoder.push(&prelude);
        assert_eq!(decoder.next_message(), Err(FrameError::Length), "{total} {headers}");
    }
}

proptest! {
    #[test]
    fn frames_are_read_as_amazon_writes_them_and_written_as_amazon_reads_them(
        name in "[a-z:-]{1,40}", value in ".{0,80}", payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let message = AwsMessage::new(payload.clone())
            .add_header(Header::new(name.clone(), HeaderValue::String(value.clone().into())));
        let mut theirs = Vec::new();
        write_message_to(&message, &mut theirs).unwrap();
        let ours = encode(&[(&name, &value)], &payload);
        prop_assert_eq!(&ours[..], &theirs[..]);
        let mut decoder = Decoder::default();
        decoder.push(&theirs);
        let read = decoder.next_message().unwrap().unwrap();
        prop_assert_eq!(read.header(&name), Some(value.as_str()));
        prop_assert_eq!(&read.payload[..], &payload[..]);
        prop_assert!(!decoder.is_cut());
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_events(at in prop::collection::vec(any::<usize>(), 0..12)) {
        let bytes = stream();
        let whole = lines(&events_of(Converse::stream(), &[&bytes]));
        prop_assert_eq!(lines(&events_of(Converse::stream(), &cut(&bytes, at))), whole);
    }

    #[test]
    fn what_was_right_and_is_damaged_breaks_no_reader(
        damage in prop::collection::vec((any::<usize>(), 0..12_usize, any::<usize>()), 1..4),
        which in any::<prop::sample::Index>(),
    ) {
        let _ = Converse::read_answer(damaged(ANSWER, &damage).as_bytes());
        // The framing is right, so that the payload is read.
        let which = which.index(STREAM.len());
        let bytes: Vec<u8> = STREAM
            .iter()
            .enumerate()
            .flat_map(|(n, (name, payload))| {
                let payload = if n == which { damaged(payload, &damage) } else { (*payload).to_owned() };
                frame("event", name, &payload)
            })
            .collect();
        let events = events_of(Converse::stream(), &[&bytes]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()), "{}", lines(&events));
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..400), status in 100_u16..600) {
        let _ = Converse::read_answer(&bytes);
        let _ = Converse::read_error(status, &bytes);
        let events = events_of(Converse::stream(), &[&bytes]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()));
    }

    /// Events in any order, with any index, right or wrong.
    #[test]
    fn events_out_of_order_keep_the_promises(
        order in prop::collection::vec((0..10_usize, 0..4_u32), 0..30),
    ) {
        let mut bytes = BytesMut::new();
        for (kind, index) in order {
            let (name, payload) = match kind {
                0 => ("contentBlockStart", format!(r#"{{"contentBlockIndex":{index},"start":{{"toolUse":{{"toolUseId":"t","name":"f"}}}}}}"#)),
                1 => ("contentBlockStart", format!(r#"{{"contentBlockIndex":{index},"start":{{"image":{{}}}}}}"#)),
                2 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"x"}}}}"#)),
                3 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"toolUse":{{"input":"x"}}}}}}"#)),
                4 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"reasoningContent":{{"text":"x"}}}}}}"#)),
                5 => ("contentBlockDelta", format!(r#"{{"contentBlockIndex":{index},"delta":{{"reasoningContent":{{"redactedContent":"x"}}}}}}"#)),
                6 | 7 => ("contentBlockStop", format!(r#"{{"contentBlockIndex":{index}}}"#)),
                8 => ("messageStart", "{}".to_owned()),
                _ if index == 0 => ("messageStop", r#"{"stopReason":"end_turn"}"#.to_owned()),
                _ => ("metadata", r#"{"usage":{}}"#.to_owned()),
            };
            bytes.extend_from_slice(&encode(&[(":message-type", "event"), (":event-type", name)], payload.as_bytes()));
        }
        let events = events_of(Converse::stream(), &[&bytes]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()), "{}", lines(&events));
    }
}
