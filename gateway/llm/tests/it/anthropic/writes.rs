//! Requests for Anthropic, from clients of other dialects: the conversation.

use serde_json::{Value, json};
use tokenweir_llm::conversation::{Named, PartKind, Request, Role, Source};

use super::asked::{call, image, inline, message, of, result, text, with_tools};
use super::{COMPATIBLE, write};

#[test]
fn instructions_in_front_are_the_system_and_turns_alternate() {
    let request = of(vec![
        message(Role::System, "messages[0]", vec![text("You are a clerk.")]),
        message(Role::Developer, "messages[1]", vec![text("Be brief.")]),
        message(Role::User, "messages[2]", vec![text("a")]),
        message(Role::User, "messages[3]", vec![text("b")]),
        message(Role::Assistant, "messages[4]", vec![text("c")]),
        message(Role::Assistant, "messages[5]", vec![text("d")]),
        message(Role::User, "messages[6]", vec![text("e")]),
    ]);
    let (body, unsupported) = write(&request, "claude-sonnet-4-5");
    assert!(unsupported.is_empty());
    insta::assert_json_snapshot!(body);
}

/// The system, and the roles with the text of their first block.
fn shape(body: &Value) -> String {
    let blocks = |content: &Value| {
        let texts: Vec<_> = (content.as_array().into_iter().flatten())
            .map(|block| block["text"].as_str().unwrap_or("?"))
            .collect();
        texts.join("+")
    };
    let turns: Vec<_> = (body["messages"].as_array().unwrap().iter())
        .map(|turn| format!("{}: {}", turn["role"].as_str().unwrap(), blocks(&turn["content"])))
        .collect();
    format!("[{}] {}", blocks(&body["system"]), turns.join(", "))
}

#[test]
fn later_instructions_stand_behind_their_turn_where_the_model_takes_them_and_are_reported_elsewhere() {
    let request = of(vec![
        message(Role::System, "messages[0]", vec![text("s0")]),
        message(Role::User, "messages[1]", vec![text("u1")]),
        message(Role::Assistant, "messages[2]", vec![text("a2")]),
        message(Role::Developer, "messages[3]", vec![text("d3")]),
        message(Role::User, "messages[4]", vec![text("u4")]),
        message(Role::System, "messages[5]", vec![text("s5")]),
        message(Role::Assistant, "messages[6]", vec![text("a6")]),
        message(Role::User, "messages[7]", vec![text("u7")]),
    ]);
    let (body, unsupported) = write(&request, "claude-opus-4-8");
    assert!(unsupported.is_empty());
    assert_eq!(
        shape(&body),
        "[s0] user: u1, assistant: a2, user: u4, system: d3+s5, assistant: a6, user: u7"
    );
    for model in ["claude-opus-4-7", COMPATIBLE] {
        let (body, unsupported) = write(&request, model);
        assert_eq!(unsupported, ["messages[3]", "messages[5]"]);
        assert_eq!(
            shape(&body),
            "[s0+d3+s5] user: u1, assistant: a2, user: u4, assistant: a6, user: u7"
        );
    }
    let last = of(vec![
        message(Role::User, "messages[0]", vec![text("u0")]),
        message(Role::Assistant, "messages[1]", vec![text("a1")]),
        message(Role::System, "messages[2]", vec![text("s2")]),
    ]);
    let (body, unsupported) = write(&last, "claude-opus-4-8");
    assert_eq!(unsupported, ["messages[2]"], "nothing of the user's stands before it");
    assert_eq!(shape(&body), "[s2] user: u0, assistant: a1");
}

