//! Tenants below tenants, and what their keys may be used for, until they are revoked.

use std::fs;

use http::StatusCode;

use super::files::{Bench, yaml};
use super::http::{chat, exchange, wait_for};

/// `acme` stands below an organisation, and has these keys.
fn below(bench: &Bench, organisation: &str, keys: &str) -> String {
    let text = yaml(&bench.provider(), "one").replace(
        "auth: {apiKeys: [{name: ci}]}",
        &format!("parentRef: {{name: org}}\n  auth: {{apiKeys: [{keys}]}}"),
    );
    format!(
        "{text}---\napiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: org, namespace: llm}}\nspec: {organisation}\n"
    )
}

fn key(bench: &Bench, name: &str) -> String {
    let path = bench.state.path().join("keys").join(name);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

async fn answered(base: &str, key: &str) -> StatusCode {
    exchange(chat(base, key, false)).await.unwrap().status
}

#[tokio::test]
async fn a_key_that_is_taken_out_is_refused_while_its_neighbours_are_served() {
    let bench = Bench::new();
    let keys =
        "{name: ci}, {name: next}, {name: vectors, scopes: ['embeddings:*']}, {name: own, scopes: ['chat:assistant']}";
    bench.write_text(&below(&bench, "{}", keys));
    let gateway = bench.start();
    let base = gateway.data().await;
    let [ci, next, vectors, own] = ["ci", "next", "vectors", "own"].map(|name| key(&bench, &format!("acme-{name}")));
    for key in [&ci, &next, &own] {
        assert_eq!(answered(&base, key).await, StatusCode::OK);
    }
    assert_eq!(
        answered(&base, &vectors).await,
        StatusCode::NOT_FOUND,
        "it is for embeddings"
    );

    bench.write_text(&below(&bench, "{}", "{name: next}"));
    wait_for("the key to be refused", || async {
        (answered(&base, &ci).await == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    assert_eq!(answered(&base, &next).await, StatusCode::OK);
}

#[tokio::test]
async fn what_the_organisation_no_longer_allows_its_teams_may_not_ask_for() {
    let bench = Bench::new();
    bench.write_text(&below(&bench, "{}", "{name: ci}"));
    let gateway = bench.start();
    let base = gateway.data().await;
    let ci = key(&bench, "acme-ci");
    assert_eq!(answered(&base, &ci).await, StatusCode::OK);
    bench.write_text(&below(&bench, "{models: {allow: [other-*]}}", "{name: ci}"));
    wait_for("the model to be gone", || async {
        (answered(&base, &ci).await == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}
