//! Backends that are nearer than others.

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, chat, provider, retries, sim, sim_with, streamed};

/// A gateway whose provider `sim` is near and whose provider `far`, which has a thousand times the weight, is not.
fn gateway(near: &SimHandle, far: &SimHandle, change: impl FnOnce(&mut Value)) -> Gateway {
    Gateway::with(&near.url(), |v| {
        v["providers"]["far"] = provider(&far.url());
        v["routes"]["chat"]["backends"] =
            json!([{"provider": "far", "weight": 1000, "distance": 1}, {"provider": "sim", "weight": 1}]);
        change(v);
    })
}

async fn answered_by(gateway: &Gateway, body: &Value) -> String {
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-tokenweir-provider").unwrap().to_owned()
}

#[tokio::test]
async fn requests_stay_near_until_nothing_near_is_well() {
    let (near, far) = (
        sim_with(|b| {
            b.faults.insert("*".into(), "500".parse().unwrap());
        }),
        sim(),
    );
    let mut gateway = gateway(&near, &far, |v| {
        v["routes"]["chat"]["retry"] = retries(1);
        v["providers"]["sim"]["health"] = json!({"outlier": {"consecutiveErrors": 3, "ejectForMs": 60_000}});
    });
    for _ in 0..3 {
        assert_eq!(answered_by(&gateway, &chat("any")).await, "far", "by a retry");
    }
    assert_eq!(near.requests().len(), 3, "each began near");
    assert_eq!(answered_by(&gateway, &streamed("any")).await, "far");
    assert_eq!(near.requests().len(), 3, "what is out is not asked");
    let well = sim();
    gateway.reconfigure(|v| v["providers"]["sim"]["upstream"]["endpoint"]["url"] = json!(format!("{}/v1", well.url())));
    far.clear_requests();
    for _ in 0..20 {
        assert_eq!(answered_by(&gateway, &chat("any")).await, "sim");
    }
    assert!(far.requests().is_empty());
}

#[tokio::test]
async fn what_is_near_and_full_sends_the_rest_farther_away() {
    let near = sim_with(|b| {
        b.faults.insert("slow".into(), "hang".parse().unwrap());
    });
    let far = sim();
    let gateway = gateway(&near, &far, |v| {
        v["providers"]["sim"]["limits"] = json!({"maxInFlight": 1});
    });
    let slow = gateway.begin(gateway.request("/v1/chat/completions", &chat("slow")));
    let others = async {
        super::harness::until("the place is taken", || !near.requests().is_empty()).await;
        answered_by(&gateway, &chat("any")).await
    };
    tokio::select! {
        _ = slow => panic!("it hangs"),
        provider = others => assert_eq!(provider, "far"),
    }
}

#[tokio::test]
async fn a_second_try_beside_the_first_goes_no_farther() {
    let (near, far) = (
        sim_with(|b| b.latency = "fixed;first=200;token=0".parse().unwrap()),
        sim(),
    );
    let gateway = gateway(&near, &far, |v| {
        v["routes"]["chat"]["retry"]["hedge"] = json!({"afterMs": 10});
    });
    assert_eq!(answered_by(&gateway, &chat("any")).await, "sim");
    assert_eq!(
        (near.requests().len(), far.requests().len()),
        (2, 0),
        "the same one again"
    );
}
