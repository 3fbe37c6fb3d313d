//! The data path from a client's socket to a provider's and back.

mod admission;
mod clouds;
mod counts;
mod dropped;
mod errors;
pub mod harness;
mod header_changes;
mod health;
mod hedging;
mod http2;
mod lifecycle;
mod matching;
mod passed;
mod plain;
mod rates;
mod regions;
mod retries;
pub mod script;
mod selection;
mod speaks;
mod streams;
mod titan;
mod translated;
