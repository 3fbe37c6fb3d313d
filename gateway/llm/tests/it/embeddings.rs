use base64::Engine as _;
use proptest::prelude::*;
use tokenweir_llm::embeddings::{Embed, EmbeddingsWire};
use tokenweir_llm::{ErrorKind, RequestError};

const WIRES: [EmbeddingsWire; 4] = [
    EmbeddingsWire::Gemini,
    EmbeddingsWire::Vertex,
    EmbeddingsWire::Titan,
    EmbeddingsWire::Cohere,
];

fn read(body: &str) -> Embed {
    Embed::read(body.as_bytes()).unwrap()
}

fn written(wire: EmbeddingsWire, model: &str, body: &str) -> String {
    match wire.request(&read(body), model, false) {
        Ok(body) => String::from_utf8(body).unwrap(),
        Err(unsupported) => format!("reported: {}", unsupported.fields.join(", ")),
    }
}

#[test]
fn texts_and_dimensions_are_written_in_each_providers_words() {
    let body = r#"{"model":"embed","input":["one","two"],"dimensions":256,"encoding_format":"base64"}"#;
    assert_eq!(
        written(EmbeddingsWire::Gemini, "gemini-embedding-001", body),
        concat!(
            r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"one"}]},"outputDimensionality":256},"#,
            r#"{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"two"}]},"outputDimensionality":256}]}"#
        )
    );
    assert_eq!(
        written(EmbeddingsWire::Vertex, "text-embedding-005", body),
        r#"{"instances":[{"content":"one"},{"content":"two"}],"parameters":{"outputDimensionality":256}}"#
    );
    assert_eq!(
        written(EmbeddingsWire::Cohere, "cohere.embed-v4:0", body),
        r#"{"texts":["one","two"],"input_type":"search_document","output_dimension":256}"#
    );
    assert_eq!(
        written(
            EmbeddingsWire::Titan,
            "amazon.titan-embed-text-v2:0",
            r#"{"model":"embed","input":"one","dimensions":256}"#
        ),
        r#"{"inputText":"one","dimensions":256}"#
    );
}

