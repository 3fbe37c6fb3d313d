//! Chats, with a simulated provider in the place of the gateway: it speaks the same dialects.

use std::process::Stdio;
use std::time::Duration;

use tokenweir_sim::{Behaviour, RequestOutcome, Sim, SimConfig, SimHandle, TlsFiles};
use tokio::io::AsyncReadExt as _;

use super::support::{DEADLINE, Ran, command, interrupt, run_with};

fn sim(change: impl FnOnce(&mut SimConfig)) -> SimHandle {
    let mut config = SimConfig {
        behaviour: Behaviour {
            latency: "fixed;first=0;token=0".parse().unwrap(),
            ..Behaviour::default()
        },
        ..SimConfig::default()
    };
    change(&mut config);
    Sim::start(config).unwrap()
}

async fn chat(sim: &SimHandle, args: &[&str], input: &str) -> Ran {
    let url = sim.url();
    let mut all = vec!["chat", "--url", &url];
    all.extend(args);
    let mut command = command(&all);
    command.env("TOKENWEIR_API_KEY", "key");
    run_with(command, input).await
}

#[tokio::test]
async fn an_answer_comes_with_what_it_took_in_both_dialects() {
    let sim = sim(|_| {});
    for dialect in ["openai", "anthropic"] {
        let ran = chat(
            &sim,
            &["-m", "sim-small", "--max-tokens", "20", "--dialect", dialect, "Hello"],
            "",
        )
        .await;
        assert_eq!(ran.code, 0, "{dialect}: {}", ran.err);
        assert!(ran.out.split_whitespace().count() > 3, "{dialect}: {}", ran.out);
        assert!(
            ran.err.contains("first token ") && ran.err.contains(" 20 out"),
            "{dialect}: {}",
            ran.err
        );
        let args = [
            "-m",
            "sim-small",
            "--max-tokens",
            "20",
            "--dialect",
            dialect,
            "Hello",
            "-o",
            "json",
        ];
        let json = chat(&sim, &args, "").await.json();
        assert_eq!(json["outputTokens"], 20, "{json}");
        assert_eq!(
            json["text"].as_str().unwrap(),
            ran.out.trim_end(),
            "the same question has the same answer"
        );
    }
}

#[tokio::test]
async fn a_prompt_may_be_piped_in_and_instructions_go_before_it() {
    let sim = sim(|_| {});
    let ran = chat(
        &sim,
        &["-m", "sim-small", "--system", "Be brief.", "-q"],
        "Hello from a pipe\n",
    )
    .await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let requests = sim.requests();
    let body = &requests.last().unwrap().body;
    let said: Vec<(&str, bool)> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message.to_string().contains("from a pipe"),
            )
        })
        .collect();
    assert_eq!(said.len(), 2, "{body}");
    assert!(!said[0].1 && said[1] == ("user", true), "{body}");
    let empty = chat(&sim, &["-m", "sim-small"], " \n").await;
    assert_eq!((empty.code, empty.out.as_str()), (2, ""));
}

#[tokio::test]
async fn an_error_is_one_line_with_its_code() {
    let sim = sim(|config| config.api_keys = vec!["another".to_owned()]);
    let ran = chat(&sim, &["-m", "sim-small", "Hello"], "").await;
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.err.contains("the gateway answered 401 "), "{}", ran.err);
}

