use std::time::Duration;

use proptest::prelude::*;
use tokenweir_llm::ErrorKind;
use tokenweir_llm::conversation::{
    CacheControl, Effort, Event, Finish, Format, JsonSchema, Media, Message, Named, Part, PartKind, Reasoning, Request,
    Role, Sampling, Source, Tool, ToolCall, ToolChoice, ToolResult,
};
use tokenweir_llm::dialect::gemini::retry_delay;
use tokenweir_llm::dialect::{Gemini, ProviderWire as _};

use crate::promises::keeps_its_promises;
use crate::wires::{cut, damaged, events_of, lines, message, raw, text, written};

fn call(id: &str, name: &str, arguments: &str, signature: Option<&str>) -> PartKind {
    PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        signature: signature.map(str::to_owned),
    })
}

fn result(id: &str, text: &str, is_error: Option<bool>) -> PartKind {
    PartKind::ToolResult(ToolResult {
        id: id.to_owned(),
        parts: vec![Part::text(text, "messages[3].content")],
        is_error,
    })
}

fn weather() -> Tool {
    Tool {
        name: "get_weather".to_owned(),
        description: Some("The weather of a city".to_owned()),
        parameters: Some(raw(
            r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#,
        )),
        strict: None,
        cache: None,
        at: "tools[0]".into(),
    }
}

#[test]
fn a_conversation_with_instructions_media_and_limits_is_written() {
    let png = Source::Inline(Media {
        media_type: "image/png".to_owned(),
        base64: "aGk=".to_owned(),
    });
    let request = Request {
        messages: vec![
            message(Role::System, "messages[0]", vec![text("Be brief.")]),
            message(
                Role::User,
                "messages[1]",
                vec![
                    text("What is this?"),
                    PartKind::Image {
                        source: png,
                        detail: None,
                    },
                    PartKind::Image {
                        source: Source::Url("https://example.com/a/cat.jpg?size=1".to_owned()),
                        detail: Some(Named::new("detail", "high".to_owned())),
                    },
                    PartKind::Document {
                        source: Source::Text("plain".to_owned()),
                        name: None,
                        citations: true,
                    },
                ],
            ),
            message(Role::Assistant, "messages[2]", vec![text("A cat.")]),
            message(Role::Developer, "messages[3]", vec![text("Now in French.")]),
            message(Role::User, "messages[4]", vec![text("Again?")]),
            message(Role::User, "messages[5]", vec![text("Please.")]),
        ],
        max_tokens: Some(Named::new("max_tokens", 100)),
        sampling: Sampling {
            temperature: Some(Named::new("temperature", 1.5)),
            top_p: Some(Named::new("top_p", 0.9)),
            top_k: Some(Named::new("top_k", 40)),
            presence_penalty: Some(Named::new("presence_penalty", 0.5)),
            frequency_penalty: Some(Named::new("frequency_penalty", -0.5)),
            seed: Some(Named::new("seed", 7)),
            logprobs: Some(Named::new("logprobs", true)),
            top_logprobs: Some(Named::new("top_logprobs", 3)),
        },
        stop: Some(Named::new("stop", vec!["END".to_owned()])),
        n: Some(Named::new("n", 2)),
        user: Some(Named::new("user", "u1".to_owned())),
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Gemini>(&request, "gemini-2.5-flash"));
}

