//! Server-sent events.

use bytes::Bytes;
use tokenweir_llm::sse::{Event, Parser, SseError, Tail, encode};

use crate::in_proportion;
use crate::pieces::cuts;
use crate::seeds::golden;

pub fn seeds() -> Vec<Vec<u8>> {
    let forms = "\u{feff}: comment\n\nevent: ping\r\ndata:one\r\ndata: two\r\n\r\ndata: x\r\rid: 7\nretry: 3\ndata\n\n";
    let mut seeds = ["chat", "messages", "gemini"]
        .map(|dialect| golden("streams", dialect))
        .concat();
    seeds.push(forms.as_bytes().to_vec());
    seeds
}

type Read = Result<(Vec<Event>, Option<Tail>), SseError>;

fn read(pieces: &[&[u8]], limit: usize) -> Read {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(Bytes::copy_from_slice(piece));
        while let Some(event) = parser.next_event()? {
            events.push(event);
        }
    }
    Ok((events, parser.finish()))
}

pub fn run(data: &[u8]) {
    for limit in [usize::MAX, 64, 7] {
        let whole = in_proportion("reading events", data.len(), || read(&[data], limit));
        for pieces in cuts(data) {
            let cut = in_proportion("reading events in pieces", data.len(), || read(&pieces, limit));
            assert_eq!(cut, whole);
        }
        if let Ok((events, tail)) = whole {
            let all = events.iter().chain(tail.iter().map(|tail| &tail.event));
            assert_eq!(
                all.clone().flat_map(|event| event.raw().to_vec()).collect::<Vec<u8>>(),
                data
            );
            assert!(events.iter().all(|event| event.raw().len() <= limit));
            all.for_each(survives);
        }
    }
}

/// What an event says is the same after it was written and read.
fn survives(event: &Event) {
    let name = event.name().map(|name| std::str::from_utf8(name));
    let (Some(data), Ok(name)) = (event.data(), name.transpose()) else {
        return;
    };
    let (events, tail) = read(&[&encode(name, data)], usize::MAX).unwrap();
    assert_eq!(tail, None);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data(), Some(data));
    assert_eq!(events[0].name().map(|name| &name[..]), name.map(str::as_bytes));
}
