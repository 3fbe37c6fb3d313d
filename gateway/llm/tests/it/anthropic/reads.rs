//! Requests of clients.

use serde_json::{Value, json};
use tokenweir_llm::OpenAiError;
use tokenweir_llm::conversation::Request;
use tokenweir_llm::dialect::{ClientDialect, Messages};

use super::read;

/// A request around some of its fields.
fn with(fields: &Value) -> Request {
    let mut body = json!({"model": "claude-opus-4-5", "max_tokens": 1024, "messages": []});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    read(&body)
}

fn user(content: &Value) -> Request {
    with(&json!({"messages": [{"role": "user", "content": content}]}))
}

/// The extras as `field = value`.
fn extras(request: &Request) -> Vec<String> {
    (request.extras.iter())
        .map(|extra| format!("{} = {}", extra.field, extra.value.get()))
        .collect()
}

#[test]
fn instructions_come_first_and_texts_may_be_strings_or_blocks() {
    let request = with(&json!({
        "system": [
            {"type": "text", "text": "You are a clerk."},
            {"type": "text", "text": "The whole of a book.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": "Hello, Claude"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello!"}]},
            {"role": "user", "content": "More."},
            {"role": "system", "content": "Be brief from here on."},
        ],
        "stream": true,
    }));
    assert!(request.stream && request.extras.is_empty());
    insta::assert_debug_snapshot!(request.messages);
}

#[test]
fn a_mark_at_the_top_caches_up_to_the_last_block_that_can_bear_one() {
    let request = with(&json!({
        "cache_control": {"type": "ephemeral"},
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "b"},
                {"type": "thinking", "thinking": "c", "signature": "s"},
            ]},
        ],
    }));
    let marks: Vec<bool> = (request.messages.iter())
        .flat_map(|message| message.parts.iter().map(|part| part.cache.is_some()))
        .collect();
    assert_eq!(marks, [false, true, false]);
    let tools_only = with(&json!({
        "cache_control": {"type": "ephemeral"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }));
    assert!(tools_only.tools[0].cache.is_some());
}

#[test]
fn images_and_documents_come_from_all_their_sources() {
    let request = user(&json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQSkZJRg=="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/ant.jpg"},
         "transformations": {"oversized_image": "error"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}, "cache_control": {"type": "ephemeral"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
         "title": "Report", "context": "From the archive.", "citations": {"enabled": true}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The grass is green."}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}, "citations": {"enabled": false}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a chunk"}]}},
        {"type": "search_result", "source": "https://example.com", "title": "t", "content": []},
        {"type": "text", "text": "What is in these?"},
    ]));
    insta::assert_debug_snapshot!(request.messages);
    insta::assert_debug_snapshot!(extras(&request), @r#"
    [
        "messages[0].content[1].transformations = {\"oversized_image\":\"error\"}",
        "messages[0].content[3].context = \"From the archive.\"",
        "messages[0].content[7] = {\"source\":{\"content\":[{\"text\":\"a chunk\",\"type\":\"text\"}],\"type\":\"content\"},\"type\":\"document\"}",
        "messages[0].content[8] = {\"content\":[],\"source\":\"https://example.com\",\"title\":\"t\",\"type\":\"search_result\"}",
    ]
    "#);
}

#[test]
fn calls_and_their_results_keep_their_ids_and_arguments() {
    insta::assert_debug_snapshot!(
        with(&json!({
            "messages": [
                {"role": "user", "content": "Weather in SF and NYC?"},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "I look it up."},
                    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "SF"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {},
                     "caller": {"type": "direct"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "15 degrees"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [
                        {"type": "text", "text": "no such place"},
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/map.png"}},
                    ]},
                    {"type": "tool_result", "tool_use_id": "toolu_3"},
                    {"type": "text", "text": "And now?"},
                ]},
            ],
        }))
        .messages
    );
}