#[tokio::test]
async fn without_a_key_or_a_gateway_it_is_said_what_is_missing() {
    let ran = run_with(command(&["chat", "--url", "http://127.0.0.1:1", "Hello"]), "").await;
    assert!(ran.code == 2 && ran.err.contains("--key-file"), "{}", ran.err);
    let mut gone = command(&["chat", "--url", "http://127.0.0.1:1", "-m", "x", "Hello"]);
    gone.env("TOKENWEIR_API_KEY", "key");
    let ran = run_with(gone, "").await;
    assert!(
        ran.code == 1 && ran.err.contains("127.0.0.1:1 cannot be reached"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn ctrl_c_cancels_the_answer_at_the_other_end_too() {
    let sim = sim(|config| config.behaviour.latency = "fixed;first=0;token=60000".parse().unwrap());
    let mut command = command(&["chat", "--url", &sim.url(), "-m", "sim-small", "Hello"]);
    command
        .env("TOKENWEIR_API_KEY", "key")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    seen(&sim, RequestOutcome::Active).await;
    // It has said something by then: what is cancelled is an answer that has begun.
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
    interrupt(&child);
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends");
    assert_eq!(ended.unwrap().code(), Some(130));
    seen(&sim, RequestOutcome::Cancelled).await;
}

/// Waits until the last request is so.
async fn seen(sim: &SimHandle, wanted: RequestOutcome) {
    let waiting = async {
        while sim.requests().last().is_none_or(|request| request.outcome != wanted) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("never {wanted:?}"));
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_answer_at_the_other_end_too() {
    let sim = sim(|config| config.behaviour.latency = "fixed;first=0;token=20".parse().unwrap());
    let url = sim.url();
    let mut command = command(&[
        "chat",
        "--url",
        &url,
        "-m",
        "sim-small",
        "--max-tokens",
        "4000",
        "Hello",
    ]);
    command
        .env("TOKENWEIR_API_KEY", "key")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
    drop(child.stdout.take());
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let ended = ended.expect("it ends").unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    seen(&sim, RequestOutcome::Cancelled).await;
}

#[tokio::test]
async fn a_hostile_gateway_cannot_steer_the_terminal_nor_break_the_line() {
    let words = "a\u{1b}[2J\u{9b}31m\nb";
    let refused = move || async move {
        let error = serde_json::json!({"error": {"code": words, "message": words, "type": words}});
        (http::StatusCode::BAD_REQUEST, axum::Json(error))
    };
    let models = move || async move { axum::Json(serde_json::json!({"data": [{"id": words}, {"id": "other"}]})) };
    let router = axum::Router::new()
        .route("/v1/chat/completions", axum::routing::post(refused))
        .route("/v1/models", axum::routing::get(models));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (args, code) in [
        (&["chat", "--url", &url, "-m", "x", "Hello"][..], 1),
        (&["chat", "--url", &url, "Hello"], 2),
    ] {
        let mut command = command(args);
        command.env("TOKENWEIR_API_KEY", "key");
        let ran = run_with(command, "").await;
        assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{ran:?}");
        assert!(ran.err.contains("a[2J31m b"), "{ran:?}");
        assert!(!ran.err.trim_end().chars().any(char::is_control), "{ran:?}");
    }
}

#[tokio::test]
async fn a_gateway_with_tls_is_believed_only_with_a_certificate_of_a_trusted_authority_and_its_name() {
    tokenweir_process::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["edge.llm.svc".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = TlsFiles {
        cert: cert.clone(),
        key,
        client_ca: None,
    };
    let sim = sim(|config| config.tls = Some(tls));
    assert!(sim.url().starts_with("https://"));
    let ca = cert.to_str().unwrap();
    let base = ["-m", "sim-small", "--max-tokens", "5", "Hello"];
    let trusted = [&base[..], &["--ca-file", ca, "--server-name", "edge.llm.svc"]].concat();
    let ran = chat(&sim, &trusted, "").await;
    assert!(ran.code == 0 && ran.err.contains(" 5 out"), "{ran:?}");
    for wrong in [
        &["--ca-file", ca][..],
        &["--ca-file", ca, "--server-name", "other.llm.svc"],
    ] {
        let ran = chat(&sim, &[&base[..], wrong].concat(), "").await;
        assert!(
            ran.code == 1 && ran.err.contains("--server-name the name to expect"),
            "{wrong:?}: {ran:?}"
        );
    }
    std::fs::write(&cert, "no certificate").unwrap();
    let ran = chat(&sim, &trusted, "").await;
    assert!(ran.code == 1 && ran.err.contains("it holds none"), "{ran:?}");
}
