use std::io::ErrorKind;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokenweir_sim::RequestOutcome;

use crate::client::{CHAT, chat, eventually, io_kind, open, post, start};

fn stream() -> String {
    chat(json!({"stream": true, "max_tokens": 8, "ignore_eos": true})).to_string()
}

#[tokio::test]
async fn chains_are_counted_per_key() {
    let sim = start(|_| ());
    let ask = async |key: &str| {
        let headers = [("x-sim-fault", "500,503,ok"), ("x-sim-key", key)];
        post(&sim, CHAT, &headers, chat(json!({}))).await.status.as_u16()
    };
    assert_eq!([ask("a").await, ask("a").await, ask("b").await], [500, 503, 500]);
    assert_eq!([ask("a").await, ask("a").await, ask("b").await], [200, 200, 503]);
    sim.clear_requests();
    assert_eq!(ask("a").await, 500);
}

#[tokio::test]
async fn faults_come_from_header_model_and_configuration_in_this_order() {
    let sim = start(|behaviour| {
        behaviour.models = vec!["m".into(), "bad".into()];
        behaviour.faults.insert("bad".into(), "502".parse().unwrap());
        behaviour.faults.insert("*".into(), "503".parse().unwrap());
    });
    let header = [("x-sim-fault", "418")];
    for (headers, model, status) in [
        (&header[..], "bad!501", 418),
        (&[][..], "bad!501", 501),
        (&[][..], "bad", 502),
        (&[][..], "m", 503),
        (&[][..], "m!ok", 200),
    ] {
        let reply = post(&sim, CHAT, headers, chat(json!({"model": model}))).await;
        assert_eq!(reply.status, status, "{model}");
    }
    let wrong = post(&sim, CHAT, &[("x-sim-fault", "explode")], chat(json!({}))).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(
        wrong.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("\"explode\" is not a fault")
    );
    let faults: Vec<Option<String>> = sim.requests().into_iter().map(|request| request.fault).collect();
    assert_eq!(
        faults[..4],
        ["418", "501", "502", "503"].map(|fault| Some(fault.to_owned()))
    );
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let sim = start(|_| ());
    let reply = post(&sim, CHAT, &[("x-sim-fault", "429;retry-after=7")], chat(json!({}))).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.headers["retry-after"], "7");
    assert_eq!(reply.headers["x-ratelimit-remaining-requests"], "0");
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_is_none() {
    let sim = start(|_| ());
    for (fault, kind, sent) in [
        ("reset;after=3", Some(ErrorKind::ConnectionReset), 3),
        ("close;after=3", None, 3),
    ] {
        let response = open(&sim, Method::POST, CHAT, &[("x-sim-fault", fault)], stream())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        let mut received = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => break error,
            }
        };
        let words = String::from_utf8(received).unwrap().matches("\"content\":\"").count();
        assert_eq!(
            words,
            1 + sent,
            "the role chunk and the tokens before the fault arrive with {fault}"
        );
        assert_eq!(
            io_kind(&error).filter(|kind| *kind == ErrorKind::ConnectionReset),
            kind,
            "{fault}: {error:?}"
        );
    }
    let early = open(&sim, Method::POST, CHAT, &[("x-sim-fault", "reset")], stream())
        .await
        .unwrap_err();
    assert_eq!(io_kind(&early), Some(ErrorKind::ConnectionReset));
    assert!(
        open(&sim, Method::POST, CHAT, &[("x-sim-fault", "close")], stream())
            .await
            .is_err()
    );
    eventually("all four count as cancelled", async || sim.stats().cancelled == 4).await;
}

#[tokio::test]
async fn answers_that_are_no_streams_break_in_their_middle() {
    let sim = start(|_| ());
    for fault in ["reset;after=1", "close;after=1", "error;after=1"] {
        let headers = [("x-sim-fault", fault)];
        let response = open(&sim, Method::POST, CHAT, &headers, chat(json!({})).to_string())
            .await
            .unwrap();
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert!(length > 100);
        assert!(response.into_body().collect().await.is_err(), "{fault}");
    }
    let cut = post(&sim, CHAT, &[("x-sim-fault", "malformed")], chat(json!({}))).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&cut.body).is_err());
}

#[tokio::test]
async fn a_hanging_request_ends_when_its_client_leaves() {
    let sim = start(|_| ());
    let headers = [("x-sim-fault", "hang")];
    let hanging = open(&sim, Method::POST, CHAT, &headers, stream());
    let mut hanging = Box::pin(hanging);
    eventually("the request arrives", async || {
        tokio::select! {
            biased;
            _ = &mut hanging => panic!("it was answered"),
            () = tokio::task::yield_now() => {}
        }
        sim.stats().active == 1
    })
    .await;
    drop(hanging);
    eventually("it counts as cancelled", async || sim.stats().cancelled == 1).await;
    assert_eq!(sim.requests()[0].outcome, RequestOutcome::Cancelled);
    assert_eq!(sim.requests()[0].status, None);
}

