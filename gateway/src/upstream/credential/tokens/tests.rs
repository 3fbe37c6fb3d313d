use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use axum::Router;
use axum::extract::State as Shared;
use axum::routing::post;
use tokio::sync::Semaphore;

use super::super::google::tests::key_file;
use super::*;
use crate::clock::ManualClock;

/// A token server that answers when it is told to.
struct Server {
    asked: AtomicUsize,
    /// One permit for each answer.
    answers: Semaphore,
    /// What it answers with; the status and the body.
    reply: Mutex<(u16, String)>,
}

async fn grant(Shared(server): Shared<Arc<Server>>, form: String) -> (StatusCode, String) {
    let assertion = form
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap();
    assert_eq!(assertion.split('.').count(), 3);
    let n = server.asked.fetch_add(1, SeqCst) + 1;
    server.answers.acquire().await.unwrap().forget();
    let (status, body) = server.reply.lock().clone();
    (
        StatusCode::from_u16(status).unwrap(),
        body.replace("{n}", &n.to_string()),
    )
}

async fn world(answers: usize) -> (Arc<Server>, Arc<ManualClock>, Arc<Tokens>) {
    let server = Arc::new(Server {
        asked: AtomicUsize::new(0),
        answers: Semaphore::new(answers),
        reply: Mutex::new((
            200,
            r#"{"access_token":"t{n}","expires_in":3600,"token_type":"Bearer"}"#.to_owned(),
        )),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/token", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/token", post(grant))
        .with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (clock, tokens) = tokens(&uri);
    (server, clock, tokens)
}

fn tokens(uri: &str) -> (Arc<ManualClock>, Arc<Tokens>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let account = ServiceAccount::from_json(&key_file(uri)).unwrap();
    let clock = ManualClock::new();
    let tokens = Tokens::new(account, &tls, Arc::clone(&clock) as Arc<dyn Clock>);
    (clock, tokens)
}

/// Waits until something is so; the test's own deadline is ten seconds.
async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn many_requests_share_one_exchange_and_the_token_is_kept() {
    let (server, clock, tokens) = world(0).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { tokens.bearer().await })
        })
        .collect();
    until("the exchange begins", || server.asked.load(SeqCst) == 1).await;
    server.answers.add_permits(1);
    for request in requests {
        let header = request.await.unwrap().unwrap();
        assert_eq!(header, "Bearer t1");
        assert!(header.is_sensitive());
    }
    clock.advance(Duration::from_mins(54));
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    assert_eq!(server.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_by_one_exchange_while_requests_go_on() {
    let (server, clock, tokens) = world(1).await;
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    clock.advance(Duration::from_mins(56));
    for _ in 0..10 {
        assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    }
    until("the exchange begins", || server.asked.load(SeqCst) == 2).await;
    server.answers.add_permits(1);
    until("the token is new", || tokens.state.lock().running.is_none()).await;
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t2");
    assert_eq!(server.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_has_expired_is_not_used() {
    let (server, clock, tokens) = world(2).await;
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    clock.advance(Duration::from_hours(1));
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t2");
    assert_eq!(server.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_leaves_does_not_end_the_exchange() {
    let (server, _, tokens) = world(0).await;
    let leaving = tokio::spawn({
        let tokens = Arc::clone(&tokens);
        async move { tokens.bearer().await }
    });
    until("the exchange begins", || server.asked.load(SeqCst) == 1).await;
    leaving.abort();
    assert!(leaving.await.is_err());
    server.answers.add_permits(1);
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    assert_eq!(server.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_told_and_stands_for_a_second() {
    let (server, clock, tokens) = world(10).await;
    *server.reply.lock() = (400, r#"{"error":"invalid_grant"}"#.to_owned());
    let refused = TokenError::Refused {
        status: 400,
        words: r#"{"error":"invalid_grant"}"#.to_owned(),
    };
    assert_eq!(tokens.bearer().await.unwrap_err(), refused);
    assert_eq!(tokens.bearer().await.unwrap_err(), refused);
    assert_eq!(server.asked.load(SeqCst), 1);
    clock.advance(AFTER_FAILURE);
    *server.reply.lock() = (200, r#"{"access_token":"good","expires_in":60}"#.to_owned());
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer good");
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_token_in_use() {
    let (server, clock, tokens) = world(10).await;
    tokens.bearer().await.unwrap();
    *server.reply.lock() = (500, String::new());
    clock.advance(Duration::from_mins(56));
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
    until("the renewal fails", || tokens.state.lock().failed.is_some()).await;
    assert_eq!(tokens.bearer().await.unwrap(), "Bearer t1");
}

#[tokio::test]
async fn an_answer_without_a_token_and_a_server_that_is_away_are_errors() {
    let (server, clock, tokens) = world(10).await;
    for body in ["<html>", "{}", r#"{"access_token":"a\nb","expires_in":1}"#] {
        *server.reply.lock() = (200, body.to_owned());
        assert_eq!(tokens.bearer().await.unwrap_err(), TokenError::Malformed, "{body}");
        clock.advance(AFTER_FAILURE);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (_, tokens) = self::tokens(&format!("http://{closed}/"));
    assert!(matches!(tokens.bearer().await, Err(TokenError::Unreachable(_))));
}

#[tokio::test]
async fn an_exchange_whose_runtime_ended_is_begun_again() {
    let (server, _, tokens) = world(0).await;
    let begun = Arc::clone(&tokens);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Long enough to begin; what it began ends with the runtime.
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), begun.bearer()).await });
    })
    .join()
    .unwrap();
    server.answers.add_permits(2);
    let header = tokio::time::timeout(Duration::from_secs(10), tokens.bearer())
        .await
        .unwrap();
    assert!(header.unwrap().to_str().unwrap().starts_with("Bearer t"));
}
