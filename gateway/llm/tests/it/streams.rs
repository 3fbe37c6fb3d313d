use bytes::Bytes;
use proptest::prelude::*;
use tokenweir_llm::sse::{Event, Parser, SseError, Tail, encode};

use crate::wires::cut;

const LIMIT: usize = 1 << 16;

fn parse(chunks: &[&[u8]], limit: usize) -> Result<(Vec<Event>, Option<Tail>), SseError> {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        parser.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = parser.next_event()? {
            events.push(event);
        }
    }
    Ok((events, parser.finish()))
}

fn text(bytes: Option<&Bytes>) -> Option<&str> {
    bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
}

#[test]
fn the_forms_that_the_standard_allows_are_read() {
    let input = concat!(
        "\u{feff}data: bom\n\n",
        ": comment\n\n",
        "event: ping\r\ndata:no space\r\n\r\n",
        "data:  two\rdata\rdata:three\r\r",
        "id: 7\nretry: 3\ndata: ümläut\n\n",
        "\n",
        "dataset: x\n\n",
    );
    let (events, tail) = parse(&[input.as_bytes()], LIMIT).unwrap();
    let read: Vec<_> = events.iter().map(|e| (text(e.name()), text(e.data()))).collect();
    assert_eq!(
        read,
        [
            (None, Some("bom")),
            (None, None),
            (Some("ping"), Some("no space")),
            (None, Some(" two\n\nthree")),
            (None, Some("ümläut")),
            (None, None),
            (None, None),
        ]
    );
    assert_eq!(tail, None);
}

#[test]
fn an_event_is_handed_out_with_its_last_byte() {
    for (stream, at) in [("data: x\n\n", 9), ("data: x\r\n\r\n", 11), ("data: x\r\r", 9)] {
        let mut parser = Parser::new(LIMIT);
        for (position, byte) in stream.bytes().enumerate() {
            parser.push(Bytes::from(vec![byte]));
            let event = parser.next_event().unwrap();
            assert_eq!(event.is_some(), position + 1 == at, "{stream:?} at {position}");
        }
    }
}

#[test]
fn whole_events_share_the_memory_of_their_chunk() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut parser = Parser::new(LIMIT);
    parser.push(chunk.clone());
    let first = parser.next_event().unwrap().unwrap();
    assert_eq!(first.raw().as_ptr(), chunk.as_ptr());
    assert_eq!(first.data().unwrap().as_ptr(), chunk[6..].as_ptr());
}

#[test]
fn what_no_blank_line_ended_is_told_apart() {
    let (events, tail) = parse(&[b"data: a\n\ndata: [DONE]\n"], LIMIT).unwrap();
    assert_eq!(events.len(), 1);
    let tail = tail.unwrap();
    assert!(!tail.terminated);
    assert_eq!(text(tail.event.data()), Some("[DONE]"));
    let (_, tail) = parse(&[b"data: a\r\n\r"], LIMIT).unwrap();
    assert!(tail.unwrap().terminated);
}

#[test]
fn an_event_over_the_limit_is_an_error_and_stays_one() {
    let mut parser = Parser::new(10);
    parser.push(Bytes::from_static(b"data: 1\n\n"));
    assert!(parser.next_event().unwrap().is_some());
    parser.push(Bytes::from_static(b"data: 12345"));
    assert_eq!(parser.next_event(), Err(SseError::TooLarge { limit: 10 }));
    parser.push(Bytes::from_static(b"\n\ndata: 1\n\n"));
    assert_eq!(parser.next_event(), Err(SseError::TooLarge { limit: 10 }));
    assert_eq!(parser.finish(), None);
}

#[test]
fn an_endless_line_in_single_bytes_costs_linear_time() {
    let mut parser = Parser::new(usize::MAX);
    for _ in 0..400_000 {
        parser.push(Bytes::from_static(b"x"));
        assert_eq!(parser.next_event(), Ok(None));
    }
    assert_eq!(parser.finish().unwrap().event.raw().len(), 400_000);
}

#[test]
fn encoded_events_read_back() {
    assert_eq!(
        &encode(Some("a"), b"x\r\ny\rz\n")[..],
        b"event: a\ndata: x\ndata: y\ndata: z\ndata: \n\n"
    );
    assert_eq!(&encode(None, b"")[..], b"data: \n\n");
}

/// Streams dense in everything that matters to the parser.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("data: x"),
        Just("data:"),
        Just("event: e"),
        Just(": c"),
        Just("ü"),
        Just("\u{feff}"),
        Just("data: {\"a\":\"日本\"}\n\n"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    // Some: the fuzz target `sse` holds the same laws on far more streams.
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_cut_gives_the_same_events_and_the_same_bytes(
        input in stream(),
        at in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let (events, tail) = parse(&[&input], LIMIT).unwrap();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&parse(&bytes, LIMIT).unwrap(), &(events.clone(), tail.clone()));
        prop_assert_eq!(&parse(&cut(&input, at), LIMIT).unwrap(), &(events.clone(), tail.clone()));
        let joined: Vec<u8> =
            events.iter().chain(tail.iter().map(|tail| &tail.event)).flat_map(|e| e.raw().to_vec()).collect();
        prop_assert_eq!(joined, input);
    }

    #[test]
    fn any_cut_gives_the_same_refusal(input in stream(), limit in 0usize..60) {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        let whole = parse(&[&input], limit);
        let single = parse(&bytes, limit);
        prop_assert_eq!(whole.map_err(|e| e.to_string()), single.map_err(|e| e.to_string()));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&[&bytes], 100);
    }

    #[test]
    fn what_is_encoded_is_parsed_again(data in "[^\r\n]{0,20}(\n[^\r\n]{0,10}){0,3}", name in prop::option::of("[a-z]{1,8}")) {
        let raw = encode(name.as_deref(), data.as_bytes());
        let (events, tail) = parse(&[&raw], LIMIT).unwrap();
        prop_assert_eq!(tail, None);
        prop_assert_eq!(events.len(), 1);
        prop_assert_eq!(text(events[0].data()), Some(data.as_str()));
        prop_assert_eq!(text(events[0].name()), name.as_deref());
    }
}
