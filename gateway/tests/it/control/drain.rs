//! The way to the end.

use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::BodyExt as _;
use tokenweir_sim::{Latency, OutputTokens};

use super::files::Bench;
use super::http::{chat, exchange, get, send, wait_for};
use super::process::{Gateway, command};

/// Long enough to be seen, short enough to wait for.
const LAME_DUCK: Duration = Duration::from_secs(2);

fn start(bench: &Bench) -> Gateway {
    Gateway::serve_folder(
        bench.folder.path(),
        bench.state.path(),
        &["--lame-duck", "2s", "--grace", "20s"],
    )
}

#[tokio::test]
async fn the_hook_waits_for_the_lame_duck_phase_in_which_requests_are_served_and_sigterm_does_not_repeat_it() {
    let bench = Bench::new();
    let mut gateway = start(&bench);
    let (base, key, telemetry) = (gateway.data().await, gateway.key().await, gateway.telemetry().await);
    let address = telemetry.trim_start_matches("http://").to_owned();
    let begin = Instant::now();
    let mut hook = command(&[]);
    hook = {
        let mut fresh = tokio::process::Command::new(hook.as_std().get_program());
        fresh.args(["drain", "--telemetry", &address]);
        fresh
    };
    let hook = tokio::spawn(async move { hook.output().await.unwrap() });
    let ready = wait_for("the lame duck", || async {
        Some(get(&format!("{telemetry}/readyz")).await)
            .filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    assert!(ready.body.contains("about to end"), "{}", ready.body);
    let answer = exchange(chat(&base, &key, false)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["connection"], "close");
    let status = get(&gateway.status().await).await.json();
    assert_eq!(status["phase"], "lameDuck");
    let output = hook.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(begin.elapsed() >= LAME_DUCK);
    let begin = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(begin.elapsed() < LAME_DUCK, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_stream_in_flight_goes_on_to_its_end_after_sigterm() {
    let bench = Bench::new();
    bench.sim.update(|behaviour| {
        behaviour.latency = Latency::Fixed {
            first: 10.0,
            token: 50.0,
        };
        behaviour.output_tokens = OutputTokens { min: 40, max: 40 };
    });
    let mut gateway = Gateway::serve_folder(bench.folder.path(), bench.state.path(), &["--grace", "20s"]);
    let (base, key) = (gateway.data().await, gateway.key().await);
    let mut body = send(chat(&base, &key, true)).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "));
    gateway.signal("TERM");
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(
        rest.ends_with(b"data: [DONE]\n\n"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn the_grace_period_bounds_the_end() {
    let bench = Bench::new();
    bench.sim.update(|behaviour| {
        behaviour.latency = Latency::Fixed {
            first: 60_000.0,
            token: 1.0,
        }
    });
    let mut gateway = Gateway::serve_folder(bench.folder.path(), bench.state.path(), &["--grace", "500ms"]);
    let (base, key) = (gateway.data().await, gateway.key().await);
    let request = tokio::spawn(exchange(chat(&base, &key, false)));
    let url = gateway.status().await;
    wait_for("the request", || async {
        (get(&url).await.json()["inFlight"] == 1).then_some(())
    })
    .await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    // The log comes through a pipe, and may be behind the program's end.
    wait_for("the end of the grace period in the log", || async {
        gateway.log.text().contains("the grace period is over").then_some(())
    })
    .await;
    // What the client gets is an error or a cut connection, not an endless wait.
    let answer = request.await.unwrap();
    assert!(answer.is_none_or(|answer| answer.status.is_server_error()));
}

#[tokio::test]
async fn the_hook_without_a_gateway_fails_and_says_where_it_looked() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let program = command(&[]).as_std().get_program().to_owned();
    let output = tokio::process::Command::new(program)
        .args(["drain", "--telemetry", &free])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&free));
}