#[test]
fn functions_are_tools_and_what_anthropic_runs_is_extra() {
    let request = with(&json!({
        "tools": [
            {"name": "get_weather", "description": "The weather.", "strict": true,
             "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}},
             "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "plain", "input_schema": {"type": "object"},
             "eager_input_streaming": true, "defer_loading": false, "allowed_callers": ["direct"]},
            {"name": "late", "input_schema": {"type": "object"}, "defer_loading": true,
             "allowed_callers": ["code_execution_20260120"], "input_examples": [{"a": 1}]},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ],
        "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true},
    }));
    insta::assert_debug_snapshot!((&request.tools, &request.tool_choice, &request.parallel_tool_calls));
    insta::assert_debug_snapshot!(extras(&request), @r#"
    [
        "tools[2].defer_loading = true",
        "tools[2].allowed_callers = [\"code_execution_20260120\"]",
        "tools[2].input_examples = [{\"a\":1}]",
        "tools[3] = {\"max_uses\":5,\"name\":\"web_search\",\"type\":\"web_search_20250305\"}",
    ]
    "#);
}

#[test]
fn every_choice_is_read() {
    let shown: Vec<String> = ["auto", "any", "none"]
        .map(|kind| {
            let request = with(&json!({"tool_choice": {"type": kind, "disable_parallel_tool_use": false}}));
            format!(
                "{kind}: {:?}, {:?}",
                request.tool_choice.unwrap().value,
                request.parallel_tool_calls.unwrap().value
            )
        })
        .to_vec();
    assert_eq!(shown, ["auto: Auto, true", "any: Required, true", "none: None, true"]);
}

#[test]
fn thoughts_come_with_their_proofs() {
    insta::assert_debug_snapshot!(
        with(&json!({"messages": [{"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="},
            {"type": "thinking", "thinking": "", "signature": "EqQBDd=="},
            {"type": "thinking", "thinking": "of another provider", "signature": ""},
            {"type": "redacted_thinking", "data": "EmwKAhgB"},
        ]}]}))
        .messages[0]
            .parts
    );
}

