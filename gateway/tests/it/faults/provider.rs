//! Providers that break off, fall silent, or send what they should not.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::scene::Scene;
use crate::data::harness::{Answer, chat, events, streamed, until};

/// More than the connections that may stay open, so that one that is lost with each request shows.
const TIMES: usize = 25;

/// The error in the last event of a stream.
fn last_error(answer: &Answer) -> String {
    let events = events(answer.text());
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["type"], "server_error", "{last}");
    last["error"]["message"].as_str().unwrap().to_owned()
}

fn is_whole(answer: &Answer) -> bool {
    answer.text().ends_with("data: [DONE]\n\n") && !answer.text().contains(r#""error""#)
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_stream_is_an_error_event_and_leaves_nothing() {
    let scene = Scene::new().await;
    for fault in ["reset;after=3", "close;after=3"] {
        for _ in 0..TIMES {
            let answer = scene.ask(fault, &streamed("any")).await;
            assert_eq!(answer.status, 200);
            assert!(last_error(&answer).contains("broke off"));
        }
        scene.nothing_is_left().await;
        scene.others_are_served_as_before().await;
    }
    let errors = scene.gateway.upstream_errors();
    assert_eq!(errors.get("sim interrupted"), Some(&(2 * TIMES as u64)), "{errors:?}");
}

#[tokio::test]
async fn a_reset_before_the_answer_or_within_one_in_one_piece_is_a_502() {
    let scene = Scene::new().await;
    for (fault, part) in [
        ("reset", "without an answer"),
        ("reset;after=1", "broke off"),
        ("close;after=1", "broke off"),
    ] {
        for _ in 0..TIMES {
            let answer = scene.ask(fault, &chat("any")).await;
            assert_eq!(answer.status, 502, "{fault}");
            assert!(answer.error().contains(part), "{fault}: {}", answer.error());
        }
        scene.nothing_is_left().await;
    }
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn a_stall_ends_with_an_error_event_and_slows_nobody_meanwhile() {
    let scene = Scene::with(|v| v["providers"]["sim"]["timeouts"]["idleMs"] = json!(2_000)).await;
    let body = streamed("any");
    let stalled = async {
        let answers = join_all((0..TIMES).map(|_| scene.ask("hang;after=3", &body))).await;
        for answer in answers {
            assert!(last_error(&answer).contains("stopped sending"));
        }
    };
    let others = async {
        until("all of them stall", || scene.gateway.running() == TIMES).await;
        scene.others_are_served_as_before().await;
        assert!(scene.gateway.running() >= TIMES, "they stall no longer");
    };
    tokio::join!(stalled, others);
    scene.nothing_is_left().await;
    let short = scene.ask("stall;after=3;for=100", &body).await;
    assert!(is_whole(&short), "a pause that is allowed changes nothing");
}

#[tokio::test]
async fn a_page_is_no_answer_whatever_its_status() {
    let scene = Scene::new().await;
    for _ in 0..TIMES {
        for body in [chat("any"), streamed("any")] {
            for (fault, message) in [
                ("html", "the provider's answer could not be understood"),
                ("html;status=502", "the provider answered with status 502"),
            ] {
                let answer = scene.ask(fault, &body).await;
                assert_eq!(answer.status, 502, "{fault}");
                assert_eq!(answer.header("content-type"), Some("application/json"));
                assert_eq!(answer.error(), message);
            }
        }
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn events_that_are_none_pass_by_and_the_stream_goes_on() {
    let scene = Scene::new().await;
    let plain = scene.gateway.chat(&streamed("any")).await;
    for form in ["json", "utf8", "text"] {
        for _ in 0..TIMES {
            let mut request = scene.gateway.request(super::scene::CHAT, &streamed("any"));
            let fault = format!("malformed;after=2;as={form}");
            request.headers_mut().insert("x-sim-fault", fault.parse().unwrap());
            let answer = scene.gateway.send(request).await;
            let text = String::from_utf8_lossy(&answer.body);
            assert!(text.ends_with("data: [DONE]\n\n"), "{form}: {text}");
            let words = |text: &str| text.matches(r#""delta":{"content""#).count();
            assert_eq!(words(&text), words(plain.text()), "{form}");
        }
        scene.nothing_is_left().await;
    }
    assert_eq!(scene.gateway.upstream_errors().len(), 0);
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn an_event_without_an_end_is_an_error_event() {
    let scene = Scene::new().await;
    for _ in 0..TIMES {
        let answer = scene.ask("malformed;after=2;as=endless", &streamed("any")).await;
        assert!(last_error(&answer).contains("broke off"));
        assert!(!answer.text().contains("xxxx"), "nothing of it passes");
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn usage_that_comes_twice_counts_once_and_usage_that_never_comes_is_estimated() {
    for fault in ["usage-twice", "no-usage"] {
        for (body, name) in [(chat("any"), "whole"), (streamed("any"), "streamed")] {
            let scene = Scene::new().await;
            let before = scene.gateway.counted("chat").unwrap().output_tokens;
            let answer = scene.ask(fault, &body).await;
            assert_eq!(answer.status, 200);
            scene.nothing_is_left().await;
            // One request of the fault and one of `nothing_is_left`, of eight tokens each.
            let counted = scene.gateway.counted("chat").unwrap().output_tokens - before;
            assert_eq!(counted, 16, "{fault}, {name}");
        }
    }
}

#[tokio::test]
async fn a_length_that_lies_breaks_the_answer_and_not_the_gateway() {
    let scene = Scene::new().await;
    for _ in 0..TIMES {
        let answer = scene.ask("length;by=10", &chat("any")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().contains("broke off")),
            (502, true)
        );
        // Its last event is here, so that there is nothing to be missed.
        assert!(is_whole(&scene.ask("length;by=10", &streamed("any")).await));
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn an_answer_byte_by_byte_is_passed_on_whole() {
    let scene = Scene::new().await;
    let stream = streamed("any");
    let plain = scene.gateway.chat(&stream).await;
    let (slow, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(20), scene.ask("slow-loris;interval=0.2", &stream)),
        scene.others_are_served_as_before(),
    );
    let without_ids = |text: &str| text.matches(r#""delta":{"content""#).count();
    assert_eq!(without_ids(slow.unwrap().text()), without_ids(plain.text()));
    scene.nothing_is_left().await;
}
