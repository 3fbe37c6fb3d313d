//! Laws: what the dialect can say survives a round trip, streams may be cut anywhere, and nothing foreign panics.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokenweir_llm::conversation::{PartKind, Report, Request};
use tokenweir_llm::dialect::{ClientDialect, Messages, ProviderWire, Target};

use super::made::{ADAPTIVE, answer, request, wild};
use super::told::{as_events, collect};
use super::{COMPATIBLE, context, events, stream};
use crate::wires::cut;

/// Forgets where the client wrote things, which a round trip cannot keep.
fn without_places(mut request: Request) -> String {
    for tool in &mut request.tools {
        tool.at = "".into();
    }
    for message in &mut request.messages {
        message.at = "".into();
        for part in &mut message.parts {
            part.at = "".into();
            if let PartKind::ToolResult(result) = &mut part.kind {
                for part in &mut result.parts {
                    part.at = "".into();
                }
            }
        }
    }
    format!("{request:#?}")
}

fn places(cuts: &[Index], length: usize) -> Vec<usize> {
    cuts.iter().map(|cut| cut.index(length + 1)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_request_survives_being_written_and_read(
        request in select(vec![COMPATIBLE, ADAPTIVE]).prop_flat_map(request),
    ) {
        let mut report = Report::about(Messages::NAME);
        let target = Target { model: &request.model, ..Target::default() };
        let body = Messages::write_request(&request, &target, &mut report);
        prop_assert!(report.finish().is_ok());
        let again = Messages::read_request(&body).unwrap();
        prop_assert_eq!(without_places(again), without_places(request));
    }

    #[test]
    fn an_answer_survives_being_written_and_read(answer in answer()) {
        let body = Messages::write_answer(&answer, &context());
        let again = Messages::read_answer(&body).unwrap();
        prop_assert_eq!(format!("{again:#?}"), format!("{answer:#?}"));
    }

    #[test]
    fn a_stream_survives_being_written_and_read_however_it_is_cut(
        answer in answer(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let sent = stream(&as_events(&answer));
        let whole = events(&[sent.as_bytes()]);
        let (again, complete) = collect(&whole);
        prop_assert!(complete);
        prop_assert_eq!(format!("{again:#?}"), format!("{answer:#?}"));
        let pieces = events(&cut(sent.as_bytes(), places(&cuts, sent.len())));
        prop_assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
        let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
        prop_assert_eq!(format!("{:?}", events(&bytes)), format!("{whole:?}"));
    }

    #[test]
    fn readers_keep_what_they_guarantee_whatever_comes_and_however_it_is_cut(
        sent in wild(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let whole = events(&[&sent]);
        collect(&whole);
        prop_assert_eq!(format!("{:?}", events(&cut(&sent, places(&cuts, sent.len())))), format!("{whole:?}"));
        // What a client is told of it has each start before its end, whatever it is.
        let told = stream(&whole);
        prop_assert_eq!(told.matches("event: content_block_start").count() >= told.matches("event: content_block_stop").count(), true);
    }

    #[test]
    fn nothing_foreign_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), words in "[\\[\\]{}:,\"a-z0-9\\\\ ]{0,120}") {
        for body in [&bytes[..], words.as_bytes()] {
            let _ = Messages::read_request(body);
            let _ = Messages::read_answer(body);
            let _ = Messages::read_error(500, body);
            let _ = events(&[body]);
        }
    }

    #[test]
    fn nothing_that_is_nearly_right_panics(
        request in request(ADAPTIVE),
        answer in answer(),
        damage in prop::collection::vec((any::<Index>(), 0usize..12, select(vec!["", "null", "1", "[]", "{}", "\"x\"", "\"", ","])), 1..4),
    ) {
        let target = Target { model: ADAPTIVE, ..Target::default() };
        let body = Messages::write_request(&request, &target, &mut Report::about(Messages::NAME));
        let whole = Messages::write_answer(&answer, &context());
        let sent = stream(&as_events(&answer));
        for good in [body, whole, sent.into_bytes()] {
            let mut bad = good;
            for (place, length, with) in &damage {
                let start = place.index(bad.len() + 1);
                let end = bad.len().min(start + length);
                bad.splice(start..end, with.bytes());
            }
            let _ = Messages::read_request(&bad);
            let _ = Messages::read_answer(&bad);
            let _ = Messages::read_error(400, &bad);
            collect(&events(&[&bad]));
        }
    }
}
