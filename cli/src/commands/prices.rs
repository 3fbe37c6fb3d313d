//! `prices`: what models cost by the bundled tables.

use clap::Args;
use tokenweir_prices::{Family, bundled};

use crate::cli::{Context, Form};
use crate::error::CtlError;
use crate::output::{price_rows, prices_json, prices_table};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl prices gpt-5                       # models with this in their name
  tokenweirctl prices --provider bedrock claude
  tokenweirctl prices --differ                    # models about which the two tables differ
  tokenweirctl prices -o json

Needs no cluster. Dollars for a million tokens. A ModelProvider's own prices are in its spec, and win.";

#[derive(Debug, Args)]
pub struct PricesArgs {
    /// Models with this text in their name [default: all]
    #[arg(value_name = "TEXT")]
    model: Option<String>,

    /// Of one price list: openai, anthropic, azure, bedrock, gemini or vertex [default: all]
    #[arg(short, long, value_name = "NAME", value_parser = family)]
    provider: Option<Family>,

    /// Only models about which the two tables differ
    #[arg(long)]
    differ: bool,
}

fn family(name: &str) -> Result<Family, String> {
    Family::named(name).ok_or_else(|| {
        let known = Family::ALL.map(Family::name);
        format!("there are {}", known.join(", "))
    })
}

pub fn run(context: &Context, args: &PricesArgs) -> Result<(), CtlError> {
    let form = context.form("prices", &[Form::Table, Form::Wide, Form::Json, Form::Yaml])?;
    let tables = bundled();
    let families = args.provider.map_or(Family::ALL.to_vec(), |family| vec![family]);
    let wanted = |name: &str| args.model.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let now = context.now.as_second();
    let mut rows = Vec::new();
    for family in families {
        let models = tables.models(family).filter(|found| wanted(found.name));
        let models = models.filter(|found| !args.differ || !found.entry.disagreements.is_empty());
        rows.extend(models.filter_map(|found| price_rows(family, found, now)));
    }
    if matches!(form, Form::Json | Form::Yaml) {
        context.print_value(&prices_json(tables, &rows), form)?;
    } else {
        context.print(&prices_table(tables, &rows, form == Form::Wide, context.color))?;
    }
    if rows.is_empty() {
        context.note("no model of the tables fits; one without a price is unpriced, which is not free");
        return Err(CtlError::Told);
    }
    Ok(())
}
