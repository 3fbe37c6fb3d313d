//! Log set-up shared by all programs: JSON for machines, text for people, levels per module.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person: coloured on a terminal unless `NO_COLOR` is set.
    Text,
}

/// Command-line options for logs; flatten them into a program's own options.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines are written to standard error [default: text on a terminal, else json]
    #[arg(long, env = "TOKENWEIR_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// Which lines are written: a level, or levels per module such as `info,kube=debug`
    #[arg(long, env = "TOKENWEIR_LOG", default_value = "info")]
    pub log_level: String,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The level expression does not parse.
    #[error("--log-level {given:?} is not a level such as \"info\" or a list such as \"info,kube=debug\"")]
    Level {
        /// What the user gave.
        given: String,
        /// The parser's own words.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber is already installed in this process.
    #[error("logs are already set up in this process")]
    Twice(#[source] TryInitError),
}

/// A boxed layer, the type in which programs hand in extra layers (trace export, for example).
pub type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

impl LogArgs {
    /// Installs the process-wide subscriber.
    pub fn init(&self) -> Result<(), LogSetupError> {
        self.init_with(Vec::new())
    }

    /// Installs the process-wide subscriber with further layers beside the log lines.
    ///
    /// The level filter applies to log lines alone; an extra layer filters for itself.
    pub fn init_with(&self, mut layers: Vec<BoxedLayer>) -> Result<(), LogSetupError> {
        let filter = EnvFilter::try_new(&self.log_level).map_err(|source| LogSetupError::Level {
            given: self.log_level.clone(),
            source,
        })?;
        let terminal = std::io::stderr().is_terminal();
        let format = self
            .log_format
            .unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
        let base = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        layers.push(match format {
            LogFormat::Json => base.json().flatten_event(true).with_filter(filter).boxed(),
            LogFormat::Text => {
                let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
                base.with_ansi(colour).with_filter(filter).boxed()
            }
        });
        tracing_subscriber::registry()
            .with(layers)
            .try_init()
            .map_err(LogSetupError::Twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_parse_is_named_in_the_error() {
        let args = LogArgs {
            log_format: Some(LogFormat::Json),
            log_level: "kube=loud".into(),
        };
        let error = args.init().unwrap_err();
        assert!(error.to_string().contains("kube=loud"), "{error}");
    }
}
