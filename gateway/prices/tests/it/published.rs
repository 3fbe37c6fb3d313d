//! The bundled table against prices that the providers publish.

use tokenweir_config::ProviderKind;
use tokenweir_config::price::{Price, Rates, ServiceTier};
use tokenweir_prices::{Family, bundled};

/// 20 November 2026.
const NOW: i64 = 1_795_132_800;

fn price(kind: ProviderKind, model: &str) -> Option<Price> {
    let found = bundled().find(kind, model, None)?;
    Price::at(&found.entry.prices, NOW).cloned()
}

/// Dollars for a million tokens of input, read from the cache, and output.
fn plain(rates: &Rates) -> (String, String, String) {
    (
        rates.input.to_string(),
        rates.cached_input().to_string(),
        rates.output.to_string(),
    )
}

#[test]
fn names_that_providers_use_lead_to_published_prices() {
    use ProviderKind::{Anthropic, AzureOpenAI, Bedrock, Gemini, OpenAI, Vertex};
    for (kind, model, input, cached, output) in [
        (OpenAI, "gpt-5", "1.25", "0.125", "10"),
        (OpenAI, "gpt-5-2025-08-07", "1.25", "0.125", "10"),
        (OpenAI, "gpt-5-mini", "0.25", "0.025", "2"),
        (OpenAI, "gpt-4o", "2.5", "1.25", "10"),
        (OpenAI, "gpt-4o-2024-05-13", "5", "5", "15"),
        (OpenAI, "gpt-4o-mini-2024-07-18", "0.15", "0.075", "0.6"),
        (OpenAI, "gpt-4.1", "2", "0.5", "8"),
        (OpenAI, "o3", "2", "0.5", "8"),
        (OpenAI, "o4-mini", "1.1", "0.275", "4.4"),
        (OpenAI, "gpt-3.5-turbo-0125", "0.5", "0.5", "1.5"),
        (OpenAI, "text-embedding-3-small", "0.02", "0.02", "0"),
        (AzureOpenAI, "gpt-5", "1.25", "0.125", "10"),
        (Anthropic, "claude-sonnet-4-5", "3", "0.3", "15"),
        (Anthropic, "claude-sonnet-4-5-20250929", "3", "0.3", "15"),
        (Anthropic, "claude-haiku-4-5", "1", "0.1", "5"),
        (Anthropic, "claude-opus-4-5-20251101", "5", "0.5", "25"),
        (Anthropic, "claude-3-5-haiku-latest", "0.8", "0.08", "4"),
        (
            Bedrock,
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "3.3",
            "0.33",
            "16.5",
        ),
        (
            Bedrock,
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "3",
            "0.3",
            "15",
        ),
        (
            Bedrock,
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            "0.06",
            "0.015",
            "0.24",
        ),
        (Gemini, "gemini-2.5-pro", "1.25", "0.125", "10"),
        (Gemini, "models/gemini-2.5-flash", "0.3", "0.03", "2.5"),
        (Vertex, "publishers/google/models/gemini-2.5-pro", "1.25", "0.125", "10"),
        (Vertex, "google/gemini-2.0-flash-001", "0.1", "0.025", "0.4"),
    ] {
        let price = price(kind, model).unwrap_or_else(|| panic!("{model} has no price"));
        let expected = (input.to_owned(), cached.to_owned(), output.to_owned());
        assert_eq!(plain(&price.standard.rates), expected, "{model}");
    }
}

#[test]
fn cache_writes_long_inputs_and_service_tiers_have_their_published_rates() {
    let sonnet = price(ProviderKind::Anthropic, "claude-sonnet-4-5").unwrap();
    assert_eq!(sonnet.standard.rates.cache_write().to_string(), "3.75");
    assert_eq!(sonnet.standard.rates.cache_write_1h().to_string(), "6");
    assert_eq!(plain(&sonnet.schedule(ServiceTier::Batch).rates).0, "1.5");
    let pro = price(ProviderKind::Gemini, "gemini-2.5-pro").unwrap();
    assert_eq!(plain(pro.standard.of_input(200_000)), plain(&pro.standard.rates));
    assert_eq!(
        plain(pro.standard.of_input(200_001)),
        ("2.5".into(), "0.25".into(), "15".into())
    );
    let five = price(ProviderKind::OpenAI, "gpt-5").unwrap();
    let of = |tier| plain(&five.schedule(tier).rates);
    assert_eq!(of(ServiceTier::Priority), ("2.5".into(), "0.25".into(), "20".into()));
    assert_eq!(of(ServiceTier::Flex), ("0.625".into(), "0.0625".into(), "5".into()));
}

#[test]
fn a_price_of_the_past_holds_for_the_past() {
    let found = bundled().find(ProviderKind::OpenAI, "o3", None).unwrap();
    // OpenAI lowered it on 10 June 2025.
    let before = Price::at(&found.entry.prices, 1_749_513_599).unwrap();
    let after = Price::at(&found.entry.prices, 1_749_513_600).unwrap();
    assert_eq!(before.standard.rates.input.to_string(), "10");
    assert_eq!(after.standard.rates.input.to_string(), "2");
}

#[test]
fn what_nobody_published_has_no_price() {
    for (kind, model) in [
        (ProviderKind::OpenAI, "gpt-unheard-of"),
        (ProviderKind::OpenAI, ""),
        (ProviderKind::OpenAICompatible, "gpt-5"),
        (ProviderKind::AzureOpenAI, "our-deployment"),
        (ProviderKind::Anthropic, "gpt-5"),
        (
            ProviderKind::Bedrock,
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
        ),
    ] {
        assert_eq!(price(kind, model), None, "{model}");
    }
}

#[test]
fn the_sources_agree_about_plain_prices_of_current_models() {
    for (kind, model) in [
        (ProviderKind::OpenAI, "gpt-5"),
        (ProviderKind::OpenAI, "gpt-4o"),
        (ProviderKind::Anthropic, "claude-opus-4-5"),
    ] {
        let found = bundled().find(kind, model, None).unwrap();
        let standard =
            |rate: &str| !rate.starts_with("batch") && !rate.starts_with("flex") && !rate.starts_with("priority");
        let differ: Vec<_> = found.entry.disagreements.iter().filter(|d| standard(&d.rate)).collect();
        assert!(differ.is_empty(), "{model}: {differ:?}");
    }
    let all = Family::ALL.into_iter().flat_map(|family| bundled().models(family));
    assert!(all.filter(|found| !found.entry.disagreements.is_empty()).count() > 0);
}
