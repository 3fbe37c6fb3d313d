//! A simulated LLM provider.
//!
//! It speaks the wires of OpenAI (chat and text completions, responses, embeddings), Azure, Anthropic, Google (Gemini and
//! Vertex AI) and Amazon Bedrock, answers the same request with the same bytes, takes its time as real servers do, refuses
//! what they refuse, and fails on request. It runs as a program, in a pod, and inside tests:
//!
//! ```
//! # fn main() -> Result<(), tokenweir_sim::StartError> {
//! let sim = tokenweir_sim::Sim::start(tokenweir_sim::SimConfig::default())?;
//! assert!(sim.url().starts_with("http://127.0.0.1:"));
//! assert!(sim.requests().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//! - One seed and one request give one answer, identifier included; with [`Behaviour::created`] set, the same bytes,
//!   but for the count of tokens that the prompt cache had.
//! - Usage is the number of tokens that the answer was made of; for plain text, that is
//!   [`tokenweir_llm::tokens::estimate`] of it.
//! - With latency zero nothing sleeps; an answer costs a few microseconds.

mod answer;
mod ask;
pub mod behaviour;
pub mod cli;
mod config;
mod net;
mod proxy;
mod state;
mod wire;

pub use behaviour::{Behaviour, Fault, FaultChain, Latency, OutputTokens};
pub use config::{AwsKeys, ConfigError, GoogleAccount, SimConfig, TlsFiles};
pub use net::{Sim, SimHandle, StartError};
pub use proxy::{ConnectTo, NotAddresses, Proxy, ProxyConfig, Tunnel};
pub use state::{RateLimit, RecordedRequest, RequestOutcome, Stats};
