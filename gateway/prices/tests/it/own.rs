//! What an object says against what the tables say.

use tokenweir_config::Provider;
use tokenweir_prices::{Priced, bundled};

fn provider(kind: &str, models: &serde_json::Value) -> Provider {
    serde_json::from_value(serde_json::json!({
        "kind": kind,
        "upstream": {"endpoint": {"url": "http://127.0.0.1"}},
        "models": models,
        "timeouts": {"connectMs": 1, "firstTokenMs": 1, "idleMs": 1, "totalMs": 1},
    }))
    .unwrap()
}

fn input(provider: &Provider, model: &str, unix: i64) -> Option<(bool, String)> {
    let priced = bundled().price(provider, model, unix)?;
    let own = matches!(priced, Priced::Own(_));
    Some((own, priced.price().standard.rates.input.to_string()))
}

#[test]
fn what_the_object_says_wins_from_its_time_on() {
    let models = serde_json::json!([
        {"name": "gpt-5", "prices": [{"fromUnix": 1_800_000_000, "input": "7", "output": "8"}]},
        {"name": "gpt-4o"},
    ]);
    let openai = provider("OpenAI", &models);
    assert_eq!(input(&openai, "gpt-5", 1_799_999_999), Some((false, "1.25".into())));
    assert_eq!(input(&openai, "gpt-5", 1_800_000_000), Some((true, "7".into())));
    assert_eq!(input(&openai, "gpt-4o", 1_800_000_000), Some((false, "2.5".into())));
    assert_eq!(input(&openai, "not-listed", 0), None);
}

#[test]
fn a_server_of_ones_own_is_free_only_if_its_object_says_so() {
    let local = provider(
        "OpenAICompatible",
        &serde_json::json!([{"name": "llama", "prices": [{"input": "0", "output": "0"}]}, {"name": "gpt-5"}]),
    );
    assert_eq!(input(&local, "llama", 0), Some((true, "0".into())));
    assert_eq!(input(&local, "gpt-5", 1_790_000_000), None);
}