#[test]
fn parallel_calls_and_their_results_stand_in_one_content_each_with_names_and_signatures() {
    let request = Request {
        messages: vec![
            message(Role::User, "messages[0]", vec![text("Weather in Paris and Rome?")]),
            message(
                Role::Assistant,
                "messages[1]",
                vec![
                    PartKind::Thinking {
                        text: "Two calls.".to_owned(),
                        signature: None,
                    },
                    call("a", "get_weather", r#"{"city":"Paris"}"#, Some("c2ln")),
                    call("b", "get_weather", r#"{"city": "Rome"}"#, None),
                ],
            ),
            message(Role::User, "messages[2]", vec![result("a", "15 C", None)]),
            message(Role::User, "messages[3]", vec![result("b", "no data", Some(true))]),
        ],
        tools: vec![weather()],
        tool_choice: Some(Named::new(
            "tool_choice",
            ToolChoice::Function("get_weather".to_owned()),
        )),
        parallel_tool_calls: Some(Named::new("parallel_tool_calls", true)),
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Gemini>(&request, "gemini-3-pro-preview"));
}

#[test]
fn calls_of_another_model_carry_googles_own_mark_for_them_from_gemini_3_on_alone() {
    let request = Request {
        messages: vec![
            message(Role::User, "messages[0]", vec![text("Weather?")]),
            message(
                Role::Assistant,
                "messages[1]",
                vec![
                    PartKind::Thinking {
                        text: "Signed elsewhere.".to_owned(),
                        signature: Some("EqQBCgIYAhIM".to_owned()),
                    },
                    call("a", "get_weather", "", None),
                    call("b", "get_weather", "", None),
                ],
            ),
        ],
        ..Request::default()
    };
    let new = written::<Gemini>(&request, "gemini-3-flash");
    assert_eq!(new.matches("skip_thought_signature_validator").count(), 1, "{new}");
    assert!(!new.contains("EqQBCgIYAhIM"), "{new}");
    let old = written::<Gemini>(&request, "gemini-2.5-flash");
    assert!(!old.contains("thoughtSignature"), "{old}");
}

#[test]
fn a_result_without_its_call_and_arguments_that_are_no_object_are_reported() {
    let request = Request {
        messages: vec![
            message(Role::Assistant, "messages[0]", vec![call("a", "f", "[1]", None)]),
            message(Role::User, "messages[1]", vec![result("z", "?", None)]),
        ],
        ..Request::default()
    };
    let written = written::<Gemini>(&request, "gemini-2.5-flash");
    assert!(
        written.ends_with("reported: messages[0].content[0], messages[1].content[0]"),
        "{written}"
    );
}

#[test]
fn the_form_of_the_answer_and_the_choice_of_tools_have_their_places() {
    let mut request = Request {
        messages: vec![message(Role::User, "messages[0]", vec![text("hi")])],
        format: Some(Named::new(
            "response_format",
            Format::JsonSchema(JsonSchema {
                name: Some("out".to_owned()),
                description: None,
                schema: raw(r#"{"type":"object","$defs":{}}"#),
                strict: Some(true),
            }),
        )),
        tools: vec![Tool {
            strict: Some(true),
            cache: Some(CacheControl { ttl: None }),
            ..weather()
        }],
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Gemini>(&request, "gemini-2.5-flash"));
    let mode = |request: &Request| {
        let body: serde_json::Value = serde_json::from_str(&written::<Gemini>(request, "gemini-2.5-flash")).unwrap();
        body["toolConfig"]["functionCallingConfig"]["mode"].clone()
    };
    for (choice, expected) in [
        (ToolChoice::Auto, "VALIDATED"),
        (ToolChoice::None, "NONE"),
        (ToolChoice::Required, "ANY"),
    ] {
        request.tool_choice = Some(Named::new("tool_choice", choice));
        assert_eq!(mode(&request), expected);
    }
    request.tools = vec![weather()];
    request.tool_choice = Some(Named::new("tool_choice", ToolChoice::Auto));
    assert_eq!(mode(&request), "AUTO");
}

#[test]
fn reasoning_is_a_budget_before_gemini_3_and_a_level_from_then_on() {
    let config = |reasoning, model| {
        let request = Request {
            reasoning: Some(Named::new("reasoning_effort", reasoning)),
            ..Request::default()
        };
        let body: serde_json::Value = serde_json::from_str(&written::<Gemini>(&request, model)).unwrap();
        body["generationConfig"]["thinkingConfig"].to_string()
    };
    for (reasoning, model, expected) in [
        (Reasoning::Off, "gemini-2.5-flash", r#"{"thinkingBudget":0}"#),
        (
            Reasoning::Effort(Effort::Medium),
            "gemini-2.5-pro",
            r#"{"includeThoughts":true,"thinkingBudget":8192}"#,
        ),
        (
            Reasoning::Adaptive,
            "gemini-2.5-pro",
            r#"{"includeThoughts":true,"thinkingBudget":-1}"#,
        ),
        (
            Reasoning::Effort(Effort::Max),
            "gemini-3-pro",
            r#"{"includeThoughts":true,"thinkingLevel":"HIGH"}"#,
        ),
        (Reasoning::Adaptive, "gemini-3-pro", r#"{"includeThoughts":true}"#),
        (
            Reasoning::Budget(2_000),
            "gemini-3-pro",
            r#"{"includeThoughts":true,"thinkingBudget":2000}"#,
        ),
    ] {
        assert_eq!(config(reasoning, model), expected);
    }
}

const ANSWER: &str = r#"{
  "candidates": [{
    "content": {"role": "model", "parts": [
      {"text": "Looking ", "thought": true}, {"text": "it up.", "thought": true},
      {"text": "Let me"}, {"text": " see. ", "thoughtSignature": "dGV4dA=="},
      {"functionCall": {"id": "fc1", "name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": "Y2FsbA=="},
      {"functionCall": {"name": "now"}}
    ]},
    "finishReason": "STOP", "safetyRatings": []
  }],
  "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 8, "candidatesTokenCount": 12, "thoughtsTokenCount": 30,
    "totalTokenCount": 62, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 15}, {"modality": "AUDIO", "tokenCount": 5}]},
  "modelVersion": "gemini-3-pro-preview", "responseId": "ub9aaLGsJ5bQ1MkP_fu82Qs-and-longer"
}"#;

#[test]
fn an_answer_with_thoughts_signatures_and_calls_is_read() {
    insta::assert_debug_snapshot!(Gemini::read_answer(ANSWER.as_bytes()).unwrap());
}

#[test]
fn what_was_read_goes_back_as_it_came() {
    let answer = Gemini::read_answer(ANSWER.as_bytes()).unwrap();
    let request = Request {
        messages: vec![Message {
            role: Role::Assistant,
            parts: answer.choices[0].parts.clone(),
            name: None,
            at: "messages[0]".into(),
        }],
        ..Request::default()
    };
    insta::assert_snapshot!(written::<Gemini>(&request, "gemini-3-pro-preview"));
}

#[test]
fn sources_stand_at_the_characters_they_are_for() {
    let body = r#"{"candidates":[{"index":0,"finishReason":"STOP","content":{"parts":[{"text":"Zürich is big."}]},
      "citationMetadata":{"citationSources":[{"startIndex":0,"endIndex":7,"uri":"https://z.ch"}]},
      "groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://e.com","title":"e.com"}}],
        "groundingSupports":[{"segment":{"startIndex":8,"endIndex":15,"text":"is big."},"groundingChunkIndices":[0,9]}]}}]}"#;
    insta::assert_debug_snapshot!(Gemini::read_answer(body.as_bytes()).unwrap().choices[0].parts);
}

