use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use axum::Router;
use axum::extract::State as Shared;
use axum::routing::post;
use tokio::sync::Semaphore;

use super::*;
use crate::clock::ManualClock;

/// A key made for tests alone.
const PEM: &str = include_str!("../../../../config/testdata/service-account.pem");

/// A key file for a token server.
fn key_file(token_uri: &str) -> String {
    serde_json::json!({"client_email": "gateway@p", "private_key": PEM, "token_uri": token_uri}).to_string()
}

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

/// Tokens with the clock by which they expire.
struct World {
    server: Arc<Server>,
    clock: Arc<ManualClock>,
    tokens: Arc<Tokens>,
    asker: Asker,
}

impl World {
    async fn bearer(&self) -> Result<HeaderValue, TokenError> {
        self.tokens.bearer(&self.asker).await
    }
}

async fn world(answers: usize) -> World {
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
    let clock = ManualClock::new();
    World {
        server,
        tokens: Tokens::new(ServiceAccount::from_json(&key_file(&uri)).unwrap(), None),
        asker: asker(&clock),
        clock,
    }
}

fn asker(clock: &Arc<ManualClock>) -> Asker {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Asker {
        pools: Pools::new(Arc::new(tls), Arc::new(crate::upstream::SystemResolver)),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    }
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
    let world = world(0).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (tokens, asker) = (Arc::clone(&world.tokens), world.asker.clone());
            tokio::spawn(async move { tokens.bearer(&asker).await })
        })
        .collect();
    until("the exchange begins", || world.server.asked.load(SeqCst) == 1).await;
    world.server.answers.add_permits(1);
    for request in requests {
        let header = request.await.unwrap().unwrap();
        assert_eq!(header, "Bearer t1");
        assert!(header.is_sensitive());
    }
    world.clock.advance(Duration::from_mins(54));
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    assert_eq!(world.server.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_by_one_exchange_while_requests_go_on() {
    let world = world(1).await;
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    world.clock.advance(Duration::from_mins(56));
    for _ in 0..10 {
        assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    }
    until("the exchange begins", || world.server.asked.load(SeqCst) == 2).await;
    world.server.answers.add_permits(1);
    until("the token is new", || world.tokens.state.lock().running.is_none()).await;
    assert_eq!(world.bearer().await.unwrap(), "Bearer t2");
    assert_eq!(world.server.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_lives_for_a_minute_is_not_renewed_at_once() {
    let world = world(10).await;
    *world.server.reply.lock() = (200, r#"{"access_token":"t{n}","expires_in":60}"#.to_owned());
    for _ in 0..5 {
        assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
        world.clock.advance(Duration::from_secs(8));
    }
    assert_eq!(world.server.asked.load(SeqCst), 1);
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    until("the token is renewed", || world.server.asked.load(SeqCst) == 2).await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_not_used() {
    let world = world(2).await;
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.bearer().await.unwrap(), "Bearer t2");
    assert_eq!(world.server.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_leaves_does_not_end_the_exchange() {
    let world = world(0).await;
    let leaving = tokio::spawn({
        let (tokens, asker) = (Arc::clone(&world.tokens), world.asker.clone());
        async move { tokens.bearer(&asker).await }
    });
    until("the exchange begins", || world.server.asked.load(SeqCst) == 1).await;
    leaving.abort();
    assert!(leaving.await.is_err());
    world.server.answers.add_permits(1);
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    assert_eq!(world.server.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_told_and_stands_for_a_second() {
    let world = world(10).await;
    *world.server.reply.lock() = (400, r#"{"error":"invalid_grant"}"#.to_owned());
    let refused = TokenError::Refused {
        status: 400,
        words: r#"{"error":"invalid_grant"}"#.to_owned(),
    };
    assert_eq!(world.bearer().await.unwrap_err(), refused);
    assert_eq!(world.bearer().await.unwrap_err(), refused);
    assert_eq!(world.server.asked.load(SeqCst), 1);
    world.clock.advance(AFTER_FAILURE);
    *world.server.reply.lock() = (200, r#"{"access_token":"good","expires_in":60}"#.to_owned());
    assert_eq!(world.bearer().await.unwrap(), "Bearer good");
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_token_in_use() {
    let world = world(10).await;
    world.bearer().await.unwrap();
    *world.server.reply.lock() = (500, String::new());
    world.clock.advance(Duration::from_mins(56));
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
    until("the renewal fails", || world.tokens.state.lock().failed.is_some()).await;
    assert_eq!(world.bearer().await.unwrap(), "Bearer t1");
}

#[tokio::test]
async fn an_answer_without_a_token_and_a_server_that_is_away_are_errors() {
    let world = world(10).await;
    for body in ["<html>", "{}", r#"{"access_token":"a\nb","expires_in":1}"#] {
        *world.server.reply.lock() = (200, body.to_owned());
        assert_eq!(world.bearer().await.unwrap_err(), TokenError::Malformed, "{body}");
        world.clock.advance(AFTER_FAILURE);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let away = Tokens::new(
        ServiceAccount::from_json(&key_file(&format!("http://{closed}/"))).unwrap(),
        None,
    );
    assert!(matches!(
        away.bearer(&world.asker).await,
        Err(TokenError::Unreachable(_))
    ));
}

#[tokio::test]
async fn an_exchange_whose_runtime_ended_is_begun_again() {
    let world = world(0).await;
    let (begun, asker) = (Arc::clone(&world.tokens), world.asker.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Long enough to begin; what it began ends with the runtime.
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), begun.bearer(&asker)).await });
    })
    .join()
    .unwrap();
    world.server.answers.add_permits(2);
    let header = tokio::time::timeout(Duration::from_secs(10), world.bearer())
        .await
        .unwrap();
    assert!(header.unwrap().to_str().unwrap().starts_with("Bearer t"));
}
