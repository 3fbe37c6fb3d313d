use tokenweir_llm::RequestError;
use tokenweir_llm::conversation::{Effort, Format, Named, Reasoning, Role, ToolChoice};
use tokenweir_llm::dialect::ClientDialect;
use tokenweir_llm::dialect::openai_responses::Responses;

use super::{extras, read, turns};

#[test]
fn a_text_is_a_user_and_instructions_are_the_system() {
    let request =
        read(r#"{"model":"gpt-5","instructions":"You are terse.","input":"Tell me a story about a unicorn."}"#);
    assert_eq!(request.model, "gpt-5");
    insta::assert_snapshot!(turns(&request), @r#"
    System at instructions
      Text { text: "You are terse.", citations: [] } at instructions
    User at input
      Text { text: "Tell me a story about a unicorn.", citations: [] } at input
    "#);
    assert!(request.extras.is_empty() && !request.stream && request.include_usage);
    assert_eq!(read(r#"{"model":"m","instructions":"","input":"x"}"#).messages.len(), 1);
}

#[test]
fn messages_of_all_roles_and_both_forms_are_read() {
    let request = read(
        r#"{"model":"m","input":[
        {"role":"system","content":"a"},
        {"type":"message","role":"developer","content":[{"type":"input_text","text":"b"}]},
        {"role":"user","content":[{"type":"input_text","text":"c","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}},
            {"type":"input_text","text":"d","prompt_cache_breakpoint":{"mode":"explicit"}}]},
        {"id":"msg_1","type":"message","role":"assistant","status":"completed","phase":"final_answer","content":[
            {"type":"output_text","text":"e","logprobs":[],"annotations":[
                {"type":"url_citation","start_index":0,"end_index":1,"url":"https://a.example","title":"A"}]},
            {"type":"refusal","refusal":"f"}]},
        {"role":"assistant","content":"g"},
        {"role":"user","content":"h"}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
    assert!(extras(&request).is_empty());
}

#[test]
fn images_files_and_sound_are_read_from_all_of_their_sources() {
    let request = read(
        r#"{"model":"m","input":[{"role":"user","content":[
        {"type":"input_image","image_url":"https://a.example/b.png","detail":"auto"},
        {"type":"input_image","image_url":"data:image/jpeg;base64,AAAA","detail":"high"},
        {"type":"input_image","file_id":"file-1","image_url":null},
        {"type":"input_file","filename":"draft.pdf","file_data":"data:application/pdf;base64,JVBE","detail":"auto"},
        {"type":"input_file","filename":"DRAFT.PDF","file_data":"JVBE"},
        {"type":"input_file","file_url":"https://a.example/letter.pdf"},
        {"type":"input_file","file_id":"file-2"},
        {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},
        {"type":"input_audio","input_audio":{"data":"SUQz","format":"mp3"}}]}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
    assert!(extras(&request).is_empty());
}

#[test]
fn what_the_model_did_is_one_turn_and_the_results_of_its_calls_are_one() {
    let request = read(
        r#"{"model":"m","input":[
        {"role":"user","content":"What is the weather in Paris and in Rome?"},
        {"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Two calls."}],
            "encrypted_content":"tokenweir:thought:c2ln"},
        {"id":"rs_2","type":"reasoning","summary":[],"encrypted_content":"tokenweir:redacted:ZGF0YQ=="},
        {"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
        {"id":"rs_3","type":"reasoning","summary":[],"encrypted_content":"tokenweir:call:cHJvb2Y="},
        {"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"weather","arguments":"{\"city\":\"Paris\"}"},
        {"id":"fc_2","type":"function_call","status":"completed","call_id":"call_2","name":"weather","arguments":"{\"city\":\"Rome\"}","caller":{"type":"direct"},"async":false},
        {"type":"function_call_output","call_id":"call_1","output":"rain"},
        {"type":"function_call_output","call_id":"call_2","status":"completed","output":[{"type":"input_text","text":"sun"},
            {"type":"input_image","image_url":"https://a.example/sun.png"}]},
        {"role":"user","content":"And?"},
        {"type":"function_call","call_id":"call_3","name":"now","arguments":""},
        {"type":"function_call_output","call_id":"call_3","output":"noon"}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
    assert!(extras(&request).is_empty());
}

#[test]
fn thoughts_in_clear_need_no_proof_and_the_whole_text_goes_before_its_summary() {
    let request = read(
        r#"{"model":"m","input":[
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"one"},{"type":"summary_text","text":"two"}]},
        {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"short"}],"content":[{"type":"reasoning_text","text":"long"}]}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
}

#[test]
fn what_only_openai_can_read_of_earlier_answers_is_nobody_elses() {
    let request = read(
        r#"{"model":"m","input":[
        {"type":"reasoning","id":"rs_1","summary":[]},
        {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"kept"}],"encrypted_content":"gAAAAABo"},
        {"type":"reasoning","summary":[],"encrypted_content":"tokenweir:call:of a call that is not there"},
        {"role":"assistant","content":[{"type":"output_text","text":"t","annotations":[{"type":"file_citation","file_id":"f"}]}]},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
    assert!(extras(&request).is_empty());
}

#[test]
fn an_image_of_an_earlier_answer_is_read() {
    let request = read(
        r#"{"model":"m","input":[{"type":"image_generation_call","id":"ig_1","status":"completed","result":"AAAA","output_format":"webp"},
        {"type":"image_generation_call","id":"ig_2","status":"completed","result":null}]}"#,
    );
    insta::assert_snapshot!(turns(&request));
    assert_eq!(extras(&request).len(), 1);
}

