//! Requests of clients of Chat Completions, as the shared terms hold them.

use tokenweir_llm::conversation::{Effort, PartKind, Reasoning, Request, Role, ToolChoice};
use tokenweir_llm::dialect::{ChatCompletions, ClientDialect};

fn read(body: &str) -> Request {
    ChatCompletions::read_request(body.as_bytes()).unwrap()
}

fn refused(body: &str) -> String {
    ChatCompletions::read_request(body.as_bytes()).unwrap_err().to_string()
}

/// A request with one message and other fields.
fn with(fields: &str) -> Request {
    read(&format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],{fields}}}"#
    ))
}

fn extras(request: &Request) -> Vec<String> {
    (request.extras.iter())
        .map(|extra| format!("{} = {}", extra.field, extra.value))
        .collect()
}

#[test]
fn messages_of_all_roles_are_read_with_their_places() {
    insta::assert_debug_snapshot!(
        read(
            r#"{"model":"gpt-5","messages":[
            {"role":"developer","content":"You are a helpful assistant."},
            {"role":"system","content":[{"type":"text","text":"Be brief."}],"name":"house"},
            {"role":"user","content":"Hello!","name":"ann"},
            {"role":"assistant","content":null,"refusal":"No.","annotations":[]},
            {"role":"user","content":""}
        ]}"#
        )
        .messages
    );
}

#[test]
fn images_sound_and_files_are_read() {
    insta::assert_debug_snapshot!(
        read(
            r#"{"model":"gpt-5","messages":[{"role":"user","content":[
            {"type":"text","text":"What is in this image?"},
            {"type":"image_url","image_url":{"url":"https://example.com/boardwalk.jpg","detail":"high"}},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"auto"}},
            {"type":"image_url","image_url":"https://example.com/plain.jpg"},
            {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
            {"type":"input_audio","input_audio":{"data":"SUQz","format":"mp3"}},
            {"type":"file","file":{"filename":"draft.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
            {"type":"file","file":{"file_data":"JVBERi0="}},
            {"type":"file","file":{"file_id":"file-abc"}}
        ]}]}"#
        )
        .messages
    );
}

#[test]
fn calls_and_results_are_read_and_results_share_a_message() {
    insta::assert_debug_snapshot!(read(
        r#"{"model":"gpt-5","messages":[
            {"role":"user","content":"Weather in Paris and Oslo?"},
            {"role":"assistant","content":"Let me look.","tool_calls":[
                {"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},
                {"index":1,"id":"call_2","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"},
                 "extra_content":{"google":{"thought_signature":"c2ln"}}}
            ]},
            {"role":"tool","tool_call_id":"call_1","name":"get_weather","content":"18 C"},
            {"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"9 C"}]},
            {"role":"user","content":"Thanks"}
        ]}"#
    ).messages);
}

#[test]
fn tools_are_read_with_their_schemas_as_they_were_written() {
    let request = with(
        r#""tools":[
            {"type":"function","function":{"name":"get_weather","description":"Current weather","strict":true,
             "parameters":{"type":"object", "required":["b","a"],"x":1.50}}},
            {"type":"function","function":{"name":"now"}},
            {"type":"custom","custom":{"name":"grep"}}
        ],"tool_choice":"required","parallel_tool_calls":false"#,
    );
    assert_eq!(
        request.tools[0].parameters.as_ref().unwrap().get(),
        r#"{"type":"object", "required":["b","a"],"x":1.50}"#
    );
    assert_eq!(request.tool_choice.as_ref().unwrap().value, ToolChoice::Required);
    insta::assert_debug_snapshot!((&request.tools, &request.parallel_tool_calls, extras(&request)));
}

