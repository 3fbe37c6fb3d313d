//! Measurements on a cluster where Tokenweir is installed.

mod api;
pub mod change;
pub mod signals;
mod world;

pub use api::Api;
pub use world::{Settings, World};