#[test]
fn all_results_of_parallel_calls_are_in_the_next_turn_before_any_text() {
    let request = Request {
        messages: vec![
            message(Role::User, "messages[0]", vec![text("Weather?")]),
            message(
                Role::Assistant,
                "messages[1]",
                vec![call("call_1", r#"{"location":"SF"}"#), call("call_2", "")],
            ),
            message(Role::User, "messages[2]", vec![result("call_1", vec![text("15")])]),
            message(Role::User, "messages[3]", vec![text("Hurry.")]),
            message(
                Role::User,
                "messages[4]",
                vec![result(
                    "call_2",
                    vec![text(""), image(Source::Url("https://example.com/m.png".to_owned()))],
                )],
            ),
        ],
        ..with_tools()
    };
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert!(unsupported.is_empty());
    insta::assert_json_snapshot!(body);
}

#[test]
fn arguments_that_are_no_object_are_reported_and_handed_on_as_anthropic_documents() {
    let request = of(vec![message(
        Role::Assistant,
        "messages[0]",
        vec![call("a", "[1]"), call("b", "{\"x\":"), call("c", "  ")],
    )]);
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert_eq!(unsupported, ["messages[0].content[0]", "messages[0].content[1]"]);
    let inputs: Vec<_> = (body["messages"][0]["content"].as_array().unwrap().iter())
        .map(|block| block["input"].clone())
        .collect();
    assert_eq!(
        inputs,
        [
            json!({"INVALID_JSON": "[1]"}),
            json!({"INVALID_JSON": "{\"x\":"}),
            json!({})
        ]
    );
}

#[test]
fn ids_that_anthropic_does_not_take_are_changed_in_the_call_and_its_result_alike() {
    let request = of(vec![
        message(Role::Assistant, "messages[0]", vec![call("functions.f:0", "{}")]),
        message(Role::User, "messages[1]", vec![result("functions.f:0", vec![])]),
    ]);
    let (body, _) = write(&request, COMPATIBLE);
    assert_eq!(body["messages"][0]["content"][0]["id"], "esc_functions_2ef_3a0");
    assert_eq!(
        body["messages"][1]["content"][0]["tool_use_id"],
        "esc_functions_2ef_3a0"
    );
}

#[test]
fn text_that_is_empty_is_left_out_and_so_are_messages_of_it() {
    let request = of(vec![
        message(Role::System, "messages[0]", vec![text(" ")]),
        message(Role::User, "messages[1]", vec![text(""), text("a"), text("\n")]),
        message(Role::Assistant, "messages[2]", vec![text("")]),
        message(Role::User, "messages[3]", vec![text("b")]),
    ]);
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert!(unsupported.is_empty());
    assert_eq!(shape(&body), "[] user: a+b");
    assert!(body.get("system").is_none());
}

fn document(source: Source) -> PartKind {
    PartKind::Document {
        source,
        name: Some("a.pdf".to_owned()),
        citations: true,
    }
}

#[test]
fn media_come_from_all_sources_that_anthropic_takes() {
    let closely = |detail: &str| PartKind::Image {
        source: Source::Url("https://example.com/a.png".to_owned()),
        detail: Some(Named::new("image_url.detail", detail.to_owned())),
    };
    let request = of(vec![message(
        Role::User,
        "messages[0]",
        vec![
            image(inline("image/png", "iVBORw0KGgo=")),
            image(inline("image/jpg", "/9j/4AAQ")),
            image(inline("image/tiff", "SUkqAA==")),
            image(Source::File("file_1".to_owned())),
            closely("high"),
            closely("low"),
            document(inline("application/pdf", "JVBERi0=")),
            document(inline("text/csv", "YSxiCg==")),
            document(inline("text/csv", "/w==")),
            document(inline("application/zip", "UEsDBA==")),
            document(Source::Url("https://example.com/a.pdf".to_owned())),
            document(Source::Text("The grass is green.".to_owned())),
            PartKind::Audio {
                source: inline("audio/wav", "UklGRg=="),
            },
        ],
    )]);
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert_eq!(
        unsupported,
        [
            "messages[0].content[2]",
            "messages[0].content[5].image_url.detail",
            "messages[0].content[8]",
            "messages[0].content[9]",
            "messages[0].content[12]",
        ]
    );
    insta::assert_json_snapshot!(body["messages"]);
}

#[test]
fn media_that_the_assistant_is_said_to_have_sent_are_reported() {
    let request = of(vec![message(
        Role::Assistant,
        "messages[0]",
        vec![image(inline("image/png", "iVBORw0KGgo=")), text("a")],
    )]);
    let (_, unsupported) = write(&request, COMPATIBLE);
    assert_eq!(unsupported, ["messages[0].content[0]"]);
}

#[test]
fn thoughts_go_back_with_their_proof_and_not_without_one() {
    let thought = |signature: Option<&str>| PartKind::Thinking {
        text: "hm".to_owned(),
        signature: signature.map(ToOwned::to_owned),
    };
    let request = of(vec![message(
        Role::Assistant,
        "messages[0]",
        vec![
            thought(Some("EqQB")),
            thought(None),
            PartKind::RedactedThinking { data: "Emw".to_owned() },
            PartKind::Refusal { text: "No.".to_owned() },
        ],
    )]);
    let (body, unsupported) = write(&request, COMPATIBLE);
    assert!(unsupported.is_empty());
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "Emw"},
            {"type": "text", "text": "No."},
        ])
    );
}
