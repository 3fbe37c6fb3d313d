//! The live signal stream.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokenweir_config::admin_token::Scope as TokenScope;
use tokenweir_config::names::{STATUS_PATH, STATUS_WITH_ROUTES};
use tokenweir_config::shards::Set;
use tokenweir_config::status::Status;
use tokenweir_config::{FORMAT, FieldCondition, RouteMatch, ValueTest};
use tokenweir_signals::{Frame, PodSignals, Scope};
use tokenweir_sim::Latency;

use super::cluster::{Cluster, data};
use super::http::{DEADLINE, chat, send};
use super::snapshots::{API_KEY, secrets, snapshot, token};

/// Reads frames from a stream.
struct Reader {
    body: Incoming,
    rest: Vec<u8>,
    pod: PodSignals,
}

impl Reader {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let frame: Frame = serde_json::from_slice(&line).unwrap();
                self.pod.apply(frame.clone()).unwrap();
                return Some(frame);
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.unwrap()?;
            self.rest.extend_from_slice(&frame.ok()?.into_data().unwrap());
        }
    }

    /// Reads on until what is known fits.
    async fn until(&mut self, what: &str, fits: impl Fn(&PodSignals) -> bool) {
        let reading = async {
            while !fits(&self.pod) {
                self.next()
                    .await
                    .unwrap_or_else(|| panic!("the stream ended before {what}"));
            }
        };
        tokio::time::timeout(DEADLINE, reading)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

async fn subscribe(cluster: &Cluster) -> http::Response<Incoming> {
    let request = Request::get(cluster.admin_url("/signals/v1/stream"))
        .header("authorization", format!("Bearer {}", token(TokenScope::Signals)));
    send(request.body(http_body_util::Full::default()).unwrap())
        .await
        .unwrap()
}

async fn reader(cluster: &Cluster) -> Reader {
    let response = subscribe(cluster).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Reader {
        body: response.into_body(),
        rest: Vec::new(),
        pod: PodSignals::default(),
    }
}

#[tokio::test]
async fn a_reader_sees_a_request_come_and_go_in_frames_four_times_a_second() {
    let cluster = Cluster::new().await;
    cluster.sim.update(|behaviour| {
        behaviour.latency = Latency::Fixed {
            first: 2_000.0,
            token: 1.0,
        }
    });
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, cluster.endpoint(), "one"), Set::A));
    let gateway = cluster.start();
    let base = data(&gateway).await;
    let mut reader = reader(&cluster).await;
    let first = reader.next().await.unwrap();
    assert!(first.full && first.seq == 0 && first.generation == 1);
    for scope in [Scope::pod(), Scope::route("assistant"), Scope::tenant("acme")] {
        assert!(reader.pod.scopes.contains_key(&scope), "{scope:?}");
    }
    let answer = tokio::spawn(super::http::exchange(chat(&base, API_KEY, false)));
    reader
        .until("the request", |pod| pod.scopes[&Scope::tenant("acme")].in_flight == 1)
        .await;
    assert_eq!(reader.pod.scopes[&Scope::route("assistant")].in_flight, 1);
    let start = reader.pod.measured_unix_ms;
    let mut frames = 0;
    while reader.pod.measured_unix_ms < start + 1_000 {
        assert!(!reader.next().await.unwrap().full);
        frames += 1;
    }
    assert!((3..=5).contains(&frames), "{frames} frames in a second");
    assert!(answer.await.unwrap().unwrap().status.is_success());
    reader
        .until("the tokens", |pod| {
            let values = &pod.scopes[&Scope::pod()];
            values.in_flight == 0 && values.token_rate.s10 > 0.0 && values.ttft.quantile(1.0) > Some(1.5)
        })
        .await;
    cluster
        .api
        .put_secrets(&secrets(&snapshot(2, cluster.endpoint(), "two"), Set::B));
    loop {
        let frame = reader.next().await.unwrap();
        if frame.generation == 2 {
            assert!(frame.full);
            break;
        }
    }
}

#[tokio::test]
async fn readers_are_bounded_and_a_place_is_free_again_when_one_goes() {
    let cluster = Cluster::new().await;
    cluster
        .api
        .put_secrets(&secrets(&snapshot(1, cluster.endpoint(), "one"), Set::A));
    let _gateway = cluster.start();
    cluster.wait_ready().await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(reader(&cluster).await);
    }
    assert_eq!(subscribe(&cluster).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    readers.pop();
    super::http::wait_for("a free place", || async {
        (subscribe(&cluster).await.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_status_tells_the_routes_and_what_runs_on_them_when_asked_for() {
    let cluster = Cluster::new().await;
    cluster.sim.update(|behaviour| {
        behaviour.latency = Latency::Fixed {
            first: 2_000.0,
            token: 1.0,
        }
    });
    let mut served = snapshot(1, cluster.endpoint(), "one");
    served.format = FORMAT;
    served.providers.get_mut("sim").unwrap().region = Some("eu-central-1".into());
    let changed = served.routes.get_mut("assistant").unwrap();
    changed.backends[0].distance = 2;
    changed.request_headers.remove.push("x-internal".into());
    changed.matches.push(RouteMatch {
        rank: 0,
        headers: vec![],
        body: vec![FieldCondition {
            path: "model".into(),
            test: ValueTest::Present,
        }],
    });
    let changed = changed.clone();
    cluster.api.put_secrets(&secrets(&served, Set::A));
    let gateway = cluster.start();
    let base = data(&gateway).await;
    let status = async |path: &str| {
        let request = Request::get(cluster.admin_url(path))
            .header("authorization", format!("Bearer {}", token(TokenScope::Status)));
        let answer = super::http::exchange(request.body(http_body_util::Full::default()).unwrap()).await;
        serde_json::from_str::<Status>(&answer.unwrap().body).unwrap()
    };
    let answer = tokio::spawn(super::http::exchange(chat(&base, API_KEY, false)));
    let busy = super::http::wait_for("the request on its route", || async {
        Some(status(STATUS_WITH_ROUTES).await).filter(|status| status.routes[0].in_flight == 1)
    });
    let busy = busy.await;
    let [route] = busy.routes.as_slice() else {
        panic!("{busy:?}")
    };
    assert_eq!(
        (route.name.as_str(), route.model.as_str(), route.queue_depth),
        ("assistant", "assistant", 0)
    );
    assert_eq!(route.fallbacks, []);
    assert_eq!(
        (&route.matches, &route.request_headers, &route.response_headers),
        (&changed.matches, &changed.request_headers, &changed.response_headers)
    );
    let backend = &route.backends[0];
    assert_eq!((backend.weight, backend.in_flight), (Some(1), 1));
    assert_eq!((backend.region.as_deref(), backend.distance), (Some("eu-central-1"), 2));
    assert!(busy.providers.iter().any(|provider| provider.name == backend.provider));
    assert_eq!(status(STATUS_PATH).await.routes, [], "nobody has asked for them");
    assert!(answer.await.unwrap().unwrap().status.is_success());
    let idle = super::http::wait_for("the end of the request", || async {
        Some(status(STATUS_WITH_ROUTES).await).filter(|status| status.routes[0].in_flight == 0)
    });
    assert_eq!(idle.await.routes[0].backends[0].in_flight, 0);
}