#[test]
fn thinking_and_effort_are_one_degree_where_they_mean_one() {
    let shown: Vec<String> = [
        json!({}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 10000}}),
        json!({"thinking": {"type": "adaptive", "display": "summarized"}}),
        json!({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "xhigh"}}),
        json!({"output_config": {"effort": "low"}}),
        json!({"thinking": {"type": "disabled"}}),
        json!({"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "medium"}}),
        json!({"output_config": {"task_budget": {"type": "tokens", "total": 20000}}}),
    ]
    .into_iter()
    .map(|fields| {
        let request = with(&fields);
        let reasoning = request.reasoning.map(|reasoning| (reasoning.field, reasoning.value));
        format!(
            "{fields}\n  {reasoning:?} {:?} echo {:?}",
            extras(&request),
            request.echo.len()
        )
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_schema_for_the_answer_is_read_from_its_place_and_from_its_older_one() {
    let format = json!({"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}});
    let now = with(&json!({"output_config": {"format": format.clone()}}));
    let before = with(&json!({"output_format": format}));
    insta::assert_debug_snapshot!((now.format, before.format));
}

#[test]
fn the_rest_is_read_or_is_extra() {
    let request = with(&json!({
        "stop_sequences": ["END", "STOP"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "metadata": {"user_id": "u-1", "team": "blue"},
        "service_tier": "auto",
        "speed": "fast",
        "container": "container_1",
        "context_management": {"edits": []},
        "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "m"}],
        "inference_geo": null,
    }));
    insta::assert_debug_snapshot!((&request.stop, &request.sampling, &request.user, &request.max_tokens));
    insta::assert_debug_snapshot!(extras(&request), @r#"
    [
        "metadata.team = \"blue\"",
        "speed = \"fast\"",
        "container = \"container_1\"",
        "context_management = {\"edits\":[]}",
        "mcp_servers = [{\"name\":\"m\",\"type\":\"url\",\"url\":\"https://example.com\"}]",
    ]
    "#);
}

#[test]
fn sources_of_earlier_answers_stay_with_their_text() {
    insta::assert_debug_snapshot!(
        with(&json!({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "green", "citations": [
            {"type": "char_location", "cited_text": "The grass is green.", "document_index": 0,
             "document_title": null, "start_char_index": 0, "end_char_index": 19},
            {"type": "web_search_result_location", "cited_text": "grass", "encrypted_index": "Eo8B", "title": "Lawn",
             "url": "https://example.com/lawn"},
        ]}]}]}))
        .messages[0]
            .parts
    );
}

#[test]
fn the_proof_of_a_call_comes_back_in_its_id() {
    let request = with(&json!({"messages": [
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c1__thought__cHJvb2Y", "name": "f", "input": {}},
            {"type": "tool_use", "id": "c2__thought__&", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1__thought__cHJvb2Y"}]},
    ]}));
    let shown = format!("{:?}", request.messages);
    assert!(
        shown.contains(r#"id: "c1", name: "f", arguments: "{}", signature: Some("proof")"#),
        "{shown}"
    );
    assert!(
        shown.contains(r#"id: "c2__thought__&", name: "f", arguments: "{}", signature: None"#),
        "{shown}"
    );
    assert!(shown.contains(r#"ToolResult { id: "c1""#), "{shown}");
}

#[test]
fn mistakes_name_their_place() {
    let message =
        |content: &Value| json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]});
    let shown: Vec<String> = [
        json!([]),
        json!({"max_tokens": 1, "messages": []}),
        json!({"model": "", "max_tokens": 1, "messages": []}),
        json!({"model": "m", "messages": []}),
        json!({"model": "m", "max_tokens": null, "messages": []}),
        json!({"model": "m", "max_tokens": -1, "messages": []}),
        json!({"model": "m", "max_tokens": 1}),
        json!({"model": "m", "max_tokens": 1, "messages": {}}),
        json!({"model": "m", "max_tokens": 1, "messages": ["a"]}),
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "tool", "content": "a"}]}),
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user"}]}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "stop_sequences": ["a", 1]}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "tools": [{"name": "f"}]}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "tools": [{"name": "f", "input_schema": []}]}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "tool_choice": {"type": "some"}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "tool_choice": {"type": "tool"}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "thinking": {"type": "enabled"}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "thinking": {"type": "much"}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "output_config": {"effort": "huge"}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "output_config": {"format": {"type": "json"}}}),
        json!({"model": "m", "max_tokens": 1, "messages": [], "cache_control": {"type": "forever"}}),
        message(&json!(7)),
        message(&json!([{"text": "a"}])),
        message(&json!([{"type": "text"}])),
        message(&json!([{"type": "image", "source": {"type": "base64", "data": "a"}}])),
        message(&json!([{"type": "tool_use", "id": "a", "name": "f", "input": "{}"}])),
        message(&json!([{"type": "tool_result", "content": []}])),
        message(&json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": 1}]}])),
    ]
    .iter()
    .map(|body| {
        let error = Messages::read_request(body.to_string().as_bytes()).unwrap_err();
        let param = error.param().unwrap_or("-");
        assert_eq!(OpenAiError::from(&error).status(), 400);
        format!("{param}: {error}")
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let body = br#"{"model":"m","max_tokens":1,"max_tokens":2,"messages":[]}"#;
    let error = Messages::read_request(body).unwrap_err();
    assert_eq!(error.param(), Some("max_tokens"));
}

#[test]
fn nesting_costs_neither_stack_nor_more_than_linear_time() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for inner in [deep("[", "]"), deep(r#"{"a":"#, "}")] {
        let block = format!(r#"{{"type":"tool_use","id":"a","name":"f","input":{{"x":{inner}}}}}"#);
        let nested = format!(r#"{{"type":"tool_result","tool_use_id":"a","content":[{block}]}}"#);
        for content in [block, nested] {
            let body = format!(
                r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{content}]}}],"x":{inner}}}"#
            );
            Messages::read_request(body.as_bytes()).unwrap();
        }
    }
}
