//! Connections to providers that end at the wrong moment, and names that lead elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokenweir_gateway::upstream::{Lookup, Resolve};
use tokenweir_sim::{Sim, SimConfig, SimHandle, TlsFiles};

use super::scene::Scene;
use crate::data::harness::{Gateway, chat, events, retries, sim, streamed, until};
use crate::edge::pki::Authority;

#[tokio::test]
async fn a_connection_that_ends_just_as_a_request_goes_out_is_no_failure() {
    let scene = Scene::new().await;
    for _ in 0..25 {
        for body in [chat("any"), streamed("any")] {
            assert_eq!(scene.ask("idle-close", &body).await.status, 200);
            assert_eq!(scene.gateway.chat(&body).await.status, 200);
        }
    }
    assert_eq!(scene.gateway.upstream_errors().len(), 0);
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

/// A simulator that speaks HTTP/2 over TLS, and a gateway that trusts it and tries again.
async fn http2_scene() -> Scene {
    let authority = Authority::new();
    let pair = authority.issue(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let sim = Sim::start(SimConfig {
        tls: Some(TlsFiles {
            cert: write("cert.pem", &pair.certificate),
            key: write("key.pem", &pair.key),
            client_ca: None,
        }),
        ..SimConfig::default()
    })
    .unwrap();
    let url = format!("https://localhost:{}", sim.addr().port());
    let gateway = Gateway::with_tls(&url, authority.client(&[b"h2", b"http/1.1"]), |v| {
        v["routes"]["chat"]["retry"] = retries(3);
    });
    let scene = Scene::of(gateway, sim).await;
    assert_eq!(scene.sim.requests().last().unwrap().version, "HTTP/2.0");
    scene
}

#[tokio::test]
async fn a_goaway_lets_answers_end_and_the_next_requests_go_elsewhere() {
    let scene = http2_scene().await;
    for _ in 0..25 {
        let answer = scene.ask("goaway", &streamed("any")).await;
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
        assert_eq!(scene.gateway.chat(&chat("any")).await.status, 200);
    }
    assert_eq!(scene.gateway.upstream_errors().len(), 0);
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn a_connection_that_dies_with_a_goaway_breaks_its_stream_and_no_other_request() {
    let scene = http2_scene().await;
    for _ in 0..5 {
        let (body, stream) = (chat("any"), streamed("any"));
        let others = async { join_all((0..5).map(|_| scene.gateway.chat(&body))).await };
        let (broken, others) = tokio::join!(scene.ask("goaway;after=3", &stream), others);
        let events = events(broken.text());
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(
            last["error"]["message"].as_str().unwrap().contains("broke off"),
            "{last}"
        );
        assert!(others.iter().all(|answer| answer.status == 200));
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

/// A name server in the hands of a test.
#[derive(Debug)]
struct Names(Mutex<Vec<SocketAddr>>);

impl Resolve for Names {
    fn lookup<'a>(&'a self, host: &'a str, _: u16) -> Lookup<'a> {
        assert_eq!(host, "provider.example.com");
        let found = self.0.lock().clone();
        Box::pin(async move {
            if found.is_empty() {
                return Err(io::Error::other("no such name"));
            }
            Ok(found)
        })
    }
}

/// Which simulator was asked, by the number of requests that each has had.
fn asked(sims: &[&SimHandle]) -> Vec<u64> {
    sims.iter().map(|sim| sim.stats().requests).collect()
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_by_the_next_connection() {
    let (first, second) = (sim(), sim());
    let names = Arc::new(Names(Mutex::new(vec![first.addr()])));
    let resolver: Arc<dyn Resolve> = Arc::clone(&names) as _;
    let gateway = Gateway::with_resolver("http://provider.example.com:80", resolver, |_| {});
    let ask = async || gateway.chat(&chat("any")).await.status.as_u16();
    assert_eq!(ask().await, 200);
    assert_eq!(asked(&[&first, &second]), [1, 0]);

    // The old address goes away, as a pod does: the request that meets its end is sent to the new one.
    *names.0.lock() = vec![second.addr()];
    let gone = first.addr();
    first.stop().await;
    assert_eq!(ask().await, 200);
    assert_eq!(second.stats().requests, 1);

    // Of several addresses those that do not answer are passed over.
    second.stop().await;
    let third = sim();
    *names.0.lock() = vec![gone, third.addr()];
    assert_eq!(ask().await, 200);
    assert_eq!(third.stats().requests, 1);

    // A name that is gone leaves open connections alone, and is an error once there is none.
    names.0.lock().clear();
    assert_eq!(ask().await, 200);
    third.stop().await;
    assert_eq!(ask().await, 502);
    assert_eq!(gateway.upstream_errors().get("sim connect"), Some(&1));
    until("nothing runs", || gateway.running() == 0).await;
}