#[test]
fn what_a_provider_does_not_have_is_reported_by_name() {
    let one = |more: &str| format!(r#"{{"model":"embed","input":"x"{more}}}"#);
    let titan = "amazon.titan-embed-text-v2:0";
    for (wire, model, body, expected) in [
        (
            EmbeddingsWire::Titan,
            titan,
            r#"{"model":"embed","input":["a","b"]}"#.to_owned(),
            "reported: input",
        ),
        (
            EmbeddingsWire::Gemini,
            "m",
            r#"{"model":"embed","input":[1,2]}"#.to_owned(),
            "reported: input",
        ),
        (
            EmbeddingsWire::Gemini,
            "m",
            r#"{"model":"embed","input":[[1],[2]]}"#.to_owned(),
            "reported: input",
        ),
        (
            EmbeddingsWire::Cohere,
            "cohere.embed-english-v3",
            one(r#","dimensions":5"#),
            "reported: dimensions",
        ),
        (
            EmbeddingsWire::Vertex,
            "m",
            one(r#","user":"u","input_type":"query""#),
            "reported: user, input_type",
        ),
        (
            EmbeddingsWire::Titan,
            titan,
            one(r#","task_type":"CLUSTERING""#),
            "reported: task_type",
        ),
        (
            EmbeddingsWire::Vertex,
            "m",
            one(r#","task_type":"CLUSTERING""#),
            r#"{"instances":[{"content":"x","task_type":"CLUSTERING"}]}"#,
        ),
        (
            EmbeddingsWire::Cohere,
            "cohere.embed-english-v3",
            one(r#","input_type":"search_query""#),
            r#"{"texts":["x"],"input_type":"search_query"}"#,
        ),
    ] {
        assert_eq!(written(wire, model, &body), expected, "{body}");
    }
}

#[test]
fn dropping_leaves_fields_out_but_never_an_input() {
    let embed = read(r#"{"model":"embed","input":"x","user":"u"}"#);
    let body = EmbeddingsWire::Titan.request(&embed, "m", true).unwrap();
    assert_eq!(body, br#"{"inputText":"x"}"#);
    let two = read(r#"{"model":"embed","input":["x","y"]}"#);
    assert!(EmbeddingsWire::Titan.request(&two, "m", true).is_err());
}

#[test]
fn a_request_that_is_none_is_refused_with_the_field() {
    for (body, param) in [
        (r#"{"input":"x"}"#, "model"),
        (r#"{"model":"m"}"#, "input"),
        (r#"{"model":"m","input":[]}"#, "input"),
        (r#"{"model":"m","input":["a",1]}"#, "input"),
        (r#"{"model":"m","input":{}}"#, "input"),
        (
            r#"{"model":"m","input":"x","encoding_format":"hex"}"#,
            "encoding_format",
        ),
        (r#"{"model":"m","input":"x","dimensions":-1}"#, "dimensions"),
    ] {
        let error: RequestError = Embed::read(body.as_bytes()).unwrap_err();
        assert_eq!(error.param(), Some(param), "{body}");
    }
}

fn answer(wire: EmbeddingsWire, request: &str, body: &str) -> (serde_json::Value, Option<u64>) {
    let (body, usage) = wire.answer(body.as_bytes(), &read(request)).unwrap();
    (serde_json::from_slice(&body).unwrap(), usage.prompt_tokens)
}

#[test]
fn answers_come_back_in_openais_form_with_the_providers_tokens() {
    let two = r#"{"model":"embed","input":["a","b"]}"#;
    let one = r#"{"model":"embed","input":"a"}"#;
    let list = |data: serde_json::Value, tokens: u64| {
        serde_json::json!({"object": "list", "data": data, "model": "embed",
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
    };
    let entry =
        |index: u64, vector: [f64; 2]| serde_json::json!({"object": "embedding", "index": index, "embedding": vector});
    let both = serde_json::json!([entry(0, [0.1, -0.25]), entry(1, [1.0, 2.0])]);
    for (wire, request, body, tokens, shown) in [
        (
            EmbeddingsWire::Gemini,
            two,
            r#"{"embeddings":[{"values":[0.1,-0.25]},{"values":[1,2]}]}"#,
            None,
            2,
        ),
        (
            EmbeddingsWire::Vertex,
            two,
            r#"{"predictions":[{"embeddings":{"values":[0.1,-0.25],"statistics":{"token_count":4.0,"truncated":false}}},
              {"embeddings":{"values":[1,2],"statistics":{"token_count":3}}}],"metadata":{}}"#,
            Some(7),
            7,
        ),
        (
            EmbeddingsWire::Cohere,
            two,
            r#"{"id":"x","texts":["a","b"],"embeddings":{"float":[[0.1,-0.25],[1,2]]}}"#,
            None,
            2,
        ),
        (
            EmbeddingsWire::Cohere,
            two,
            r#"{"embeddings":[[0.1,-0.25],[1,2]]}"#,
            None,
            2,
        ),
        (
            EmbeddingsWire::Titan,
            one,
            r#"{"embedding":[0.1,-0.25],"inputTextTokenCount":9,"embeddingsByType":{"float":[0.1,-0.25]}}"#,
            Some(9),
            9,
        ),
    ] {
        let expected = if request == one {
            serde_json::json!([entry(0, [0.1, -0.25])])
        } else {
            both.clone()
        };
        let (found, usage) = answer(wire, request, body);
        // Numbers stand as they were written; compare them as numbers.
        let found: serde_json::Value = serde_json::from_str(&found.to_string().replace("[1,2]", "[1.0,2.0]")).unwrap();
        assert_eq!((found, usage), (list(expected, shown), tokens), "{wire:?}");
    }
}

#[test]
fn titan_is_asked_for_each_text_by_itself_and_its_answers_are_one() {
    let embed = read(r#"{"model":"embed","input":["a","b"],"dimensions":256,"user":"u"}"#);
    let (bodies, missing) = EmbeddingsWire::Titan.write(&embed, "m").unwrap();
    let bodies: Vec<_> = bodies.iter().map(|body| std::str::from_utf8(body).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"inputText":"a","dimensions":256}"#,
            r#"{"inputText":"b","dimensions":256}"#
        ]
    );
    assert_eq!(missing.unwrap().fields, [Box::<str>::from("user")]);
    let one = r#"{"embedding":[1,2],"inputTextTokenCount":3}"#;
    let without = r#"{"embedding":[3,4]}"#;
    let two = r#"{"embedding":[3,4],"inputTextTokenCount":4}"#;
    for (answers, cost) in [([one, two], Some(7)), ([one, without], None)] {
        let (body, usage) = EmbeddingsWire::Titan.answers(&answers, &embed).unwrap();
        let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(list["data"][1]["embedding"], serde_json::json!([3, 4]));
        assert_eq!(
            (&list["data"][0]["index"], &list["data"][1]["index"]),
            (&0.into(), &1.into())
        );
        assert_eq!(usage.prompt_tokens, cost);
    }
    assert!(EmbeddingsWire::Titan.answers(&[one], &embed).is_err(), "one is missing");
    for (count, asked) in [(2_048, true), (2_049, false)] {
        let many = serde_json::json!({"model": "embed", "input": vec!["a"; count]}).to_string();
        assert_eq!(EmbeddingsWire::Titan.write(&read(&many), "m").is_ok(), asked, "{count}");
    }
    assert!(
        EmbeddingsWire::Titan.answers(&[one, two, two], &embed).is_err(),
        "one is too many"
    );
}

#[test]
fn base64_holds_the_same_numbers_in_32_bits_lowest_byte_first() {
    let request = r#"{"model":"embed","input":"a","encoding_format":"base64"}"#;
    let (found, _) = answer(EmbeddingsWire::Titan, request, r#"{"embedding":[0.1,-0.25,3e-9]}"#);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(found["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let expected: Vec<u8> = [0.1_f32, -0.25, 3e-9].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(bytes, expected);
}

#[test]
fn an_answer_with_too_few_vectors_or_other_things_is_none() {
    let two = read(r#"{"model":"embed","input":["a","b"]}"#);
    for body in [
        r#"{"embeddings":[{"values":[1]}]}"#,
        r#"{"embeddings":[{"values":["x"]},{"values":[1]}]}"#,
        r#"{"embeddings":[{"values":{}},{"values":[1]}]}"#,
        "{}",
        "<html>",
    ] {
        assert!(EmbeddingsWire::Gemini.answer(body.as_bytes(), &two).is_err(), "{body}");
    }
}

#[test]
fn models_on_bedrock_tell_their_wire_and_errors_their_class() {
    for (model, wire) in [
        ("amazon.titan-embed-text-v2:0", Some(EmbeddingsWire::Titan)),
        ("us.cohere.embed-v4:0", Some(EmbeddingsWire::Cohere)),
        ("amazon.nova-2-multimodal-embeddings-v1:0", None),
        ("anthropic.claude-3-haiku-20240307-v1:0", None),
    ] {
        assert_eq!(EmbeddingsWire::of_bedrock(model), wire);
    }
    let (error, body) = EmbeddingsWire::Cohere.error(429, br#"{"message":"slow down"}"#);
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(String::from_utf8(body).unwrap().contains("slow down"));
    let (error, _) = EmbeddingsWire::Vertex.error(
        403,
        br#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}"#,
    );
    assert_eq!(error.kind, ErrorKind::Forbidden);
}

proptest! {
    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let embed = read(r#"{"model":"embed","input":"a"}"#);
        let _ = Embed::read(&bytes);
        for wire in WIRES {
            let _ = wire.answer(&bytes, &embed);
            let _ = wire.error(500, &bytes);
        }
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let _ = Embed::read(format!(r#"{{"model":"m","input":{deep},"x":{deep}}}"#).as_bytes());
    let embed = read(r#"{"model":"embed","input":"a"}"#);
    let _ = EmbeddingsWire::Cohere.answer(format!(r#"{{"embeddings":{deep}}}"#).as_bytes(), &embed);
    let _ = EmbeddingsWire::Titan.answer(format!(r#"{{"embedding":{deep}}}"#).as_bytes(), &embed);
}