#[tokio::test]
async fn silence_in_the_middle_is_ended_by_the_client_alone() {
    let sim = start(|_| ());
    let response = open(&sim, Method::POST, CHAT, &[("x-sim-fault", "hang;after=2")], stream())
        .await
        .unwrap();
    let mut body = response.into_body();
    eventually("two tokens are sent", async || {
        tokio::select! {
            biased;
            frame = body.frame() => assert!(frame.unwrap().is_ok()),
            () = tokio::task::yield_now() => {}
        }
        sim.requests()[0].tokens_sent == 2
    })
    .await;
    assert_eq!(sim.requests()[0].outcome, RequestOutcome::Active);
    drop(body);
    eventually("it counts as cancelled", async || sim.stats().cancelled == 1).await;
}

#[tokio::test]
async fn a_stall_ends_and_the_stream_is_whole() {
    let sim = start(|_| ());
    let began = std::time::Instant::now();
    let stalled = post(
        &sim,
        CHAT,
        &[("x-sim-fault", "stall;after=2;for=80")],
        serde_json::from_str(&stream()).unwrap(),
    )
    .await;
    assert!(began.elapsed() >= std::time::Duration::from_millis(80));
    let plain = post(&sim, CHAT, &[], serde_json::from_str(&stream()).unwrap()).await;
    assert_eq!(stalled.body, plain.body);
}

#[tokio::test]
async fn odd_events_and_endings_are_as_asked() {
    let sim = start(|_| ());
    let ask = async |fault: &str| {
        let headers = [("x-sim-fault", fault)];
        let body = chat(json!({"stream": true, "stream_options": {"include_usage": true}, "max_tokens": 8}));
        post(&sim, CHAT, &headers, body).await
    };
    let text = |reply: &crate::client::Reply| String::from_utf8(reply.body.to_vec()).unwrap();
    let broken = text(&ask("malformed;after=2").await);
    assert!(broken.contains("data: {\"id\":\"chatcmpl-\n\n") && broken.ends_with("data: [DONE]\n\n"));
    let error = ask("error;after=2").await;
    let chunks = error.chunks();
    assert_eq!(chunks.last().unwrap()["error"]["type"], "server_error");
    assert_eq!(chunks.len(), 1 + 2 + 1);
    assert!(!text(&ask("no-done").await).contains("[DONE]"));
    let silent = ask("no-usage").await;
    assert!(silent.chunks().iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn split_and_slow_bodies_arrive_in_pieces_and_whole() {
    let sim = start(|_| ());
    let body = chat(json!({"max_tokens": 2, "stream": true}));
    let plain = post(&sim, CHAT, &[], body.clone()).await.body;
    for (fault, size) in [("split;size=7", 7), ("slow-loris;interval=0.1", 1)] {
        let response = open(&sim, Method::POST, CHAT, &[("x-sim-fault", fault)], body.to_string())
            .await
            .unwrap();
        let mut body = response.into_body();
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= size, "{fault}: {}", data.len());
            whole.extend_from_slice(&data);
        }
        assert_eq!(whole, plain, "{fault}");
    }
}

#[tokio::test]
async fn a_probability_strikes_some_requests_and_not_others() {
    let sim = start(|behaviour| {
        behaviour.faults.insert("*".into(), "500;p=0.5".parse().unwrap());
    });
    let mut failed = 0;
    for _ in 0..60 {
        failed += u32::from(post(&sim, CHAT, &[], chat(json!({}))).await.status == 500);
    }
    assert!((12..=48).contains(&failed), "{failed} of 60");
}

#[tokio::test]
async fn pages_come_in_place_of_answers_with_any_status() {
    let sim = start(|_| ());
    for (fault, status) in [("html", 200), ("html;status=502", 502)] {
        for stream in [false, true] {
            let page = post(&sim, CHAT, &[("x-sim-fault", fault)], chat(json!({"stream": stream}))).await;
            assert_eq!(page.status, status);
            assert_eq!(page.headers["content-type"], "text/html");
            assert!(page.body.starts_with(b"<html>"));
        }
    }
}

#[tokio::test]
async fn what_is_no_event_comes_in_four_forms() {
    let sim = start(|_| ());
    let ask = async |form: &str| {
        let fault = format!("malformed;after=2;as={form}");
        let body = serde_json::from_str(&stream()).unwrap();
        post(&sim, CHAT, &[("x-sim-fault", &fault)], body).await.body
    };
    assert!(std::str::from_utf8(&ask("utf8").await).is_err());
    let text = String::from_utf8(ask("text").await.to_vec()).unwrap();
    assert!(text.contains("\n\nupstream connect error\n\n") && text.ends_with("[DONE]\n\n"));
    let endless = ask("endless").await;
    assert!(endless.ends_with(b"xxxx") && endless.len() > 1024 * 1024);
    let body = chat(json!({}));
    let utf8 = post(&sim, CHAT, &[("x-sim-fault", "malformed;as=utf8")], body)
        .await
        .body;
    assert!(std::str::from_utf8(&utf8).is_err());
}

