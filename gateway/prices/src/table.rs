//! The bundled tables.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use tokenweir_config::ProviderKind;
use tokenweir_config::price::Price;

use crate::compare::{Disagreement, disagreements, merged};
use crate::names::{Family, candidates};

/// Where prices come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The project that publishes them.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The day as of which its prices hold, `2026-10-21`.
    pub date: String,
    /// The same in Unix time, in seconds.
    pub unix: i64,
}

/// What the tables say about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its prices by time; never empty.
    pub prices: Vec<Price>,
    /// Whether the first source has it; else only the second does.
    pub in_first: bool,
    /// Where the sources differ about what held at the second one's time. What the first says is used.
    pub disagreements: Vec<Disagreement>,
}

/// A model that was looked up.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The name under which the table has it.
    pub name: &'a str,
    /// What it says.
    pub entry: &'a Entry,
    /// Where that comes from.
    pub source: &'a Source,
}

/// Prices of two sources. The first is used; what it leaves open, kinds of tokens, tiers and models, comes from the second.
#[derive(Debug, Default)]
pub struct Tables {
    first: Source,
    second: Source,
    families: BTreeMap<Family, BTreeMap<String, Entry>>,
}

/// One source as it stands in a file.
#[derive(Deserialize, Default)]
struct File {
    source: String,
    version: String,
    date: String,
    unix: i64,
    families: BTreeMap<String, BTreeMap<String, Vec<Price>>>,
}

impl File {
    fn source(&self) -> Source {
        Source {
            name: self.source.clone(),
            version: self.version.clone(),
            date: self.date.clone(),
            unix: self.unix,
        }
    }
}

static FIRST: &str = include_str!("../data/genai-prices.json");
static SECOND: &str = include_str!("../data/litellm.json");

/// The tables that came with this build. The first call reads them, which takes some milliseconds.
pub fn bundled() -> &'static Tables {
    // A test holds that the files are read; without prices every model would be unpriced, which budgets deny.
    static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::read(FIRST, SECOND).unwrap_or_default());
    &TABLES
}

impl Tables {
    /// Reads two tables as the generator writes them.
    fn read(first: &str, second: &str) -> Result<Self, serde_json::Error> {
        let (first, mut second): (File, File) = (serde_json::from_str(first)?, serde_json::from_str(second)?);
        let mut tables = Self {
            first: first.source(),
            second: second.source(),
            families: BTreeMap::new(),
        };
        for (name, models) in first.families {
            let mut others = second.families.remove(&name).unwrap_or_default();
            let Some(family) = Family::named(&name) else {
                continue;
            };
            let of_first = models.into_iter().map(|(model, prices)| {
                let other = others.remove(&model).unwrap_or_default();
                (model, both(prices, &other, tables.second.unix))
            });
            let entries = tables.families.entry(family).or_default();
            entries.extend(of_first);
            entries.extend(others.into_iter().map(of_second));
        }
        for (name, models) in second.families {
            if let Some(family) = Family::named(&name) {
                let entries = tables.families.entry(family).or_default();
                entries.extend(models.into_iter().map(of_second));
            }
        }
        Ok(tables)
    }

    /// The source that is used.
    pub const fn first(&self) -> &Source {
        &self.first
    }

    /// The source that fills what the first leaves open.
    pub const fn second(&self) -> &Source {
        &self.second
    }

    /// What a model of a provider costs, by the name under which the provider is asked for it. `None` where neither source
    /// knows, which is not the same as free.
    pub fn find(&self, kind: ProviderKind, model: &str, region: Option<&str>) -> Option<Found<'_>> {
        let family = Family::of(kind)?;
        let models = self.families.get(&family)?;
        let mut found = candidates(family, model, region).into_iter();
        let (name, entry) = found.find_map(|name| models.get_key_value(&name))?;
        Some(self.found(name, entry))
    }

    /// Every model of a family, by name.
    pub fn models(&self, family: Family) -> impl Iterator<Item = Found<'_>> {
        let models = self.families.get(&family).into_iter().flatten();
        models.map(|(name, entry)| self.found(name, entry))
    }

    fn found<'a>(&'a self, name: &'a str, entry: &'a Entry) -> Found<'a> {
        Found {
            name,
            entry,
            source: if entry.in_first { &self.first } else { &self.second },
        }
    }
}

