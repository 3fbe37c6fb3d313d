//! Live signals: which gateway pods there are, one stream to each, and what they said.

pub mod age;
mod lines;
pub mod pods;
pub mod root_key;
pub mod store;
pub mod subscribe;

pub use store::{Live, PodInfo, PodView, Store};