#[test]
fn log_probabilities_come_in_openais_form() {
    let body = r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"Hi"}]},"logprobsResult":{
      "chosenCandidates":[{"token":"Hi","tokenId":5,"logProbability":-0.25}],
      "topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.25},{"token":"Ho","logProbability":-1.5}]}]}}]}"#;
    let answer = Gemini::read_answer(body.as_bytes()).unwrap();
    assert_eq!(
        answer.choices[0].logprobs.as_ref().unwrap().get(),
        concat!(
            r#"{"content":[{"token":"Hi","logprob":-0.25,"bytes":[72,105],"top_logprobs":["#,
            r#"{"token":"Hi","logprob":-0.25,"bytes":[72,105]},{"token":"Ho","logprob":-1.5,"bytes":[72,111]}]}],"refusal":null}"#
        )
    );
}

#[test]
fn ends_are_told_apart_and_an_end_that_is_a_fault_is_no_answer() {
    let end = |reason: &str| {
        let body = format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#);
        Gemini::read_answer(body.as_bytes()).map(|answer| answer.choices[0].finish.clone())
    };
    assert_eq!(end("STOP").unwrap(), Finish::Stop);
    assert_eq!(end("MAX_TOKENS").unwrap(), Finish::Length);
    for filtered in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"] {
        assert_eq!(end(filtered).unwrap(), Finish::ContentFilter);
    }
    assert!(
        end("MALFORMED_FUNCTION_CALL")
            .unwrap_err()
            .to_string()
            .contains("MALFORMED")
    );
    let blocked = br#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#;
    let answer = Gemini::read_answer(blocked).unwrap();
    assert_eq!(answer.choices[0].finish, Finish::ContentFilter);
    assert_eq!(
        (answer.usage.prompt_tokens, answer.usage.completion_tokens),
        (Some(9), Some(0))
    );
    assert!(Gemini::read_answer(b"{}").is_err());
}

#[test]
fn errors_are_read_with_their_class_and_their_delay() {
    let quota =
        br#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[
      {"@type":"type.googleapis.com/google.rpc.QuotaFailure"},
      {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.074824224s"}]}}"#;
    let error = Gemini::read_error(429, quota);
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (ErrorKind::RateLimited, Some("RESOURCE_EXHAUSTED"))
    );
    assert_eq!(retry_delay(quota), Some(Duration::from_secs_f64(34.074_824_224)));
    let long = br#"[{"error":{"code":400,"status":"INVALID_ARGUMENT",
      "message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}]"#;
    let error = Gemini::read_error(400, long);
    assert!(error.context_overflow && error.kind == ErrorKind::InvalidRequest);
    let key = br#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
    assert_eq!(Gemini::read_error(400, key).kind, ErrorKind::Unauthenticated);
    let html = Gemini::read_error(502, b"<html>");
    assert_eq!(
        (html.kind, html.message.as_str()),
        (ErrorKind::BadUpstream, "the provider answered with status 502")
    );
    assert_eq!(retry_delay(b"<html>"), None);
}