/// A model of the first source. The second has no history: what it says is compared with what held at its own time, and fills
/// what the first leaves open at any time.
fn both(mut prices: Vec<Price>, other: &[Price], compared_at: i64) -> Entry {
    prices.sort_by_key(|price| price.from_unix);
    let mut differ = Vec::new();
    if let Some(other) = other.last() {
        if let Some(then) = Price::at(&prices, compared_at) {
            differ = disagreements(then, other);
        }
        for price in &mut prices {
            *price = merged(price, other);
        }
    }
    Entry {
        prices,
        in_first: true,
        disagreements: differ,
    }
}

fn of_second((model, prices): (String, Vec<Price>)) -> (String, Entry) {
    let entry = Entry {
        prices,
        in_first: false,
        disagreements: Vec::new(),
    };
    (model, entry)
}

#[cfg(test)]
mod tests {
    use tokenweir_config::money::Rate;

    use super::*;

    fn tables() -> Tables {
        Tables::read(FIRST, SECOND).unwrap()
    }

    #[test]
    fn both_tables_are_read_and_say_where_they_come_from_and_when() {
        let tables = tables();
        for (source, name) in [(tables.first(), "genai-prices"), (tables.second(), "litellm")] {
            assert_eq!(source.name, name);
            assert!(source.version.contains('.') && source.date.len() == 10, "{source:?}");
            assert_eq!(source.unix % 86_400, 0);
            assert!(source.unix > 1_780_000_000);
        }
        assert_eq!(bundled().first(), tables.first());
    }

    #[test]
    fn no_model_is_free_and_none_has_two_prices_for_one_time() {
        let tables = tables();
        for family in Family::ALL {
            let mut models = 0;
            for found in tables.models(family) {
                models += 1;
                assert!(!found.entry.prices.is_empty(), "{}", found.name);
                for price in &found.entry.prices {
                    let rates = &price.standard.rates;
                    assert!(rates.input > Rate::FREE || rates.output > Rate::FREE, "{}", found.name);
                }
                let times = found
                    .entry
                    .prices
                    .windows(2)
                    .all(|two| two[0].from_unix < two[1].from_unix);
                assert!(times, "{}", found.name);
            }
            assert!(models > 60, "{} {models}", family.name());
        }
    }

    #[test]
    fn a_source_fills_the_gaps_of_the_other_and_differences_are_told() {
        let file = |name: &str, date: i64, models: &str| {
            format!(
                r#"{{"source":"{name}","version":"1","date":"d","unix":{date},"families":{{"openai":{models},"acme":{{}}}}}}"#
            )
        };
        let first = r#"{"m":[{"input":"1","output":"2"},{"fromUnix":100,"input":"3","output":"4"}]}"#;
        let second = r#"{"m":[{"input":"1","output":"5","cachedInput":"0.5"}],"n":[{"input":"7","output":"7"}]}"#;
        let tables = Tables::read(&file("one", 90, first), &file("two", 50, second)).unwrap();
        let found = tables.find(ProviderKind::OpenAI, "m", None).unwrap();
        assert_eq!(found.source.name, "one");
        let differ: Vec<_> = found.entry.disagreements.iter().map(|d| d.rate.as_str()).collect();
        assert_eq!(differ, ["output"]);
        let cached = |price: &Price| price.standard.rates.cached_input;
        let half = Some(Rate::new(500_000_000));
        assert!(found.entry.prices.iter().all(|price| cached(price) == half));
        let other = tables.find(ProviderKind::OpenAI, "n", None).unwrap();
        assert_eq!((other.source.name.as_str(), other.entry.in_first), ("two", false));
    }
}
