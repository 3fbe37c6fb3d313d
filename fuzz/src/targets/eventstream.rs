//! Amazon's binary framing.

use tokenweir_llm::dialect::converse::eventstream::{Decoder, FrameError, Message, encode};

use crate::in_proportion;
use crate::pieces::cuts;

/// Messages, the error at which reading stopped, and whether input was left.
fn read(pieces: &[&[u8]]) -> (Vec<Message>, Option<FrameError>, bool) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_message(), Err(error));
                    return (messages, Some(error), decoder.is_cut());
                }
            }
        }
    }
    (messages, None, decoder.is_cut())
}

pub fn run(data: &[u8]) {
    for bytes in [data.to_vec(), sealed(data)] {
        let whole = in_proportion("reading frames", bytes.len(), || read(&[&bytes]));
        for pieces in cuts(&bytes) {
            let cut = in_proportion("reading frames in pieces", bytes.len(), || read(&pieces));
            assert_eq!(cut, whole);
        }
        let held: usize = whole.0.iter().map(|message| message.payload.len()).sum();
        assert!(held <= bytes.len());
    }
    written(data);
}

/// The same with checksums that are right, which no mutation meets.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Some(prelude) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<12>()) {
        let sum = crc32fast::hash(&prelude[..8]);
        prelude[8..].copy_from_slice(&sum.to_be_bytes());
        let [a, b, c, d, ..] = *prelude;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(frame) = bytes
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..length))
            .filter(|frame| frame.len() >= 16)
        else {
            break;
        };
        let (body, checksum) = frame.split_at_mut(length - 4);
        checksum.copy_from_slice(&crc32fast::hash(body).to_be_bytes());
        at += length;
    }
    bytes
}

/// What is written is read again, whatever it says.
fn written(data: &[u8]) {
    let (name, payload) = data.split_at(data.len().min(40));
    let name = String::from_utf8_lossy(name);
    let bytes = encode(&[(":event-type", &name), (":message-type", "event")], payload);
    let (messages, error, cut) = read(&[&bytes]);
    assert_eq!((messages.len(), error, cut), (1, None, false));
    assert_eq!(messages[0].payload, payload);
    assert_eq!(messages[0].header(":event-type"), Some(&*name));
    assert_eq!(messages[0].header(":message-type"), Some("event"));
    assert_eq!(messages[0].header(":exception-type"), None);
}
