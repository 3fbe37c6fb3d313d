use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokenweir_llm::{Edits, OpenAiError, Operation, Peek, RequestError};

fn chat(body: &str) -> Result<Peek, RequestError> {
    Peek::parse(Operation::Chat, Bytes::copy_from_slice(body.as_bytes()))
}

fn rewritten(body: &str, edits: &Edits<'_>) -> String {
    String::from_utf8(chat(body).unwrap().rewrite(edits).to_bytes().to_vec()).unwrap()
}

#[test]
fn the_fields_of_a_chat_request_are_read() {
    let peek = chat(
        r#" {"messages":[{"role":"user","content":"hi"}],"model":"gpt-5","stream":true,
            "stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"n":2,"x":{"y":[1]}}"#,
    )
    .unwrap();
    assert_eq!(peek.model(), "gpt-5");
    assert!(peek.stream());
    assert_eq!(peek.include_usage(), Some(true));
    assert_eq!(peek.max_tokens(), Some(7));
    assert_eq!(peek.n(), Some(2));
}

#[test]
fn a_response_and_a_message_have_limits_of_their_own_name() {
    let peek = |operation, body: &'static str| Peek::parse(operation, Bytes::from_static(body.as_bytes()));
    let response = peek(
        Operation::Responses,
        r#"{"model":"m","input":"hi","max_output_tokens":9,"max_tokens":3,"stream":true}"#,
    )
    .unwrap();
    assert_eq!((response.max_tokens(), response.stream()), (Some(9), true));
    let message = peek(
        Operation::Messages,
        r#"{"model":"m","max_tokens":4,"max_output_tokens":9,"messages":[]}"#,
    )
    .unwrap();
    assert_eq!(message.max_tokens(), Some(4));
    for operation in [Operation::Messages, Operation::CountTokens] {
        let missing = RequestError::Missing { field: "messages" };
        assert_eq!(peek(operation, r#"{"model":"m"}"#).unwrap_err(), missing);
    }
    assert!(
        peek(Operation::Responses, r#"{"model":"m"}"#).is_ok(),
        "a stored prompt may stand for the input"
    );
}

#[test]
fn operations_stand_at_the_places_of_their_discriminants() {
    for (place, operation) in Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, place);
    }
}

#[test]
fn null_counts_as_absent() {
    let peek =
        chat(r#"{"model":"m","messages":[],"stream":null,"stream_options":null,"max_tokens":null,"n":null}"#).unwrap();
    assert!(!peek.stream());
    assert_eq!((peek.include_usage(), peek.max_tokens(), peek.n()), (None, None, None));
}

#[test]
fn each_mistake_names_its_field() {
    for (body, message, param) in [
        (
            "",
            "the request body is not valid JSON: error at line 1, column 0",
            None,
        ),
        (
            "{\"model\":",
            "the request body is not valid JSON: error at line 1, column 9",
            None,
        ),
        (
            "{} x",
            "the request body is not valid JSON: error at line 1, column 4",
            None,
        ),
        ("[]", "the request body must be a JSON object", None),
        ("\"model\"", "the request body must be a JSON object", None),
        ("7", "the request body must be a JSON object", None),
        ("{}", "missing required parameter: 'model'", Some("model")),
        (
            r#"{"model":null}"#,
            "missing required parameter: 'model'",
            Some("model"),
        ),
        (
            r#"{"model":7}"#,
            "invalid type for 'model': expected a string",
            Some("model"),
        ),
        (
            r#"{"model":""}"#,
            "invalid type for 'model': expected a string that is not empty",
            Some("model"),
        ),
        (
            r#"{"model":"m"}"#,
            "missing required parameter: 'messages'",
            Some("messages"),
        ),
        (
            r#"{"model":"m","messages":"hi"}"#,
            "invalid type for 'messages': expected an array of objects",
            Some("messages"),
        ),
        (
            r#"{"model":"m","messages":[],"stream":1}"#,
            "invalid type for 'stream': expected a boolean",
            Some("stream"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":-1}"#,
            "invalid type for 'max_tokens': expected an integer that is not negative",
            Some("max_tokens"),
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":[]}"#,
            "invalid type for 'stream_options': expected an object",
            Some("stream_options"),
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":"yes"}}"#,
            "invalid type for 'stream_options.include_usage': expected a boolean",
            Some("stream_options.include_usage"),
        ),
        (
            r#"{"model":"a","messages":[],"mod\u0065l":"b"}"#,
            "duplicate parameter: 'model'",
            Some("model"),
        ),
        (
            r#"{"model":"a","messages":[],"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "duplicate parameter: 'stream_options.include_usage'",
            Some("stream_options.include_usage"),
        ),
    ] {
        let error = chat(body).unwrap_err();
        assert_eq!(error.to_string(), message, "{body}");
        assert_eq!(error.param(), param, "{body}");
        let answer: Value = serde_json::from_slice(&OpenAiError::from(&error).to_body()).unwrap();
        assert_eq!(answer["error"]["param"], json!(param), "{body}");
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{body}");
    }
}

#[test]
fn each_operation_asks_for_its_own_fields() {
    let parse = |operation, body: &'static str| Peek::parse(operation, Bytes::from_static(body.as_bytes()));
    assert!(parse(Operation::Embeddings, r#"{"model":"m","input":["a"]}"#).is_ok());
    assert!(parse(Operation::Embeddings, r#"{"model":"m","input":"a"}"#).is_ok());
    assert_eq!(
        parse(Operation::Embeddings, r#"{"model":"m"}"#).unwrap_err(),
        RequestError::Missing { field: "input" }
    );
    assert!(parse(Operation::Embeddings, r#"{"model":"m","input":{}}"#).is_err());
    assert!(parse(Operation::TextCompletion, r#"{"model":"m","prompt":"a"}"#).is_ok());
}

#[test]
fn edits_are_spliced_and_all_else_stays() {
    let both = Edits {
        model: Some("up/stream \"x\"\\\n"),
        include_usage: true,
    };
    for (body, expected) in [
        (
            " \n{ \"model\" : \"m\" ,\"messages\":[ ], \"t\": 1.0e-0 } ",
            " \n{\"stream_options\":{\"include_usage\":true}, \"model\" : \"up/stream \\\"x\\\"\\\\\\n\" ,\"messages\":[ ], \"t\": 1.0e-0 } ",
        ),
        (
            r#"{"stream_options": null,"messages":[],"model":"m"}"#,
            r#"{"stream_options": {"include_usage":true},"messages":[],"model":"up/stream \"x\"\\\n"}"#,
        ),
        (
            r#"{"messages":[],"model":"m","stream_options": { }}"#,
            r#"{"messages":[],"model":"up/stream \"x\"\\\n","stream_options": {"include_usage":true }}"#,
        ),
        (
            r#"{"messages":[],"stream_options":{"a":1},"model":"m"}"#,
            r#"{"messages":[],"stream_options":{"include_usage":true,"a":1},"model":"up/stream \"x\"\\\n"}"#,
        ),
        (
            r#"{"messages":[],"stream_options":{"a":1,"include_usage" : false},"model":"m"}"#,
            r#"{"messages":[],"stream_options":{"a":1,"include_usage" : true},"model":"up/stream \"x\"\\\n"}"#,
        ),
        (
            r#"{"messages":[],"stream_options":{"include_usage":null},"model":"m"}"#,
            r#"{"messages":[],"stream_options":{"include_usage":true},"model":"up/stream \"x\"\\\n"}"#,
        ),
    ] {
        assert_eq!(rewritten(body, &both), expected);
    }
}

#[test]
fn a_rewrite_without_a_change_shares_the_body() {
    let body = Bytes::from_static(br#"{"model":"m","messages":[],"stream_options":{"include_usage":true}}"#);
    let peek = Peek::parse(Operation::Chat, body.clone()).unwrap();
    let edits = Edits {
        model: Some("m"),
        include_usage: true,
    };
    assert_eq!(peek.rewrite(&edits).to_bytes().as_ptr(), body.as_ptr());
    assert_eq!(peek.rewrite(&Edits::default()).to_bytes().as_ptr(), body.as_ptr());
}

#[test]
fn a_large_and_deep_body_costs_no_stack() {
    let depth = 2_000_000;
    let body = format!(
        r#"{{"deep":{}{},"messages":[{}],"model":"m","stream_options":{{"x":{}{}}}}}"#,
        "[".repeat(depth),
        "]".repeat(depth),
        "1,".repeat(100_000) + "1",
        "{\"a\":".repeat(depth),
        "1".to_owned() + &"}".repeat(depth),
    );
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let out = thread
        .spawn(move || {
            let edits = Edits {
                model: Some("n"),
                include_usage: true,
            };
            let peek = chat(&body).unwrap();
            (peek.rewrite(&edits).len(), body.len())
        })
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(out.0, out.1 + "\"include_usage\":true,".len());
    let open = "[".repeat(depth);
    assert!(matches!(
        chat(&open),
        Err(RequestError::NotAnObject | RequestError::NotJson { .. })
    ));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn a_rewrite_changes_the_two_fields_and_nothing_else(
        extra in prop::collection::vec(("[a-z]{1,3}_.{0,6}", any_json()), 0..6),
        model in ".{1,20}",
        new_model in ".{0,20}",
        options in prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            prop::collection::vec(("[a-z]{1,5}", any_json()), 0..3)
                .prop_map(|entries| Some(Value::Object(entries.into_iter().collect()))),
            any::<bool>().prop_map(|on| Some(json!({"before": 1, "include_usage": on, "z": {}}))),
        ],
        pretty in any::<bool>(),
    ) {
        let mut body: Map<String, Value> = extra.into_iter().collect();
        body.insert("model".into(), json!(model));
        body.insert("messages".into(), json!([{"role": "user", "content": "x"}]));
        if let Some(options) = options {
            body.insert("stream_options".into(), options);
        }
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let out = rewritten(&text, &Edits { model: Some(&new_model), include_usage: true });
        // Read from the text, since a number's nearest double need not survive a print and a parse by this library.
        let mut expected: Map<String, Value> = serde_json::from_str(&text).unwrap();
        expected.insert("model".into(), json!(new_model));
        let options = expected.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), Value::Object(expected));
        // Applied again, nothing is left to change.
        if !new_model.is_empty() {
            prop_assert_eq!(&rewritten(&out, &Edits { model: Some(&new_model), include_usage: true }), &out);
        }
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Peek::parse(Operation::Chat, Bytes::from(bytes));
    }

    #[test]
    fn damaged_requests_never_panic(at in 0usize..90, with in any::<u8>(), cut in 0usize..90) {
        let mut bytes = br#"{"model":"m","messages":[{"a":"b"}],"stream":true,"stream_options":{"include_usage":false}}"#.to_vec();
        bytes[at] = with;
        if at % 3 == 0 {
            bytes.truncate(cut);
        }
        if let Ok(peek) = Peek::parse(Operation::Chat, Bytes::from(bytes)) {
            let out = peek.rewrite(&Edits { model: Some("n"), include_usage: true });
            let again = Peek::parse(Operation::Chat, out).unwrap();
            prop_assert_eq!(again.model(), "n");
            prop_assert_eq!(again.include_usage(), Some(true));
        }
    }
}
