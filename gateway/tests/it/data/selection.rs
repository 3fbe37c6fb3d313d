//! Which backend, and which pod behind it, gets a request.

use serde_json::json;

use super::harness::{Gateway, chat, provider, sim};

#[tokio::test]
async fn requests_of_one_session_go_to_one_backend_and_one_pod() {
    let sims = [sim(), sim(), sim()];
    let gateway = Gateway::with(&sims[0].url(), |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["providers"]["other"] = provider(&sims[2].url());
        v["routes"]["chat"]["backends"] = json!([{"provider": "sim", "weight": 2}, {"provider": "other", "weight": 1}]);
        v["routes"]["chat"]["selection"] = json!({"stickyHeader": "x-session"});
    });
    gateway.set_endpoints("vllm", &[sims[0].addr(), sims[1].addr()]);
    let mut used = [false; 3];
    for session in 0..24 {
        for sim in &sims {
            sim.clear_requests();
        }
        for _ in 0..3 {
            let mut request = gateway.request("/v1/chat/completions", &chat("any"));
            request
                .headers_mut()
                .insert("x-session", format!("session-{session}").parse().unwrap());
            assert_eq!(gateway.send(request).await.status, 200);
        }
        let counts = sims.each_ref().map(|sim| sim.requests().len());
        let at = counts.iter().position(|count| *count == 3);
        used[at.unwrap_or_else(|| panic!("session {session} was split: {counts:?}"))] = true;
    }
    assert_eq!(used, [true; 3], "sessions spread over all");
}

#[tokio::test]
async fn a_conversation_stays_at_the_pod_that_knows_its_beginning() {
    let sims = [sim(), sim()];
    let gateway = Gateway::with(&sims[0].url(), |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["routes"]["chat"]["selection"] = json!({"prefixAffinity": true});
    });
    gateway.set_endpoints("vllm", &[sims[0].addr(), sims[1].addr()]);
    for conversation in 0..8 {
        for sim in &sims {
            sim.clear_requests();
        }
        let mut messages = vec![json!({"role": "system", "content": format!("You are {conversation}. ").repeat(300)})];
        for turn in 0..5 {
            messages.push(json!({"role": "user", "content": format!("Question {turn}")}));
            let mut body = chat("any");
            body["messages"] = json!(messages);
            assert_eq!(gateway.chat(&body).await.status, 200);
        }
        let counts = sims.each_ref().map(|sim| sim.requests().len());
        assert!(counts.contains(&5), "{counts:?}");
    }
}
