//! Embeddings in front of providers that have them in other words.

use tokenweir_llm::embeddings::{Embed, EmbeddingsWire};

use crate::{in_proportion, json};

const WIRES: [(EmbeddingsWire, &str); 4] = [
    (EmbeddingsWire::Gemini, "gemini-embedding-001"),
    (EmbeddingsWire::Vertex, "text-embedding-005"),
    (EmbeddingsWire::Titan, "amazon.titan-embed-text-v2:0"),
    (EmbeddingsWire::Cohere, "cohere.embed-v4:0"),
];

const SEEDS: [&str; 7] = [
    r#"{"model":"embed","input":["one","two"],"dimensions":256,"encoding_format":"base64","user":"u"}"#,
    r#"{"model":"embed","input":[1,2],"task_type":"CLUSTERING","input_type":"search_query"}"#,
    r#"{"model":"embed","input":"x","encoding_format":"float"}"#,
    r#"{"embeddings":[{"values":[0.5,-1e-3],"statistics":{"token_count":2}}],"usageMetadata":{"promptTokenCount":3}}"#,
    r#"{"predictions":[{"embeddings":{"values":[1,2.5],"statistics":{"token_count":4,"truncated":false}}}]}"#,
    r#"{"embedding":[0.1,0.2],"inputTextTokenCount":5,"embeddingsByType":{"float":[0.1,0.2]}}"#,
    r#"{"id":"x","embeddings":{"float":[[0.1,2]]},"texts":["a"],"response_type":"embeddings_by_type"}"#,
];

pub fn seeds() -> Vec<Vec<u8>> {
    SEEDS.map(|seed| seed.as_bytes().to_vec()).to_vec()
}

pub fn run(data: &[u8]) {
    match in_proportion("reading", data.len(), || Embed::read(data)) {
        Ok(embed) => requests(&embed, data.len()),
        Err(error) => assert!(error.to_string().len() < 300),
    }
    for asked in &SEEDS[..3] {
        answers(&Embed::read(asked.as_bytes()).unwrap(), data);
    }
}

fn requests(embed: &Embed, length: usize) {
    for (wire, model) in WIRES {
        let written = in_proportion(wire.name(), length, || wire.write(embed, model));
        let (bodies, missing) = match written {
            Ok(written) => written,
            Err(unsupported) => {
                assert_eq!(unsupported.fields, ["input".into()]);
                continue;
            }
        };
        for body in &bodies {
            json::object(wire.name(), body);
        }
        let texts = embed.input.texts().len();
        let expected = if wire == EmbeddingsWire::Titan { texts } else { 1 };
        assert_eq!(bodies.len(), expected, "{} has requests for {texts} texts", wire.name());
        assert!(bodies.concat().len() <= 1000 + 50 * length);
        // The same in one request, where it is one.
        let [body] = &bodies[..] else { continue };
        assert_eq!(wire.request(embed, model, true).as_ref(), Ok(body));
        assert_eq!(wire.request(embed, model, false).err(), missing);
    }
}

fn answers(asked: &Embed, data: &[u8]) {
    for (wire, _) in WIRES {
        if let Ok((body, _)) = in_proportion(wire.name(), data.len(), || wire.answer(data, asked)) {
            json::object(wire.name(), &body);
            assert!(body.len() <= 1000 + 50 * data.len());
        }
        // Of Titan there is an answer for each text.
        let texts = asked.input.texts().len();
        if let Ok((body, _)) = wire.answers(&vec![data; texts], asked) {
            json::object(wire.name(), &body);
            assert!(body.len() <= 1000 + 50 * texts * data.len());
        }
        let (error, body) = wire.error(500, data);
        assert!(!error.message.is_empty());
        json::object(wire.name(), &body);
    }
}