#[test]
fn settings_have_their_fields_names() {
    let request = read(
        r#"{"model":"m","input":"x","stream":true,"max_output_tokens":100,"temperature":0.5,"top_p":0.9,
        "top_logprobs":2,"include":["message.output_text.logprobs","reasoning.encrypted_content","web_search_call.results"],
        "parallel_tool_calls":false,"tool_choice":"required","safety_identifier":"u1","user":"u1",
        "reasoning":{"effort":"xhigh","summary":"auto","context":"auto"},
        "text":{"format":{"type":"json_schema","name":"out","strict":true,"schema":{"type":"object"}},"verbosity":"medium"},
        "store":false,"background":false,"truncation":"disabled","service_tier":"auto","previous_response_id":null,
        "stream_options":{"include_obfuscation":false},"metadata":{"a":"b"},"prompt_cache_key":"k",
        "tools":[{"type":"function","name":"weather","description":"d","strict":true,"parameters":{"type":"object"},"defer_loading":false},
            {"type":"function","name":"now","parameters":null,"strict":null}]}"#,
    );
    assert!(request.stream);
    assert_eq!(request.max_tokens, Some(Named::new("max_output_tokens", 100)));
    assert_eq!(request.sampling.temperature, Some(Named::new("temperature", 0.5)));
    assert_eq!(request.sampling.top_p, Some(Named::new("top_p", 0.9)));
    assert_eq!(request.sampling.logprobs, Some(Named::new("include", true)));
    assert_eq!(request.sampling.top_logprobs, Some(Named::new("top_logprobs", 2)));
    assert_eq!(
        request.parallel_tool_calls,
        Some(Named::new("parallel_tool_calls", false))
    );
    assert_eq!(
        request.tool_choice,
        Some(Named::new("tool_choice", ToolChoice::Required))
    );
    assert_eq!(request.user, Some(Named::new("safety_identifier", "u1".to_owned())));
    assert_eq!(
        request.reasoning,
        Some(Named::new("reasoning.effort", Reasoning::Effort(Effort::ExtraHigh)))
    );
    match request.format.as_ref().map(|format| (format.field, &format.value)) {
        Some(("text.format", Format::JsonSchema(schema))) => {
            assert_eq!(
                (schema.name.as_deref(), schema.strict, schema.schema.get()),
                (Some("out"), Some(true), r#"{"type":"object"}"#)
            );
        }
        other => panic!("{other:?}"),
    }
    let tools: Vec<_> = (request.tools.iter())
        .map(|tool| {
            (
                &*tool.at,
                tool.name.as_str(),
                tool.parameters.as_ref().map(|schema| schema.get()),
                tool.strict,
            )
        })
        .collect();
    assert_eq!(
        tools,
        [
            ("tools[0]", "weather", Some(r#"{"type":"object"}"#), Some(true)),
            ("tools[1]", "now", None, None)
        ]
    );
    assert!(extras(&request).is_empty(), "{:?}", extras(&request));
    let echoed: Vec<_> = request
        .echo
        .iter()
        .map(|echo| (&*echo.field, echo.value.get()))
        .collect();
    assert_eq!(
        echoed,
        [
            ("reasoning.summary", r#""auto""#),
            ("metadata", r#"{"a":"b"}"#),
            ("prompt_cache_key", r#""k""#)
        ]
    );
}

#[test]
fn every_effort_format_and_choice_is_read() {
    for (word, expected) in [
        ("none", Reasoning::Off),
        ("minimal", Reasoning::Effort(Effort::Minimal)),
        ("low", Reasoning::Effort(Effort::Low)),
        ("medium", Reasoning::Effort(Effort::Medium)),
        ("high", Reasoning::Effort(Effort::High)),
        ("xhigh", Reasoning::Effort(Effort::ExtraHigh)),
        ("max", Reasoning::Effort(Effort::Max)),
    ] {
        let request = read(&format!(
            r#"{{"model":"m","input":"x","reasoning":{{"effort":"{word}"}}}}"#
        ));
        assert_eq!(request.reasoning.unwrap().value, expected);
    }
    for (word, expected) in [
        (r#""auto""#, ToolChoice::Auto),
        (r#""none""#, ToolChoice::None),
        (r#""required""#, ToolChoice::Required),
        (
            r#"{"type":"function","name":"f"}"#,
            ToolChoice::Function("f".to_owned()),
        ),
    ] {
        let request = read(&format!(r#"{{"model":"m","input":"x","tool_choice":{word}}}"#));
        assert_eq!(request.tool_choice.unwrap().value, expected);
    }
    let text = read(r#"{"model":"m","input":"x","text":{"format":{"type":"text"}}}"#);
    assert!(matches!(text.format.unwrap().value, Format::Text));
    let object = read(r#"{"model":"m","input":"x","text":{"format":{"type":"json_object"}}}"#);
    assert!(matches!(object.format.unwrap().value, Format::JsonObject));
    let alternatives = read(r#"{"model":"m","input":"x","top_logprobs":3}"#).sampling;
    assert_eq!(alternatives.logprobs, Some(Named::new("top_logprobs", true)));
    assert_eq!(
        read(r#"{"model":"m","input":"x","top_logprobs":0}"#).sampling.logprobs,
        None
    );
}

#[test]
fn what_has_no_counterpart_is_kept_with_its_place_and_its_bytes() {
    for (field, value) in [
        ("store", "true"),
        ("background", "true"),
        ("previous_response_id", r#""resp_1""#),
        ("conversation", r#"{"id":"conv_1"}"#),
        ("prompt", r#"{"id":"pmpt_1"}"#),
        ("truncation", r#""auto""#),
        ("service_tier", r#""flex""#),
        ("max_tool_calls", "3"),
        ("prompt_cache_retention", r#""24h""#),
        ("context_management", r#"[{"type":"compaction"}]"#),
        ("a_field_of_next_year", "{ \"a\" : 1.0 }"),
        ("tool_choice", r#"{"type":"web_search"}"#),
        ("tool_choice", r#"{"type":"allowed_tools","mode":"auto","tools":[]}"#),
    ] {
        let request = read(&format!(r#"{{"model":"m","input":"x","{field}":{value}}}"#));
        assert_eq!(extras(&request), [format!("{field} {value}")]);
    }
    let request = read(
        r#"{"model":"m","user":"a","safety_identifier":"b","text":{"verbosity":"low","x":1},"reasoning":{"mode":"pro"},
        "include":["something.new"],"stream_options":{"include_obfuscation":true,"include_usage":true},
        "tools":[{"type":"web_search"},{"type":"function","name":"f","defer_loading":true,"output_schema":{}},{"type":"mcp","server_label":"s"}],
        "input":[{"type":"item_reference","id":"msg_1"},{"id":"rs_1"},
            {"type":"web_search_call","id":"ws_1","status":"completed"},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}","caller":{"type":"program","caller_id":"p"}},
            {"role":"user","content":[{"type":"input_video","url":"v"},{"type":"input_text","text":"t","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}},
                {"type":"input_file","file_id":"f","detail":"high"}]},
            {"role":"assistant","content":"t","new":1}]}"#,
    );
    insta::assert_snapshot!(extras(&request).join("\n"));
    insta::assert_snapshot!(turns(&request));
}

#[test]
fn mistakes_name_their_place() {
    let rows: Vec<String> = [
        "{",
        "[]",
        r#"{"input":"x"}"#,
        r#"{"model":"","input":"x"}"#,
        r#"{"model":7,"input":"x"}"#,
        r#"{"model":"m"}"#,
        r#"{"model":"m","input":{}}"#,
        r#"{"model":"m","input":"a","input":"b"}"#,
        r#"{"model":"m","input":[7]}"#,
        r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
        r#"{"model":"m","input":[{"role":"user"}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":7}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a"}]}]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"A"}}]}]}"#,
        r#"{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":7}]}"#,
        r#"{"model":"m","input":[{"type":"function_call","name":"f","arguments":"{}"}]}"#,
        r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c"}]}"#,
        r#"{"model":"m","input":"x","instructions":[]}"#,
        r#"{"model":"m","input":"x","tools":[{"type":"function"}]}"#,
        r#"{"model":"m","input":"x","tool_choice":"any"}"#,
        r#"{"model":"m","input":"x","text":{"format":{"type":"xml"}}}"#,
        r#"{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n"}}}"#,
        r#"{"model":"m","input":"x","reasoning":{"effort":"huge"}}"#,
        r#"{"model":"m","input":"x","max_output_tokens":-1}"#,
        r#"{"model":"m","input":"x","stream":"yes"}"#,
    ]
    .iter()
    .map(|body| {
        let error = Responses::read_request(body.as_bytes()).unwrap_err();
        format!("{body}\n  {} {error}", error.param().unwrap_or("-"))
    })
    .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn a_conversation_that_is_stored_elsewhere_needs_no_input() {
    let request = read(r#"{"model":"m","previous_response_id":"resp_1"}"#);
    assert!(request.messages.is_empty());
    assert_eq!(extras(&request), [r#"previous_response_id "resp_1""#]);
    let error = Responses::read_request(br#"{"model":"m","previous_response_id":null}"#).unwrap_err();
    assert_eq!(error, RequestError::Missing { field: "input" });
}

#[test]
fn deep_and_long_requests_cost_no_stack_and_linear_time() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let body = format!(
        r#"{{"model":"m","x":{deep},"input":[{{"role":"user","content":[{{"type":"new","y":{deep}}}]}},{{"type":"new","z":{deep}}}],
        "tools":[{{"type":"function","name":"f","parameters":{{"a":{deep}}}}}]}}"#
    );
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let request = thread.spawn(move || read(&body)).unwrap().join().unwrap();
    assert_eq!(request.extras.len(), 3);
    let items = vec![r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#; 50_000].join(",");
    let request = read(&format!(r#"{{"model":"m","input":[{items}]}}"#));
    assert_eq!((request.messages.len(), request.messages[0].role), (1, Role::Assistant));
    assert_eq!(request.messages[0].parts.len(), 50_000);
}