#[tokio::test]
async fn usage_comes_twice_where_it_comes_at_all() {
    let sim = start(|_| ());
    let headers = [("x-sim-fault", "usage-twice")];
    let count = async |body| {
        let reply = post(&sim, CHAT, &headers, body).await;
        reply.chunks().iter().filter(|chunk| chunk["usage"].is_object()).count()
    };
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    assert_eq!(count(chat(asked)).await, 2);
    assert_eq!(count(chat(json!({"stream": true}))).await, 0);
}

#[tokio::test]
async fn lengths_that_lie_break_or_cut_the_body() {
    let sim = start(|_| ());
    let plain = post(&sim, CHAT, &[], chat(json!({}))).await.body;
    for (fault, stream) in [("length;by=10", false), ("length;by=10", true)] {
        let body = chat(json!({"stream": stream})).to_string();
        let response = open(&sim, Method::POST, CHAT, &[("x-sim-fault", fault)], body)
            .await
            .unwrap();
        let claimed: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert!(claimed >= plain.len() + 10);
        assert!(response.into_body().collect().await.is_err(), "{stream}");
    }
    let cut = open(
        &sim,
        Method::POST,
        CHAT,
        &[("x-sim-fault", "length;by=-10")],
        chat(json!({})).to_string(),
    )
    .await
    .unwrap();
    assert_eq!(cut.headers()["content-length"], (plain.len() - 10).to_string());
    let cut = cut.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    assert!(cut.is_err() || cut.is_ok_and(|body| plain.starts_with(&body) && body.len() == plain.len() - 10));
}

#[tokio::test]
async fn an_idle_connection_ends_just_as_the_next_request_comes() {
    let sim = start(|_| ());
    let stream = tokio::net::TcpStream::connect(sim.addr()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let ask = |fault: &str| {
        http::Request::post(CHAT)
            .header("host", "sim")
            .header("x-sim-fault", fault)
            .body(http_body_util::Full::new(bytes::Bytes::from(
                chat(json!({})).to_string(),
            )))
            .unwrap()
    };
    let first = sender.send_request(ask("idle-close")).await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    first.into_body().collect().await.unwrap();
    sender.ready().await.unwrap();
    assert!(!connection.is_finished(), "it stays open while it is idle");
    assert!(sender.send_request(ask("ok")).await.is_err());
    assert_eq!(sim.requests().len(), 1, "the second one was never read");
}

#[tokio::test]
async fn http_2_connections_go_away_gently_or_at_once() {
    let sim = start(|behaviour| behaviour.latency = "fixed;first=0;token=2".parse().unwrap());
    let connect = async || {
        let stream = tokio::net::TcpStream::connect(sim.addr()).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        (sender, tokio::spawn(connection))
    };
    let ask = |fault: &str| {
        http::Request::post(format!("http://sim{CHAT}"))
            .header("x-sim-fault", fault)
            .body(http_body_util::Full::new(bytes::Bytes::from(stream())))
            .unwrap()
    };
    let (mut sender, connection) = connect().await;
    let answer = sender.send_request(ask("goaway")).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"), "the answer is whole");
    connection.await.unwrap().unwrap();
    let (mut sender, connection) = connect().await;
    let answer = sender.send_request(ask("goaway;after=2")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err(), "the answer is cut");
    let _ = connection.await.unwrap();
    eventually("it counts as cancelled", async || sim.stats().cancelled == 1).await;
}

#[tokio::test]
async fn limits_run_down_in_headers_and_end_in_a_429() {
    let sim = start(|_| ());
    let headers = [("x-sim-fault", "limit;requests=2;tokens=1000;window=60000")];
    let ask = async || post(&sim, CHAT, &headers, chat(json!({}))).await;
    let (one, two, three) = (ask().await, ask().await, ask().await);
    assert_eq!(one.headers["x-ratelimit-limit-requests"], "2");
    assert_eq!(one.headers["x-ratelimit-remaining-requests"], "1");
    assert_eq!(two.headers["x-ratelimit-remaining-requests"], "0");
    let tokens = |reply: &crate::client::Reply| -> u64 {
        reply.headers["x-ratelimit-remaining-tokens"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let used = one.json()["usage"]["total_tokens"].as_u64().unwrap();
    assert_eq!((tokens(&one), tokens(&two)), (1000 - used, 1000 - 2 * used));
    assert_eq!(three.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(three.headers["x-ratelimit-reset-requests"], "1m0s");
    assert_eq!(three.headers["retry-after"], "60");
    sim.clear_requests();
    assert_eq!(ask().await.status, StatusCode::OK);
}
