//! The scan of requests that stay in their dialect, and their rewriting.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenweir_llm::{Edits, Operation, Peek, Pieces, RequestError};

use crate::in_proportion;
use crate::pieces::cuts;
use crate::seeds::golden;

pub fn seeds() -> Vec<Vec<u8>> {
    let forms: [&[u8]; 4] = [
        br#" {"model" : "m", "messages":[], "stream":true, "stream_options": {"include_usage" :false, "x":1}, "n":2}"#,
        br#"{"mod\u0065l":"\u00fc","input":"x","stream_options":null,"max_completion_tokens":5,"max_tokens":6}"#,
        br#"{"x":{"model":"no","a":["]","\"}\\"]},"model":"m","messages":[{"content":"model"}],"stream_options":{}}"#,
        br#"{"model":"a","model":"b","prompt":"x","max_output_tokens":7}"#,
    ];
    ["chat", "completions", "responses", "messages"]
        .map(|dialect| golden("requests", dialect))
        .concat()
        .into_iter()
        .chain(forms.map(<[u8]>::to_vec))
        .collect()
}

type Facts = (String, bool, Option<bool>, Option<u64>, Option<u64>);

fn facts(peek: &Peek) -> Facts {
    let model = peek.model().to_owned();
    (model, peek.stream(), peek.include_usage(), peek.max_tokens(), peek.n())
}

pub fn run(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for operation in Operation::ALL {
        let whole = in_proportion("reading a request", data.len(), || Peek::parse(operation, body.clone()));
        for parts in cuts(data) {
            let cut = in_proportion("reading a request in pieces", data.len(), || {
                let mut pieces = Pieces::default();
                for part in parts {
                    pieces.push(Bytes::copy_from_slice(part));
                }
                Peek::parse(operation, pieces)
            });
            assert_eq!(cut.as_ref().map(facts), whole.as_ref().map(facts));
            if let Ok(peek) = cut {
                rewritten(operation, &peek, data);
            }
        }
        match whole {
            Ok(peek) => rewritten(operation, &peek, data),
            Err(error) => assert!(error.to_string().len() < 200),
        }
    }
}

fn rewritten(operation: Operation, peek: &Peek, data: &[u8]) {
    let parsed = serde_json::from_slice::<Value>(data).ok();
    if let Some(parsed) = &parsed {
        assert_eq!(parsed["model"], peek.model());
        assert_eq!(parsed["stream"] == true, peek.stream());
        assert_eq!(
            parsed["stream_options"]["include_usage"].as_bool(),
            peek.include_usage()
        );
    }
    for (model, include_usage) in [
        (None, false),
        (Some("ü\"\\\n"), false),
        (None, true),
        (Some("other"), true),
    ] {
        let edits = Edits { model, include_usage };
        let changed = peek.rewrite(&edits).to_bytes();
        let expected = model.unwrap_or(peek.model());
        let same = expected == peek.model() && (!include_usage || peek.include_usage() == Some(true));
        assert!(!same || changed == data);
        assert!(
            changed.len() <= data.len() + 80,
            "{} bytes became {}",
            data.len(),
            changed.len()
        );

        let again: Result<Peek, RequestError> = Peek::parse(operation, changed.clone());
        let again = facts(&again.unwrap());
        let usage = if include_usage {
            Some(true)
        } else {
            peek.include_usage()
        };
        assert_eq!(
            again,
            (expected.to_owned(), peek.stream(), usage, peek.max_tokens(), peek.n())
        );

        if let Some(mut edited) = parsed.clone() {
            edited["model"] = expected.into();
            if include_usage {
                if edited["stream_options"].is_null() {
                    edited["stream_options"] = json!({});
                }
                edited["stream_options"]["include_usage"] = true.into();
            }
            assert_eq!(serde_json::from_slice::<Value>(&changed).unwrap(), edited);
        }
    }
}
