//! Which of several routes for one model takes a request, by its headers and its body.

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, chat, provider, route, sim, streamed};

/// A gateway with a route for teams by header, one for some users by body, and one for the rest, at a provider each.
fn gateway(sims: &[SimHandle; 3]) -> Gateway {
    Gateway::with(&sims[0].url(), |v| {
        v["providers"]["teams"] = provider(&sims[1].url());
        v["providers"]["users"] = provider(&sims[2].url());
        v["routes"]["teams"] = route("*", "teams");
        v["routes"]["teams"]["matches"] =
            json!([{"rank": 0, "headers": [{"name": "x-team", "test": {"pattern": "red|blue"}}]}]);
        v["routes"]["users"] = route("*", "users");
        for name in ["teams", "users"] {
            v["routes"][name]["dropUnsupported"] = json!(true);
        }
        v["routes"]["users"]["matches"] =
            json!([{"rank": 1, "body": [{"path": "metadata.tier", "test": {"exact": "gold"}}]}]);
    })
}

async fn provider_of(gateway: &Gateway, path: &str, team: Option<&str>, body: &Value) -> String {
    let mut request = gateway.request(path, body);
    if let Some(team) = team {
        request.headers_mut().insert("x-team", team.parse().unwrap());
    }
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-tokenweir-provider").unwrap().to_owned()
}

#[tokio::test]
async fn header_and_body_lead_a_request_of_any_dialect_to_its_route() {
    let sims = [sim(), sim(), sim()];
    let gateway = gateway(&sims);
    for (path, plain) in [
        ("/v1/chat/completions", chat("any")),
        ("/v1/chat/completions", streamed("any")),
        ("/v1/messages", chat("any")),
        ("/v1/embeddings", json!({"model": "any", "input": "x"})),
    ] {
        let mut gold = plain.clone();
        gold["metadata"] = json!({"x": [1, {"tier": "no"}], "tier": "gold"});
        assert_eq!(provider_of(&gateway, path, None, &plain).await, "sim", "{path}");
        assert_eq!(
            provider_of(&gateway, path, Some("blue"), &gold).await,
            "teams",
            "{path}"
        );
        assert_eq!(
            provider_of(&gateway, path, Some("green"), &gold).await,
            "users",
            "{path}"
        );
    }
    assert_eq!(sims.each_ref().map(|sim| sim.requests().len()), [4, 4, 4]);
}

#[tokio::test]
async fn a_request_that_no_route_of_its_model_takes_is_told_so_in_its_own_form() {
    let sims = [sim(), sim(), sim()];
    let mut gateway = gateway(&sims);
    gateway.reconfigure(|v| {
        v["routes"].as_object_mut().unwrap().remove("chat");
    });
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error(), "no route for the model 'any' matches this request");
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    let answer = gateway.send(gateway.request("/v1/messages", &chat("any"))).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["type"], "not_found_error");
    let body = r#"{"model":"any","messages":[],"metadata":{"tier":"gold","tier":"iron"}}"#;
    let answer = gateway.send(gateway.raw_request("/v1/chat/completions", body)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "metadata.tier");
    assert!(sims.iter().all(|sim| sim.requests().is_empty()));
}

#[tokio::test]
async fn what_a_route_without_backends_takes_is_refused_and_reaches_no_other_route() {
    let sims = [sim(), sim(), sim()];
    let mut gateway = gateway(&sims);
    gateway.reconfigure(|v| {
        for name in ["teams", "users"] {
            v["routes"][name]["backends"] = json!([]);
        }
        v["routes"]["teams"]["responseHeaders"] = json!({"set": [{"name": "x-told-by", "value": "teams"}]});
        v["routes"]["held"] = route("held", "teams");
        v["routes"]["held"]["backends"] = json!([]);
    });
    let mut request = gateway.request("/v1/chat/completions", &chat("any"));
    request.headers_mut().insert("x-team", "red".parse().unwrap());
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(answer.header("x-told-by"), Some("teams"));
    let mut gold = streamed("any");
    gold["metadata"] = json!({"tier": "gold"});
    assert_eq!(gateway.chat(&gold).await.status, 404);
    assert_eq!(gateway.chat(&chat("held")).await.status, 404, "and no pattern takes it");
    assert!(sims.iter().all(|sim| sim.requests().is_empty()));
    assert_eq!(
        provider_of(&gateway, "/v1/chat/completions", Some("green"), &chat("any")).await,
        "sim"
    );
    // Back in service it is like any other.
    gateway.reconfigure(|v| v["routes"]["teams"]["backends"] = json!([{"provider": "teams", "weight": 1}]));
    assert_eq!(
        provider_of(&gateway, "/v1/chat/completions", Some("red"), &chat("any")).await,
        "teams"
    );
}
