//! The proxy, through the way that clients take.

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel as Through;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokenweir_sim::{Proxy, ProxyConfig, Tunnel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use crate::client::{CHAT, chat, client, eventually, start};

/// A proxy on a free port, until the guard is dropped.
async fn serve(config: ProxyConfig) -> (Proxy, Uri, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (proxy, stop) = (Proxy::new(config), CancellationToken::new());
    let (serving, stopped) = (proxy.clone(), stop.clone());
    tokio::spawn(async move { serving.serve(listener, stopped).await });
    (proxy, uri, stop.drop_guard())
}

type Tunnelled = Client<Through<HttpConnector>, Full<Bytes>>;

fn through(proxy: &Uri, authorization: Option<&'static str>) -> Tunnelled {
    let mut tunnel = Through::new(proxy.clone(), HttpConnector::new());
    if let Some(value) = authorization {
        tunnel = tunnel.with_auth(HeaderValue::from_static(value));
    }
    Client::builder(TokioExecutor::new()).build(tunnel)
}

fn request(base: &str) -> Request<Full<Bytes>> {
    Request::post(format!("{base}{CHAT}"))
        .body(Full::from(chat(json!({})).to_string()))
        .unwrap()
}

fn told(to: &str, status: u16) -> Tunnel {
    Tunnel {
        to: to.to_owned(),
        status,
    }
}

#[tokio::test]
async fn tunnels_lead_where_they_say_or_where_the_proxy_was_told() {
    let sim = start(|_| ());
    let own = sim.addr().to_string();
    let config = ProxyConfig {
        connect_to: vec![format!("models.example.com:80={own}").parse().unwrap()],
        ..ProxyConfig::default()
    };
    let (proxy, uri, _serving) = serve(config).await;
    let client = through(&uri, None);
    for base in [sim.url(), "http://models.example.com:80".to_owned()] {
        let answer = client.request(request(&base)).await.unwrap();
        assert_eq!(answer.status(), 200, "{base}");
    }
    assert_eq!(proxy.tunnels(), [told(&own, 200), told("models.example.com:80", 200)]);
    assert_eq!(sim.requests().len(), 2);
}

#[tokio::test]
async fn without_its_credentials_and_to_nobody_no_tunnel_is_opened() {
    let sim = start(|_| ());
    let config = ProxyConfig {
        credentials: Some("gate:s3cret".to_owned()),
        ..ProxyConfig::default()
    };
    let (proxy, uri, _serving) = serve(config).await;
    let own = sim.addr().to_string();
    for wrong in [None, Some("Basic Z2F0ZTp3cm9uZw==")] {
        assert!(through(&uri, wrong).request(request(&sim.url())).await.is_err());
    }
    let client = through(&uri, Some("Basic Z2F0ZTpzM2NyZXQ="));
    assert_eq!(client.request(request(&sim.url())).await.unwrap().status(), 200);
    sim.stop().await;
    let late = through(&uri, Some("Basic Z2F0ZTpzM2NyZXQ="));
    assert!(late.request(request(&format!("http://{own}"))).await.is_err());
    let expected = [407, 407, 200, 502].map(|status| told(&own, status));
    assert_eq!(proxy.tunnels(), expected);
}

#[tokio::test]
async fn the_proxy_tells_what_it_was_asked_for_and_cuts_its_tunnels_when_it_stops() {
    let sim = start(|behaviour| behaviour.latency = "fixed;first=600000".parse().unwrap());
    let (_proxy, uri, serving) = serve(ProxyConfig::default()).await;
    let waiting = tokio::spawn(through(&uri, None).request(request(&sim.url())));
    eventually("the request is there", async || sim.stats().active == 1).await;
    let get = async |path: &str| {
        let request = Request::get(format!("{uri}{path}")).body(Full::default()).unwrap();
        let answer = client().request(request).await.unwrap();
        (
            answer.status().as_u16(),
            answer.into_body().collect().await.unwrap().to_bytes(),
        )
    };
    let (status, body) = get("sim/tunnels").await;
    let listed: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(listed, json!([{"to": sim.addr().to_string(), "status": 200}]));
    assert_eq!(get("readyz").await.0, 200);
    assert_eq!(get("v1/models").await.0, 405);
    drop(serving);
    assert!(waiting.await.unwrap().is_err());
    eventually("the provider is told", async || sim.stats().active == 0).await;
}
