//! Under which names a table may have a model that a provider is asked for.

use tokenweir_config::ProviderKind;

/// Whose price list holds for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// OpenAI's own.
    OpenAI,
    /// Anthropic's own.
    Anthropic,
    /// Azure's, for OpenAI's models.
    Azure,
    /// Amazon Bedrock's.
    Bedrock,
    /// That of Google's Gemini API.
    Gemini,
    /// That of Google's Vertex AI.
    Vertex,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OpenAI,
        Self::Anthropic,
        Self::Azure,
        Self::Bedrock,
        Self::Gemini,
        Self::Vertex,
    ];

    /// The family of a provider. What speaks OpenAI's wire without being OpenAI has no price list: it may be a server of
    /// one's own.
    pub const fn of(kind: ProviderKind) -> Option<Self> {
        match kind {
            ProviderKind::OpenAI => Some(Self::OpenAI),
            ProviderKind::Anthropic => Some(Self::Anthropic),
            ProviderKind::AzureOpenAI => Some(Self::Azure),
            ProviderKind::Bedrock => Some(Self::Bedrock),
            ProviderKind::Gemini => Some(Self::Gemini),
            ProviderKind::Vertex => Some(Self::Vertex),
            ProviderKind::OpenAICompatible => None,
        }
    }

    /// Its name in the tables: `openai`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAI => "openai",
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Bedrock => "bedrock",
            Self::Gemini => "gemini",
            Self::Vertex => "vertex",
        }
    }

    /// The family of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// Where Bedrock's inference profiles lead: the id of the model stands behind.
const PROFILES: [&str; 10] = [
    "us.", "eu.", "apac.", "global.", "jp.", "au.", "us-gov.", "ca.", "in.", "sa.",
];

/// The names to look for, the most exact one first: the model's own, with a region where prices differ by it; that of the model
/// that a Bedrock profile leads to; and at last each of these without the date or number of its version.
pub(crate) fn candidates(family: Family, model: &str, region: Option<&str>) -> Vec<String> {
    let mut names = Vec::with_capacity(6);
    match family {
        Family::OpenAI => names.push(tuned(model)),
        Family::Anthropic | Family::Azure => names.push(model.to_owned()),
        Family::Gemini => names.push(model.strip_prefix("models/").unwrap_or(model).to_owned()),
        Family::Vertex => {
            let behind = model
                .rsplit_once("publishers/google/models/")
                .map_or(model, |(_, name)| name);
            names.push(behind.strip_prefix("google/").unwrap_or(behind).to_owned());
        }
        Family::Bedrock => {
            let id = match model.strip_prefix("arn:") {
                Some(arn) => arn.rsplit_once('/').map_or(arn, |(_, id)| id),
                None => model,
            };
            names.extend(region.map(|region| format!("{region}/{id}")));
            names.push(id.to_owned());
            let target = PROFILES.iter().find_map(|profile| id.strip_prefix(profile));
            names.extend(target.map(str::to_owned));
        }
    }
    for at in 0..names.len() {
        let undated = names.get(at).and_then(|name| undated(name)).map(str::to_owned);
        names.extend(undated);
    }
    names
}

/// A model of one's own made by fine-tuning, `ft:BASE:ORGANISATION:NAME:ID`, costs what all of its base cost.
fn tuned(model: &str) -> String {
    match model.strip_prefix("ft:").and_then(|rest| rest.split(':').next()) {
        Some(base) => format!("ft:{base}"),
        None => model.to_owned(),
    }
}

/// The name without the date or number of a version at its end: `-2025-08-07`, `-20250929`, `@20250929`, `@default`, `-001`,
/// `-latest`.
fn undated(name: &str) -> Option<&str> {
    for end in ["@default", "-latest"] {
        if let Some(base) = name.strip_suffix(end) {
            return Some(base);
        }
    }
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((base, version)) = name.rsplit_once('@') {
        return digits(version, 8).then_some(base);
    }
    let (base, last) = name.rsplit_once('-')?;
    if digits(last, 8) || digits(last, 3) {
        return Some(base);
    }
    if !digits(last, 2) {
        return None;
    }
    let (base, month) = base.rsplit_once('-')?;
    let (base, year) = base.rsplit_once('-')?;
    (digits(month, 2) && digits(year, 4)).then_some(base)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_providers_write_them_lead_to_those_of_the_tables() {
        for (family, model, region, expected) in [
            (Family::OpenAI, "gpt-5", None, vec!["gpt-5"]),
            (
                Family::OpenAI,
                "gpt-5-2025-08-07",
                None,
                vec!["gpt-5-2025-08-07", "gpt-5"],
            ),
            (
                Family::OpenAI,
                "gpt-5-chat-latest",
                None,
                vec!["gpt-5-chat-latest", "gpt-5-chat"],
            ),
            (
                Family::OpenAI,
                "ft:gpt-4.1-2025-04-14:acme::AbC",
                None,
                vec!["ft:gpt-4.1-2025-04-14", "ft:gpt-4.1"],
            ),
            (
                Family::Anthropic,
                "claude-sonnet-4-5-20250929",
                None,
                vec!["claude-sonnet-4-5-20250929", "claude-sonnet-4-5"],
            ),
            (Family::Gemini, "models/gemini-2.5-pro", None, vec!["gemini-2.5-pro"]),
            (
                Family::Vertex,
                "projects/p/locations/global/publishers/google/models/gemini-2.0-flash-001",
                Some("eu"),
                vec!["gemini-2.0-flash-001", "gemini-2.0-flash"],
            ),
            (Family::Vertex, "google/gemini-2.5-pro", None, vec!["gemini-2.5-pro"]),
            (
                Family::Vertex,
                "claude-opus-5@default",
                None,
                vec!["claude-opus-5@default", "claude-opus-5"],
            ),
            (
                Family::Bedrock,
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-5",
                Some("us-east-1"),
                vec![
                    "us-east-1/us.anthropic.claude-opus-5",
                    "us.anthropic.claude-opus-5",
                    "anthropic.claude-opus-5",
                ],
            ),
            (Family::Bedrock, "zai.glm-5", None, vec!["zai.glm-5"]),
        ] {
            assert_eq!(candidates(family, model, region), expected, "{model}");
        }
    }

    #[test]
    fn what_is_no_date_stays() {
        for name in [
            "gpt-4o",
            "o3-mini",
            "gpt-4-32k",
            "gpt-4-0613",
            "claude-opus-4-8",
            "a-1-2-3",
            "",
            "-",
            "@",
        ] {
            assert_eq!(undated(name), None, "{name}");
        }
    }

    #[test]
    fn families_have_names() {
        for family in Family::ALL {
            assert_eq!(Family::named(family.name()), Some(family));
        }
        assert_eq!(Family::named("acme"), None);
        let without = ProviderKind::ALL.into_iter().filter(|kind| Family::of(*kind).is_none());
        assert_eq!(without.collect::<Vec<_>>(), [ProviderKind::OpenAICompatible]);
    }

    proptest! {
        #[test]
        fn foreign_names_never_panic(model in "[-@:/.0-9a-z]{0,40}|.{0,20}") {
            for family in Family::ALL {
                prop_assert!(!candidates(family, &model, Some("eu")).is_empty());
            }
        }
    }
}
