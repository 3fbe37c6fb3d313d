//! Laws of all pairs.

use proptest::prelude::*;
use tokenweir_llm::ErrorKind;
use tokenweir_llm::conversation::StreamError;
use tokenweir_llm::translate::{Progress, Translation, read_request};

use super::{CLIENTS, WIRES, context, inputs, streamed};
use crate::wires::cut;

#[test]
fn a_stream_can_be_ended_with_an_error_of_the_gateways_own_and_only_once() {
    for client in CLIENTS {
        for translation in WIRES.iter().filter_map(|wire| Translation::new(client, *wire)) {
            let mut stream = translation.stream(context(client, true));
            let mut out = Vec::new();
            let error = StreamError {
                kind: ErrorKind::UpstreamTimeout,
                message: "the provider stopped sending".to_owned(),
            };
            let told = stream.fail(error.clone(), &mut out);
            assert!(told.error && stream.is_over());
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(text.contains("the provider stopped sending"), "{client:?}: {text}");
            assert_eq!(stream.fail(error, &mut out), Progress::default());
            assert_eq!(stream.push(b"data: [DONE]\n\n", &mut out), Progress::default());
            assert_eq!(stream.finish(&mut out), Progress::default());
            assert_eq!(out.len(), text.len());
        }
    }
}

#[test]
fn an_empty_body_is_an_error_for_every_client() {
    for client in CLIENTS {
        for wire in WIRES {
            if let Some((told, tokens)) = streamed(client, wire, &[]) {
                assert!(told.contains("error") && tokens == 0, "{client:?} {wire:?}: {told}");
            }
        }
    }
}

#[test]
fn errors_keep_the_providers_words_whatever_their_form() {
    for client in CLIENTS {
        for translation in WIRES.iter().filter_map(|wire| Translation::new(client, *wire)) {
            for body in [
                r#"{"error":{"message":"Slow down"}}"#,
                "",
                "<html>",
                "[",
                "{\"error\":5}",
            ] {
                let (error, told) = translation.error(429, body.as_bytes());
                assert_eq!(error.kind, ErrorKind::RateLimited);
                let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
                assert_eq!(told["error"]["message"], error.message);
                assert!(!error.message.is_empty());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn streams_cut_anywhere_are_told_the_same(at in prop::collection::vec(any::<usize>(), 0..12)) {
        for (wire, bytes) in inputs::streams("calls").chain(inputs::streams("broken")) {
            for client in CLIENTS {
                prop_assert_eq!(streamed(client, wire, &cut(&bytes, at.clone())), streamed(client, wire, &[&bytes]));
            }
        }
    }

    #[test]
    fn foreign_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for client in CLIENTS {
            let _ = read_request(client, &bytes);
            for (_, request) in inputs::requests("tools").chain(inputs::requests("reasoning")) {
                let _ = read_request(client, &spoilt(request.as_bytes(), at, byte));
            }
            for wire in WIRES {
                let Some(translation) = Translation::new(client, wire) else { continue };
                let _ = translation.answer(&bytes, &context(client, false));
                let _ = translation.error(400, &bytes);
                streamed(client, wire, &[&bytes]);
                for (_, answer) in inputs::answers("calls") {
                    let _ = translation.answer(&spoilt(answer.as_bytes(), at, byte), &context(client, false));
                }
                for (_, stream) in inputs::streams("calls") {
                    streamed(client, wire, &[&spoilt(&stream, at, byte)]);
                }
            }
        }
    }
}

/// Bytes of which one is another.
fn spoilt(bytes: &[u8], at: prop::sample::Index, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    bytes[at] = byte;
    bytes
}