const STREAM: &str = concat!(
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hm\",\"thought\": true}],\"role\": \"model\"}}],",
    "\"usageMetadata\": {\"trafficType\": \"ON_DEMAND\"},\"modelVersion\": \"gemini-2.5-pro\",\"responseId\": \"r1\"}\r\n\r\n",
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"m.\",\"thought\": true},{\"text\": \"Zwei\"}],\"role\": \"model\"}}]}\r\n\r\n",
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" Städte.\"}]},\"index\": 0}]}\r\n\r\n",
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"functionCall\": {\"name\": \"get_weather\",\"args\": {\"city\":\"Paris\"}},",
    "\"thoughtSignature\": \"c2ln\"},{\"functionCall\": {\"name\": \"get_weather\",\"args\": {\"city\":\"Rom\"}}}]}}]}\r\n\r\n",
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"\",\"thoughtSignature\": \"ZW5k\"}]},\"finishReason\": \"STOP\"}],",
    "\"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 5,\"thoughtsTokenCount\": 3,\"totalTokenCount\": 15}}\r\n\r\n",
);

#[test]
fn a_stream_becomes_events() {
    let events = events_of(Gemini::stream(), &[STREAM.as_bytes()]);
    keeps_its_promises(&events).unwrap();
    insta::assert_snapshot!(lines(&events));
}

#[test]
fn a_stream_that_is_blocked_cut_or_broken_says_so() {
    let blocked =
        b"data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}\n\n";
    let events = events_of(Gemini::stream(), &[blocked]);
    assert!(matches!(
        events[1],
        Event::Finish {
            finish: Finish::ContentFilter,
            ..
        }
    ));
    assert!(matches!(events.last(), Some(Event::End)));
    let cut_off = &STREAM.as_bytes()[..STREAM.len() / 2];
    assert!(matches!(
        events_of(Gemini::stream(), &[cut_off]).last(),
        Some(Event::Error(_))
    ));
    let broken =
        b"data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\n\n";
    let Some(Event::Error(error)) = events_of(Gemini::stream(), &[broken]).pop() else {
        panic!("an error");
    };
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Unavailable, "The model is overloaded.")
    );
}

#[test]
fn a_stream_with_ever_more_answers_is_ended() {
    let answers: Vec<String> = (0..1_000)
        .map(|n| {
            format!("data: {{\"candidates\":[{{\"index\":{n},\"content\":{{\"parts\":[{{\"text\":\"x\"}}]}}}}]}}\n\n")
        })
        .collect();
    let stream = answers.concat();
    let events = events_of(Gemini::stream(), &[stream.as_bytes()]);
    assert!(matches!(events.last(), Some(Event::Error(error)) if error.message.contains("more answers")));
    assert!(events.len() < 1_000);
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_events(at in prop::collection::vec(any::<usize>(), 0..12)) {
        let whole = lines(&events_of(Gemini::stream(), &[STREAM.as_bytes()]));
        let pieces = cut(STREAM.as_bytes(), at);
        prop_assert_eq!(lines(&events_of(Gemini::stream(), &pieces)), whole);
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..400), status in 100_u16..600) {
        let _ = Gemini::read_answer(&bytes);
        let _ = Gemini::read_error(status, &bytes);
        let events = events_of(Gemini::stream(), &[&bytes]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()));
    }

    #[test]
    fn what_was_right_and_is_damaged_breaks_no_reader(
        damage in prop::collection::vec((any::<usize>(), 0..12_usize, any::<usize>()), 1..4),
    ) {
        let _ = Gemini::read_answer(damaged(ANSWER, &damage).as_bytes());
        let stream = damaged(STREAM, &damage);
        let events = events_of(Gemini::stream(), &[stream.as_bytes()]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()), "{}", stream);
    }

    #[test]
    fn answers_with_any_field_replaced_keep_the_promises_of_events(
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["null", "[]", "{}", "1", "\"x\"", "-1", "true", "\"STOP\""]),
    ) {
        // Every place behind a colon is the beginning of a value.
        let places: Vec<usize> = STREAM.match_indices("\": ").map(|(place, _)| place + 3).collect();
        let place = places[at.index(places.len())];
        let rest = &STREAM[place..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
        let _ = values.next();
        let mutated = format!("{}{with}{}", &STREAM[..place], &rest[values.byte_offset()..]);
        let events = events_of(Gemini::stream(), &[mutated.as_bytes()]);
        prop_assert_eq!(keeps_its_promises(&events), Ok(()), "{}", mutated);
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!(
        r#"{{"candidates":[{{"finishReason":"STOP","x":{open}{close},"content":{{"parts":[{{"functionCall":{{"name":"f","args":{{"a":{open}{close}}}}}}}]}}}}]}}"#,
        open = "[".repeat(100_000),
        close = "]".repeat(100_000)
    );
    let answer = Gemini::read_answer(deep.as_bytes()).unwrap();
    assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
    let _ = Gemini::read_error(400, "[".repeat(100_000).as_bytes());
}
