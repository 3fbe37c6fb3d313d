//! What the choice of a backend, and of a pod behind a Service, is made by.

mod hash;
mod latency;
mod load;
mod prefix;
mod wants;

pub use hash::{Hash64, rendezvous};
pub use latency::Latency;
pub use load::Load;
pub use prefix::{Prefix, PrefixTable};
pub use tokenweir_config::SelectionMode;
pub use wants::{Selection, Wants};
