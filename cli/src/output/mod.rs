//! From what was found to text. Pure: no I/O, and the time comes in.

mod age;
mod chat;
mod check;
mod describe;
mod get;
mod prices;
mod routes;
mod spec;
mod state;
mod table;
mod top;
mod version;

pub use age::since_unix_ms;
pub use chat::{chat_facts, shown};
pub use check::{check_json, check_text};
pub use describe::{Description, EventLine, PodLine, ProviderLine, describe_text};
pub use get::{GetView, get_names, get_table};
pub use prices::{price_rows, prices_json, prices_table};
pub use routes::{Seen, health_word, routes_of, routes_table};
pub use spec::brief;
pub use state::Summary;
pub use table::{Tone, clean};
pub use top::{PodNow, TopRow, top_rows, top_screen, top_table};
pub use version::version_text;
