//! What a model of a configured provider costs.

use tokenweir_config::Provider;
use tokenweir_config::price::Price;

use crate::table::{Found, Tables};

/// The price that holds for a model, and who says so.
#[derive(Debug, Clone, Copy)]
pub enum Priced<'a> {
    /// The `ModelProvider` itself.
    Own(&'a Price),
    /// The tables.
    Table(&'a Price, Found<'a>),
}

impl<'a> Priced<'a> {
    /// The price.
    pub const fn price(&self) -> &'a Price {
        match self {
            Self::Own(price) | Self::Table(price, _) => price,
        }
    }
}

impl Tables {
    /// What a model costs at a time, by the provider's own name for it: what the provider's object says, else what the tables
    /// say about the name. `None`: nobody knows, so it is counted in tokens and is not free.
    pub fn price<'a>(&'a self, provider: &'a Provider, model: &str, unix: i64) -> Option<Priced<'a>> {
        let own = provider.models.iter().find(|own| own.name == model);
        if let Some(price) = own.and_then(|own| Price::at(&own.prices, unix)) {
            return Some(Priced::Own(price));
        }
        let found = self.find(provider.kind, model, provider.region.as_deref())?;
        let price = Price::at(&found.entry.prices, unix)?;
        Some(Priced::Table(price, found))
    }
}
