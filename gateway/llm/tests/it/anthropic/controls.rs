//! Requests for Anthropic, from clients of other dialects: all beside the conversation.

use serde_json::json;
use tokenweir_llm::conversation::{
    Effort, Extra, Format, JsonSchema, Named, PartKind, Reasoning, Report, Request, Role, Tool, ToolChoice,
};
use tokenweir_llm::dialect::{Messages, ProviderWire, Target};

use super::asked::{call, hello, message, raw, result, text, with_tools};
use super::{COMPATIBLE, value, write};

#[test]
fn choices_say_what_the_client_said() {
    let shown: Vec<String> = [
        (None, None),
        (None, Some(false)),
        (None, Some(true)),
        (Some(ToolChoice::Auto), None),
        (Some(ToolChoice::None), Some(false)),
        (Some(ToolChoice::Required), Some(false)),
        (Some(ToolChoice::Function("get_weather".to_owned())), None),
    ]
    .into_iter()
    .map(|(choice, parallel)| {
        let request = Request {
            tool_choice: choice.map(|choice| Named::new("tool_choice", choice)),
            parallel_tool_calls: parallel.map(|parallel| Named::new("parallel_tool_calls", parallel)),
            ..with_tools()
        };
        let shown = |model| {
            let (body, unsupported) = write(&request, model);
            format!("{} {unsupported:?}", body["tool_choice"])
        };
        format!("{}\n  opus 5.5: {}", shown("claude-sonnet-5"), shown("claude-opus-5-5"))
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
    let without = Request {
        tool_choice: Some(Named::new("tool_choice", ToolChoice::Auto)),
        parallel_tool_calls: Some(Named::new("parallel_tool_calls", false)),
        ..hello()
    };
    let (body, unsupported) = write(&without, COMPATIBLE);
    assert!(unsupported.is_empty() && body.get("tool_choice").is_none());
}

#[test]
fn functions_have_a_schema_of_an_object() {
    let mut request = with_tools();
    request.tools.push(Tool {
        name: "now".to_owned(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
        at: "tools[1]".into(),
    });
    let (body, _) = write(&request, COMPATIBLE);
    insta::assert_json_snapshot!(body["tools"]);
}

#[test]
fn each_model_is_asked_to_think_in_the_form_that_it_takes() {
    let degrees = [
        Reasoning::Off,
        Reasoning::Adaptive,
        Reasoning::Effort(Effort::Minimal),
        Reasoning::Effort(Effort::Medium),
        Reasoning::Effort(Effort::ExtraHigh),
        Reasoning::Effort(Effort::Max),
        Reasoning::Budget(2000),
        Reasoning::Budget(1000),
        Reasoning::Budget(16_000),
    ];
    let models = [
        "claude-sonnet-4-5",
        "claude-sonnet-4-6",
        "claude-opus-4-8",
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        COMPATIBLE,
    ];
    let mut shown = Vec::new();
    for model in models {
        shown.push(format!("{model}:"));
        for degree in degrees {
            let request = Request {
                reasoning: Some(Named::new("reasoning_effort", degree)),
                max_tokens: Some(Named::new("max_tokens", 16_000)),
                ..hello()
            };
            let (body, unsupported) = write(&request, model);
            shown.push(format!(
                "  {degree:?}: {} {} {unsupported:?}",
                body["thinking"], body["output_config"]
            ));
        }
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_budget_that_leaves_no_room_is_reported_and_one_without_a_limit_gets_room() {
    let thinking = |effort, max_tokens: Option<u64>| {
        let request = Request {
            reasoning: Some(Named::new("reasoning_effort", effort)),
            max_tokens: max_tokens.map(|limit| Named::new("max_tokens", limit)),
            ..hello()
        };
        let (body, unsupported) = write(&request, "claude-haiku-4-5");
        (
            body["max_tokens"].as_u64().unwrap(),
            body["thinking"]["budget_tokens"].as_u64(),
            unsupported.len(),
        )
    };
    assert_eq!(thinking(Reasoning::Effort(Effort::High), Some(1024)), (1024, None, 1));
    assert_eq!(
        thinking(Reasoning::Effort(Effort::High), Some(1025)),
        (1025, Some(1024), 0)
    );
    assert_eq!(
        thinking(Reasoning::Effort(Effort::High), Some(10_000)),
        (10_000, Some(8000), 0)
    );
    assert_eq!(thinking(Reasoning::Budget(5000), None), (37_000, Some(5000), 0));
    assert_eq!(thinking(Reasoning::Effort(Effort::Max), Some(u64::MAX)).2, 0);
}

#[test]
fn each_model_is_told_how_to_draw_tokens_as_far_as_it_takes_it() {
    let models = [
        COMPATIBLE,
        "claude-3-haiku-20240307",
        "claude-sonnet-4-5",
        "claude-opus-4-7",
    ];
    let cases: [(Option<f64>, Option<f64>, Option<u64>); 6] = [
        (Some(0.5), None, None),
        (Some(1.0), Some(1.0), None),
        (Some(0.5), Some(0.9), Some(40)),
        (Some(1.5), None, None),
        (None, Some(0.9), None),
        (Some(0.5), Some(1.0), None),
    ];
    let mut shown = Vec::new();
    for (temperature, top_p, top_k) in cases {
        shown.push(format!("{temperature:?} {top_p:?} {top_k:?}:"));
        for model in models {
            let mut request = hello();
            request.sampling.temperature = temperature.map(|value| Named::new("temperature", value));
            request.sampling.top_p = top_p.map(|value| Named::new("top_p", value));
            request.sampling.top_k = top_k.map(|value| Named::new("top_k", value));
            let (body, unsupported) = write(&request, model);
            shown.push(format!(
                "  {model}: {} {} {} {unsupported:?}",
                body["temperature"], body["top_p"], body["top_k"]
            ));
        }
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn what_does_not_go_with_a_budget_is_reported() {
    let mut request = Request {
        reasoning: Some(Named::new("reasoning_effort", Reasoning::Effort(Effort::Low))),
        ..with_tools()
    };
    request.sampling.temperature = Some(Named::new("temperature", 0.2));
    request.sampling.top_k = Some(Named::new("top_k", 5));
    let (_, unsupported) = write(&request, "claude-sonnet-4-5");
    assert_eq!(unsupported, ["temperature", "top_k"]);
    request.tool_choice = Some(Named::new("tool_choice", ToolChoice::Required));
    let (body, unsupported) = write(&request, "claude-sonnet-4-5");
    assert_eq!(unsupported, ["reasoning_effort"]);
    assert_eq!(
        (&body["temperature"], &body["tool_choice"]["type"]),
        (&json!(0.2), &json!("any"))
    );
    assert!(body.get("thinking").is_none());
}

#[test]
fn a_budget_is_reported_where_the_thought_before_the_calls_is_lost() {
    let asked = |thought: bool, model: &str| {
        let mut said = vec![call("a", "{}")];
        if thought {
            said.insert(
                0,
                PartKind::Thinking {
                    text: String::new(),
                    signature: Some("EqQB".to_owned()),
                },
            );
        }
        let request = Request {
            messages: vec![
                message(Role::User, "messages[0]", vec![text("hi")]),
                message(Role::Assistant, "messages[1]", said),
                message(Role::User, "messages[2]", vec![result("a", vec![text("1")])]),
            ],
            reasoning: Some(Named::new("reasoning_effort", Reasoning::Effort(Effort::Low))),
            ..with_tools()
        };
        let (body, unsupported) = write(&request, model);
        (body.get("thinking").is_some(), unsupported.len())
    };
    assert_eq!(asked(true, "claude-sonnet-4-5"), (true, 0));
    assert_eq!(asked(false, "claude-sonnet-4-5"), (false, 1));
    assert_eq!(
        asked(false, "claude-sonnet-4-6"),
        (true, 0),
        "adaptive thinking needs none"
    );
    assert_eq!(asked(false, COMPATIBLE), (true, 0));
}

#[test]
fn a_schema_for_the_answer_holds_what_was_said_beside_it_and_json_without_one_is_reported() {
    let with = |format| {
        let request = Request {
            format: Some(Named::new("response_format", format)),
            ..hello()
        };
        write(&request, "claude-opus-4-8")
    };
    let (body, unsupported) = with(Format::JsonSchema(JsonSchema {
        name: Some("person".to_owned()),
        description: Some("Who it is.".to_owned()),
        schema: raw(&json!({"type": "object", "properties": {}, "additionalProperties": false})),
        strict: Some(true),
    }));
    assert!(unsupported.is_empty());
    insta::assert_json_snapshot!(body["output_config"]);
    assert_eq!(with(Format::JsonObject).1, ["response_format"]);
    let (body, unsupported) = with(Format::Text);
    assert!(unsupported.is_empty() && body.get("output_config").is_none());
}

#[test]
fn a_limit_on_tokens_is_always_there() {
    let limit = |given: Option<u64>, target: Option<u64>, model: &str| {
        let request = Request {
            max_tokens: given.map(|limit| Named::new("max_completion_tokens", limit)),
            ..hello()
        };
        let target = Target {
            model,
            max_tokens: target,
            ..Target::default()
        };
        let body = Messages::write_request(&request, &target, &mut Report::about(Messages::NAME));
        value(&body)["max_tokens"].as_u64().unwrap()
    };
    assert_eq!(limit(Some(7), Some(8), COMPATIBLE), 7);
    assert_eq!(limit(None, Some(8), COMPATIBLE), 8);
    assert_eq!(limit(None, None, COMPATIBLE), 4096);
    assert_eq!(limit(None, None, "claude-opus-4-8"), 32_000);
    assert_eq!(limit(None, None, "claude-3-5-haiku-20241022"), 8192);
}

#[test]
fn stop_texts_of_white_space_are_reported() {
    let request = Request {
        stop: Some(Named::new("stop", vec!["END".to_owned(), "\n".to_owned()])),
        ..hello()
    };
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(unsupported, ["stop"]);
}

#[test]
fn what_the_dialect_does_not_have_is_reported_unless_it_says_nothing() {
    let mut request = Request {
        n: Some(Named::new("n", 2)),
        user: Some(Named::new("user", "u-1".to_owned())),
        stream: true,
        extras: vec![Extra {
            field: "logit_bias".into(),
            value: raw(&json!({"5": 1})),
        }],
        ..hello()
    };
    request.messages[0].name = Some(Named::new("name", "ann".to_owned()));
    let sampling = &mut request.sampling;
    sampling.presence_penalty = Some(Named::new("presence_penalty", 0.5));
    sampling.frequency_penalty = Some(Named::new("frequency_penalty", -0.5));
    sampling.seed = Some(Named::new("seed", 0));
    sampling.logprobs = Some(Named::new("logprobs", true));
    sampling.top_logprobs = Some(Named::new("top_logprobs", 2));
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert_eq!(
        unsupported,
        [
            "messages[0].name",
            "n",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "logprobs",
            "top_logprobs",
            "logit_bias",
        ]
    );
    assert_eq!(body["metadata"], json!({"user_id": "u-1"}));
    assert_eq!((&body["stream"], &body["model"]), (&json!(true), &json!(COMPATIBLE)));

    let mut neutral = hello();
    neutral.n = Some(Named::new("n", 1));
    neutral.sampling.presence_penalty = Some(Named::new("presence_penalty", 0.0));
    neutral.sampling.frequency_penalty = Some(Named::new("frequency_penalty", 0.0));
    neutral.sampling.logprobs = Some(Named::new("logprobs", false));
    assert!(write(&neutral, COMPATIBLE).1.is_empty());
}