#[test]
fn a_choice_of_allowed_tools_is_one_only_if_it_allows_fewer() {
    let request = |allowed: &str| {
        with(&format!(
            r#""tools":[{{"type":"function","function":{{"name":"a"}}}},{{"type":"function","function":{{"name":"b"}}}}],
            "tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"required","tools":[{allowed}]}}}}"#
        ))
    };
    let (a, b) = (
        r#"{"type":"function","function":{"name":"a"}}"#,
        r#"{"type":"function","function":{"name":"b"}}"#,
    );
    let all = request(&format!("{b},{a}"));
    assert_eq!(all.tool_choice.unwrap().value, ToolChoice::Required);
    assert!(all.extras.is_empty());
    let some = request(a);
    assert!(some.tool_choice.is_none());
    assert_eq!(&*some.extras[0].field, "tool_choice");
    let one = with(r#""tool_choice":{"type":"function","function":{"name":"a"}}"#);
    assert_eq!(one.tool_choice.unwrap().value, ToolChoice::Function("a".to_owned()));
    let custom = with(r#""tool_choice":{"type":"custom","custom":{"name":"a"}}"#);
    assert_eq!(&*custom.extras[0].field, "tool_choice");
}

#[test]
fn options_are_read_by_their_names() {
    insta::assert_debug_snapshot!(with(
        r#""max_tokens":5,"max_completion_tokens":9,"temperature":0,"top_p":0.25,"top_k":40,"presence_penalty":-1,
        "frequency_penalty":1.5,"seed":-7,"logprobs":true,"top_logprobs":3,"stop":["a","b"],"n":2,"user":"u",
        "stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
        "response_format":{"type":"json_schema","json_schema":{"name":"math","strict":true,"schema":{"type":"object"}}}"#
    ));
    let plain =
        with(r#""stop":"x","top_k":-1,"max_tokens":5,"stream":null,"n":null,"response_format":{"type":"json_object"}"#);
    assert_eq!(plain.stop.unwrap().value, ["x"]);
    assert!(plain.sampling.top_k.is_none() && plain.n.is_none() && !plain.stream);
    assert_eq!(plain.max_tokens.unwrap().field, "max_tokens");
}

#[test]
fn reasoning_is_read_from_both_fields() {
    let read = |fields: &str| {
        with(fields)
            .reasoning
            .map(|reasoning| (reasoning.field, reasoning.value))
    };
    for (word, effort) in [
        ("none", Reasoning::Off),
        ("minimal", Reasoning::Effort(Effort::Minimal)),
        ("low", Reasoning::Effort(Effort::Low)),
        ("medium", Reasoning::Effort(Effort::Medium)),
        ("high", Reasoning::Effort(Effort::High)),
        ("xhigh", Reasoning::Effort(Effort::ExtraHigh)),
        ("max", Reasoning::Effort(Effort::Max)),
    ] {
        assert_eq!(
            read(&format!(r#""reasoning_effort":"{word}""#)),
            Some(("reasoning_effort", effort))
        );
    }
    for (thinking, expected) in [
        (r#"{"type":"enabled","budget_tokens":2048}"#, Reasoning::Budget(2048)),
        (r#"{"type":"enabled"}"#, Reasoning::Adaptive),
        (r#"{"type":"adaptive"}"#, Reasoning::Adaptive),
        (r#"{"type":"disabled"}"#, Reasoning::Off),
    ] {
        assert_eq!(read(&format!(r#""thinking":{thinking}"#)), Some(("thinking", expected)));
    }
    let both = r#""thinking":{"type":"enabled"},"reasoning_effort":"low""#;
    assert_eq!(read(both), Some(("reasoning_effort", Reasoning::Effort(Effort::Low))));
    let at_odds = with(r#""thinking":{"type":"disabled"},"reasoning_effort":"low""#);
    assert_eq!(at_odds.reasoning.unwrap().value, Reasoning::Off);
    assert_eq!(extras(&at_odds), [r#"reasoning_effort = "low""#]);
    assert_eq!(
        extras(&with(r#""reasoning_effort":"ultra""#)),
        [r#"reasoning_effort = "ultra""#]
    );
}

#[test]
fn thoughts_come_back_with_their_proofs_under_each_convention() {
    let thoughts = |fields: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":"4",{fields}}}]}}"#);
        let request = read(&body);
        assert!(request.extras.is_empty(), "{:?}", request.extras);
        let parts = request.messages.into_iter().flat_map(|message| message.parts);
        let mut kinds: Vec<PartKind> = parts.map(|part| part.kind).collect();
        assert!(matches!(kinds.pop(), Some(PartKind::Text { .. })));
        kinds
    };
    let thought = |text: &str, signature: Option<&str>| PartKind::Thinking {
        text: text.to_owned(),
        signature: signature.map(ToOwned::to_owned),
    };
    assert_eq!(thoughts(r#""reasoning_content":"2+2""#), [thought("2+2", None)]);
    assert_eq!(thoughts(r#""reasoning":"2+2""#), [thought("2+2", None)]);
    assert_eq!(thoughts(r#""reasoning_content":"","thinking_blocks":[]"#), []);
    let redacted = PartKind::RedactedThinking {
        data: "eA==".to_owned(),
    };
    assert_eq!(
        thoughts(
            r#""reasoning_content":"2+2","thinking_blocks":[{"index":0,"type":"thinking","thinking":"2+2","signature":"s"},
            {"type":"redacted_thinking","data":"eA=="}]"#
        ),
        [thought("2+2", Some("s")), redacted.clone()]
    );
    assert_eq!(
        thoughts(
            r#""reasoning":"2+2","reasoning_details":[{"type":"reasoning.text","text":"2+2","signature":"s","index":0},
            {"type":"reasoning.encrypted","data":"eA=="},{"type":"reasoning.summary","summary":"sum"}]"#
        ),
        [thought("2+2", Some("s")), redacted, thought("sum", None)]
    );
}

#[test]
fn sources_of_earlier_text_are_read_with_their_ranges() {
    insta::assert_debug_snapshot!(read(
        r#"{"model":"m","messages":[{"role":"assistant","content":"See it.","annotations":[
            {"type":"url_citation","url_citation":{"url":"https://example.com","title":"Example","start_index":0,"end_index":3}}]}]}"#
    ).messages[0].parts);
}

#[test]
fn cache_marks_are_read_from_both_conventions() {
    let request = with(
        r#""tools":[{"type":"function","function":{"name":"a"},"cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
    );
    assert_eq!(request.tools[0].cache.as_ref().unwrap().ttl.as_deref(), Some("1h"));
    let request = read(
        r#"{"model":"m","messages":[
        {"role":"system","content":"long","cache_control":{"type":"ephemeral"}},
        {"role":"user","content":[
            {"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"}},
            {"type":"text","text":"b","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}},
            {"type":"text","text":"c","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}]},
        {"role":"tool","tool_call_id":"x","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral"}}]}]}"#,
    );
    let marks: Vec<_> = (request.messages.iter().flat_map(|message| &message.parts))
        .map(|part| part.cache.as_ref().map(|cache| cache.ttl.as_deref()))
        .collect();
    assert_eq!(
        marks,
        [Some(None), Some(Some("5m")), Some(Some("1h")), None, Some(None)]
    );
    assert_eq!(
        extras(&request),
        [r#"messages[1].content[2].prompt_cache_breakpoint = {"mode":"explicit","ttl":"12h"}"#]
    );
}

#[test]
fn what_only_this_dialect_has_is_kept_with_its_place() {
    let request = read(
        r#"{"model":"m","messages":[
            {"role":"user","content":[{"type":"video_url","video_url":{"url":"https://v"}},{"type":"text","text":"x","weight":2}]},
            {"role":"assistant","audio":{"id":"audio_1"},"function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"1"}],
        "logit_bias":{"5":1},"modalities":["text","audio"],"audio":{"voice":"alloy"},"prediction":{"type":"content"},
        "store":true,"metadata":{"a":"b"},"service_tier":"flex","verbosity":"low","web_search_options":{},
        "functions":[],"stream_options":{"include_obfuscation":true,"x":1},
        "response_format":{"type":"grammar"},"future":[ 1 ]}"#,
    );
    insta::assert_snapshot!(extras(&request).join("\n"));
}

#[test]
fn what_asks_for_nothing_is_no_extra() {
    let request = with(
        r#""store":false,"logit_bias":{ },"metadata":{},"modalities":[ "text" ],"service_tier":"auto","audio":null,
        "prediction":null,"verbosity":null,"prompt_cache_key":"k","prompt_cache_retention":"24h""#,
    );
    assert_eq!(extras(&request), [""; 0]);
}

#[test]
fn the_user_may_be_named_by_either_field() {
    let user = |fields: &str| with(fields).user.map(|user| (user.field, user.value));
    assert_eq!(user(r#""user":"u""#), Some(("user", "u".to_owned())));
    let named = user(r#""safety_identifier":"s""#);
    assert_eq!(named, Some(("safety_identifier", "s".to_owned())));
    let both = with(r#""safety_identifier":"s","user":"u""#);
    assert_eq!(both.user.as_ref().unwrap().value, "u");
    assert_eq!(extras(&both), [r#"safety_identifier = "s""#]);
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let refusals: Vec<String> = [
        "[]",
        r#"{"messages":[]}"#,
        r#"{"model":"m"}"#,
        r#"{"model":"m","messages":[1]}"#,
        r#"{"model":"m","messages":[{"content":"x"}]}"#,
        r#"{"model":"m","messages":[{"role":"human","content":"x"}]}"#,
        r#"{"model":"m","messages":[{"role":"user"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":5}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{}}]}]}"#,
        r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#,
        r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}"#,
        r#"{"model":"m","messages":[],"temperature":"hot"}"#,
        r#"{"model":"m","messages":[],"tool_choice":"maybe"}"#,
        r#"{"model":"m","messages":[],"tools":[{"type":"function"}]}"#,
        r#"{"model":"m","messages":[],"seed":1,"seed":2}"#,
        r#"{"model":"m","messages":[],"stop":[1]}"#,
    ]
    .into_iter()
    .map(refused)
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn nesting_in_foreign_places_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = with(&format!(r#""future":{deep},"metadata":{{"a":{deep}}}"#));
    assert_eq!(request.extras.len(), 2);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{deep}}}]}}"#);
    assert!(refused(&body).contains("messages[0].content[0]"));
    assert_eq!(with(r#""n":1"#).messages[0].role, Role::User);
}
