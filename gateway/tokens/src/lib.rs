//! How many tokens a request has before a provider has said so.
//!
//! - [`count`] counts a conversation: exactly where the model's encoding and chat format are public, else by estimate.
//! - [`at_most`] bounds it from above without counting, for what must be reserved before a request is sent.
//! - [`load`] reads the encodings, which takes a tenth of a second each; until then there are estimates and bounds.
//!
//! What a provider reports always wins. Counting is linear in the text whatever the text is, recurses into nothing and does
//! not panic on foreign bytes.
//!
//! # What is exact
//!
//! OpenAI publishes the encodings, and in its cookbook the overhead of messages and functions for the models `gpt-3.5-turbo`,
//! `gpt-4` and `gpt-4o` with their dated and small versions. Conversations of plain texts with these are exact, and so are
//! their functions as long as the parameters are plain ones, with a type, a description and an enumeration at most; tests hold
//! the published counts. All else is an estimate:
//!
//! - Newer models with the encoding `o200k_base` are counted in the same way. Their overhead is not published; one that users have
//!   measured, of `gpt-5`, is one token less.
//! - Images are counted by OpenAI's published formulas, which do not always give what OpenAI bills; calls of functions and their
//!   results by their text.
//! - Other models are counted by [`tokenweir_llm::tokens`], whose documentation says how far that is from the truth.

mod bound;
mod chat;
mod count;
mod encoding;
mod functions;
mod image;

pub use bound::at_most;
pub use count::{Counted, count, count_text};
pub use encoding::{Encoding, load};
