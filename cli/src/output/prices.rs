//! Prices of models.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tokenweir_config::price::Price;
use tokenweir_prices::{Family, Found, Source, Tables};

use super::table::{Align, Cell, Table, Tone};

/// A model with what it costs now.
#[derive(Debug, Clone, Copy)]
pub struct PriceRow<'a> {
    family: Family,
    found: Found<'a>,
    price: &'a Price,
}

/// The row of a model; nothing if no price of it holds yet.
pub fn price_rows(family: Family, found: Found<'_>, now_unix: i64) -> Option<PriceRow<'_>> {
    let price = Price::at(&found.entry.prices, now_unix)?;
    Some(PriceRow { family, found, price })
}

/// The models as a table, with the tables' dates below.
pub fn prices_table(tables: &Tables, rows: &[PriceRow<'_>], wide: bool, color: bool) -> String {
    let mut columns = vec![
        ("PROVIDER", Align::Left),
        ("MODEL", Align::Left),
        ("INPUT", Align::Right),
        ("CACHED", Align::Right),
        ("WRITE", Align::Right),
        ("OUTPUT", Align::Right),
        ("LONG INPUT", Align::Left),
        ("SOURCE", Align::Left),
    ];
    if wide {
        columns.push(("DIFFERS", Align::Left));
    }
    let mut table = Table::new(columns);
    for row in rows {
        let rates = &row.price.standard.rates;
        let dash = || Cell::new("-", Tone::Faint);
        let differ = &row.found.entry.disagreements;
        let long = row.price.standard.tiers.iter().map(|tier| {
            let rates = &tier.rates;
            format!("above {}: {} / {}", tier.above, rates.input, rates.output)
        });
        let mut cells: Vec<Cell> = vec![
            row.family.name().into(),
            row.found.name.into(),
            rates.input.to_string().into(),
            rates.cached_input.map_or_else(dash, |rate| rate.to_string().into()),
            rates.cache_write.map_or_else(dash, |rate| rate.to_string().into()),
            rates.output.to_string().into(),
            long.collect::<Vec<_>>().join(", ").into(),
            if differ.is_empty() {
                row.found.source.name.as_str().into()
            } else {
                Cell::new(format!("{} (differ)", row.found.source.name), Tone::Warn)
            },
        ];
        if wide {
            let each = differ.iter().map(|d| format!("{} {} or {}", d.rate, d.first, d.second));
            cells.push(each.collect::<Vec<_>>().join(", ").into());
        }
        table.row(cells);
    }
    let mut text = table.render(color);
    let dated = |source: &Source| format!("{} {} of {}", source.name, source.version, source.date);
    let _ = writeln!(
        text,
        "\nDollars for a million tokens. {} is used, and {} where it says nothing.",
        dated(tables.first()),
        dated(tables.second())
    );
    text
}

/// The models for programs.
pub fn prices_json(tables: &Tables, rows: &[PriceRow<'_>]) -> Value {
    let source = |source: &Source| json!({"name": source.name, "version": source.version, "date": source.date});
    let models = rows.iter().map(|row| {
        let differ = row.found.entry.disagreements.iter();
        let differ = differ.map(|d| json!({"rate": d.rate, "first": d.first, "second": d.second}));
        json!({
            "provider": row.family.name(),
            "model": row.found.name,
            "source": row.found.source.name,
            "price": row.price,
            "all": row.found.entry.prices,
            "disagreements": differ.collect::<Vec<_>>(),
        })
    });
    json!({
        "sources": [source(tables.first()), source(tables.second())],
        "models": models.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use tokenweir_config::ProviderKind;
    use tokenweir_prices::bundled;

    use super::*;

    const NOW: i64 = 1_795_132_800;

    fn row(kind: ProviderKind, family: Family, model: &str) -> PriceRow<'static> {
        price_rows(family, bundled().find(kind, model, None).unwrap(), NOW).unwrap()
    }

    #[test]
    fn a_table_has_rates_tiers_and_the_dates_of_the_sources() {
        let rows = [
            row(ProviderKind::OpenAI, Family::OpenAI, "gpt-4o-2024-05-13"),
            row(ProviderKind::Gemini, Family::Gemini, "gemini-2.5-pro"),
        ];
        let text = prices_table(bundled(), &rows, false, false);
        let line = |start: &str| {
            text.lines()
                .find(|line| line.contains(start))
                .unwrap_or_else(|| panic!("{text}"))
        };
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            words(line("gpt-4o-2024-05-13"))[..6],
            ["openai", "gpt-4o-2024-05-13", "5", "-", "-", "15"]
        );
        assert!(line("gemini-2.5-pro").contains("above 200000: 2.5 / 15"), "{text}");
        assert!(text.ends_with(
            "genai-prices 0.2.1 of 2026-10-26 is used, and litellm 1.106.2 of 2026-10-21 where it says nothing.\n"
        ));
    }

    #[test]
    fn money_is_text_in_json() {
        let value = prices_json(bundled(), &[row(ProviderKind::OpenAI, Family::OpenAI, "gpt-5")]);
        assert_eq!(value["models"][0]["price"]["input"], "1.25");
        assert_eq!(value["sources"][0]["date"], "2026-10-26");
    }
}
