//! What is known about the cost of a provider's models.

use k8s_openapi::jiff::Timestamp;
use tokenweir_crds::api::{ModelProviderSpec, ProviderModel};
use tokenweir_crds::conditions::{Finding, Reason};
use tokenweir_prices::{Found, Source, Tables};

/// How many models or differences a message names.
const NAMED: usize = 8;

/// The finding on the prices of a provider's models at a time.
pub fn priced(spec: &ModelProviderSpec, tables: &Tables, now: Timestamp) -> Finding {
    let dated = format!("{} and {}", named(tables.first()), named(tables.second()));
    if spec.models.is_empty() {
        let message = format!("no models are listed; each is looked up by its name in the price tables {dated}");
        return Finding::unknown(Reason::AnyModel, message);
    }
    let (mut without, mut differ) = (Vec::new(), Vec::new());
    for model in spec.models.iter().filter(|model| !is_own(model, now)) {
        match tables.find(spec.provider_type.into(), &model.name, spec.region()) {
            None => without.push(model.name.clone()),
            Some(found) => differ.extend(differences(&model.name, &found)),
        }
    }
    if !without.is_empty() {
        let message = format!(
            "no price is known for {}; give them one in spec.models[].price, \"0\" if they are free (price tables {dated})",
            some_of(&without)
        );
        return Finding::fails(Reason::Unpriced, message);
    }
    if !differ.is_empty() {
        let message = format!(
            "{} is used, {} differs: {}",
            named(tables.first()),
            named(tables.second()),
            some_of(&differ)
        );
        return Finding::holds(Reason::SourcesDisagree, message);
    }
    Finding::holds(Reason::AllPriced, format!("by the object or the price tables {dated}"))
}

/// Whether the object itself says what the model costs now.
fn is_own(model: &ProviderModel, now: Timestamp) -> bool {
    model.price.is_some() || model.price_changes.iter().any(|change| change.from.0 <= now)
}

fn differences(model: &str, found: &Found<'_>) -> Vec<String> {
    let each = found.entry.disagreements.iter();
    each.map(|differ| format!("{model} {} ${} or ${}", differ.rate, differ.first, differ.second))
        .collect()
}

fn named(source: &Source) -> String {
    format!("{} {} of {}", source.name, source.version, source.date)
}

fn some_of(texts: &[String]) -> String {
    let shown = texts
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match texts.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use tokenweir_crds::conditions::ConditionStatus;
    use tokenweir_prices::{Family, bundled};

    use super::*;

    fn of(spec: serde_json::Value) -> Finding {
        let spec = serde_json::from_value(spec).unwrap();
        priced(&spec, bundled(), Timestamp::from_second(1_795_132_800).unwrap())
    }

    #[test]
    fn models_without_a_price_are_named() {
        let finding = of(serde_json::json!({"type": "OpenAICompatible", "models": [
            {"name": "llama", "price": {"inputPerMTok": "0", "outputPerMTok": "0"}},
            {"name": "qwen"},
            {"name": "later", "priceChanges": [
                {"from": "2027-01-01T00:00:00Z", "price": {"inputPerMTok": "1", "outputPerMTok": "1"}}
            ]},
        ]}));
        assert_eq!(
            (finding.status, finding.reason),
            (ConditionStatus::False, Reason::Unpriced)
        );
        assert!(
            finding.message.starts_with("no price is known for qwen, later;"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn all_is_well_where_the_tables_or_the_object_know_every_model() {
        let finding = of(serde_json::json!({"type": "Anthropic", "models": [
            {"name": "claude-opus-4-5"},
            {"name": "ours", "price": {"inputPerMTok": "1", "outputPerMTok": "2"}},
        ]}));
        assert_eq!(finding.reason, Reason::AllPriced, "{}", finding.message);
        assert!(
            finding.message.contains("genai-prices 0.2.1 of 2026-10-26"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn models_that_the_sources_price_differently_are_told_with_both_prices() {
        let differing = bundled()
            .models(Family::Vertex)
            .find(|found| !found.entry.disagreements.is_empty());
        let name = differing.unwrap().name;
        let google = serde_json::json!({"project": "p", "location": "global"});
        let finding = of(serde_json::json!({"type": "Vertex", "google": google, "models": [{"name": name}]}));
        assert_eq!(
            (finding.status, finding.reason),
            (ConditionStatus::True, Reason::SourcesDisagree)
        );
        assert!(
            finding.message.contains(name) && finding.message.contains(" or $"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn without_models_nothing_is_known_yet() {
        let finding = of(serde_json::json!({"type": "OpenAI"}));
        assert_eq!(
            (finding.status, finding.reason),
            (ConditionStatus::Unknown, Reason::AnyModel)
        );
    }
}
