use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::{reflector, watcher};
use serde_json::json;
use tokenweir_config::admin_token::{Scope, derive_admin_key};
use tokenweir_config::names::STATUS_PATH;
use tokio::sync::watch;

use super::*;
use crate::board::{News, Seat};

const NOW: i64 = 1_800_000_000;

/// A pod that serves a generation which the test sets, and that checks tokens as a real one does.
#[derive(Clone)]
struct FakePod {
    key: String,
    generation: watch::Receiver<u64>,
}

async fn status(State(pod): State<FakePod>, headers: HeaderMap) -> Result<axum::Json<serde_json::Value>, StatusCode> {
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    AdminKey::new(&pod.key)
        .unwrap()
        .verify(token, Scope::Status, NOW)
        .map_err(|_| StatusCode::FORBIDDEN)?;
    let generation = *pod.generation.borrow();
    Ok(axum::Json(json!({
        "version": "0", "phase": "serving", "inFlight": 0, "queueDepth": 0, "startedUnixMs": 0,
        "serving": {"generation": generation, "digest": format!("d{generation}"), "source": "api", "sinceUnixMs": 0},
    })))
}

fn pod(name: &str, deleted: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "llm", "labels": {GATEWAY_LABEL: "edge"},
            "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z"),
        },
        "status": {"podIP": "127.0.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

fn written(generation: u64) -> Written {
    Written {
        generation,
        digest: format!("d{generation}"),
    }
}

fn seat(generation: u64, key: &str) -> Seat {
    Seat {
        written: Some(written(generation)),
        admin_key: key.to_owned(),
        ..Seat::default()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

#[tokio::test]
async fn a_change_is_confirmed_as_soon_as_the_pod_has_it_and_pods_that_end_do_not_count() {
    let key = derive_admin_key(&[3; 32], "llm", "edge");
    let (set, generation) = watch::channel(1);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fake = FakePod {
        key: key.clone(),
        generation,
    };
    let app = Router::new().route(STATUS_PATH, get(status)).with_state(fake);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Apply(pod("a", false)));
    writer.apply_watcher_event(&watcher::Event::Apply(pod("ending", true)));
    let (told, mut news) = watch::channel(());
    let board = Arc::new(Board::new(move |news| {
        if matches!(news, News::Gateway(_)) {
            told.send_replace(());
        }
    }));
    let gateway = GatewayKey {
        namespace: "llm".into(),
        name: "edge".into(),
    };
    let stop = CancellationToken::new();
    let prober = Arc::new(Prober::new(
        board.clone(),
        store,
        StatusClient::with_port(port),
        Clock::from_fn(now),
        stop.clone(),
    ));
    let mut until = async |wanted: fn(&crate::board::Liveness) -> bool| {
        let deadline = Duration::from_secs(10);
        tokio::time::timeout(deadline, async {
            loop {
                let liveness = board.seat(&gateway).and_then(|seat| seat.liveness);
                if liveness.as_ref().is_some_and(wanted) {
                    return;
                }
                news.changed().await.unwrap();
            }
        })
        .await
        .unwrap();
    };

    board.configured(&gateway, seat(1, &key));
    prober.wake(&gateway);
    until(|liveness| liveness.is_live() && liveness.counted == 1).await;

    board.configured(&gateway, seat(2, &key));
    prober.wake(&gateway);
    until(|liveness| liveness.lagging == ["a"]).await;
    set.send(2).unwrap();
    until(crate::board::Liveness::is_live).await;

    let wrong = derive_admin_key(&[4; 32], "llm", "edge");
    board.configured(&gateway, seat(3, &wrong));
    prober.wake(&gateway);
    until(|liveness| liveness.floor == 0 && liveness.counted == 1).await;
    stop.cancel();
}
