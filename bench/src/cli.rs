//! The command line of `tokenweir-bench`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::cluster::{self, Api, Settings};
use crate::document::{self, Section};
use crate::error::BenchError;
use crate::fixture::Programs;
use crate::gateway::Options;
use crate::load::{Plan, Shape};
use crate::peers::Installed;
use crate::{change, gateway, load, profile, proxy, soak, upstream};

/// Measures the gateway; every figure with its baseline in the same run.
#[derive(Debug, Parser)]
#[command(name = "tokenweir-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The gateway against the bare proxy, both in front of a minimal upstream
    Gateway {
        /// Measured seconds of each run
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Runs of each target per row; they alternate
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Connections, a row each
        #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 1000])]
        connections: Vec<usize>,
        /// Bytes of request bodies, rows each; streams take the first
        #[arg(long, value_delimiter = ',', default_values_t = [256, 8192, 131_072])]
        sizes: Vec<usize>,
        /// Events of a stream
        #[arg(long, default_value_t = 100)]
        chunks: u64,
        /// CPUs of the measured program, as taskset takes them; "" for all
        #[arg(long, default_value = "0")]
        target_cpus: String,
        /// CPUs of the upstream and the load; "" for all
        #[arg(long, default_value = "1")]
        other_cpus: String,
        /// Threads of the measured program
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Starts of the gateway, for the time to the first answer
        #[arg(long, default_value_t = 20)]
        starts: usize,
        /// Write the figures into this document, between their markers
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        #[command(flatten)]
        programs: ProgramArgs,
    },
    /// What a request costs the gateway and the bare proxy: instructions by function, allocations, system calls
    Profile {
        /// Measured seconds of each run
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Connections
        #[arg(long, default_value_t = 16)]
        connections: usize,
        /// Bytes of a request body
        #[arg(long, default_value_t = 256)]
        size: usize,
        /// CPUs of the measured program, as taskset takes them; "" for all
        #[arg(long, default_value = "0")]
        target_cpus: String,
        /// CPUs of the upstream and the load; "" for all
        #[arg(long, default_value = "1")]
        other_cpus: String,
        /// Write the profile into this document, between its markers
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        #[command(flatten)]
        programs: ProgramArgs,
    },
    /// The gateway's memory: over many requests, and with many streams at once
    Soak {
        /// Requests
        #[arg(long, default_value_t = 1_000_000)]
        requests: u64,
        /// Streams held at once
        #[arg(long, default_value_t = 5000)]
        streams: usize,
        /// Write the figures into this document, between their markers
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        #[command(flatten)]
        programs: ProgramArgs,
    },
    /// How long a changed route takes until all of several gateways serve it
    Change {
        /// Gateways on one folder
        #[arg(long, default_value_t = 4)]
        gateways: usize,
        /// Changes that are measured
        #[arg(long, default_value_t = 40)]
        changes: usize,
        #[command(flatten)]
        programs: ProgramArgs,
    },
    /// On a cluster: how long a changed ModelRoute takes until every gateway pod serves it
    ClusterChange {
        /// Changes that are measured
        #[arg(long, default_value_t = 40)]
        changes: usize,
        /// Gateway pods
        #[arg(long, default_value_t = 4)]
        pods: usize,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// On a cluster: the age of the values that a HorizontalPodAutoscaler reads
    ClusterSignals {
        /// Answers that are read
        #[arg(long, default_value_t = 400)]
        samples: usize,
        /// Gateway pods
        #[arg(long, default_value_t = 10)]
        pods: usize,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// A bare reverse proxy, until it is ended
    Proxy {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
        /// Where to send requests
        #[arg(long, default_value = "127.0.0.1:8000")]
        upstream: SocketAddr,
        /// Threads, each with its own socket
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// An upstream with prepared answers, until it is ended
    Upstream {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
        /// Tokens of an answer
        #[arg(long, default_value_t = 16)]
        tokens: u64,
        /// Events of a stream
        #[arg(long, default_value_t = 100)]
        chunks: u64,
    },
    /// A load of chat completions on one address
    Load(LoadArgs),
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    /// Where to
    #[arg(long, default_value = "127.0.0.1:8000")]
    target: SocketAddr,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Measured seconds, at most 90
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=90))]
    seconds: u64,
    /// Model to ask for
    #[arg(long, default_value = "sim")]
    model: String,
    /// API key
    #[arg(long, env = "TOKENWEIR_BENCH_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Bytes of a request body
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Tokens of an answer, events of a stream
    #[arg(long, default_value_t = 16)]
    tokens: u64,
    /// Ask for streams
    #[arg(long)]
    stream: bool,
    /// Requests a second, whatever the answers do [default: the next when the last is answered]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Further headers
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Process whose CPU time is measured
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl LoadArgs {
    async fn run(self) -> Result<String, BenchError> {
        let shape = Shape::chat(&self.model, self.size, self.stream, self.tokens).with_key(self.key.as_deref());
        let headers = self.headers.iter().filter_map(|header| header.split_once(':'));
        let plan = Plan {
            target: self.target,
            shape: headers.fold(shape, |shape, (name, value)| {
                shape.with_header(name.trim(), value.trim())
            }),
            connections: self.connections,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(self.seconds),
            watch: self.watch,
            rate: self.rate,
        };
        let report = load::run(&plan).await?;
        Ok(if self.json {
            serde_json::to_string(&report)?
        } else {
            format!("{report:#?}\n")
        })
    }
}

#[derive(Debug, clap::Args)]
struct ProgramArgs {
    /// The simulator [default: tokenweir-sim beside this program]
    #[arg(long, value_name = "FILE")]
    sim: Option<PathBuf>,
    /// The gateway [default: tokenweir-gateway beside this program]
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// LiteLLM, to be measured too [default: litellm on the path, if it is there]
    #[arg(long, value_name = "FILE")]
    litellm: Option<PathBuf>,
    /// Portkey's build/start-server.js, to be measured too
    #[arg(long, value_name = "FILE")]
    portkey: Option<PathBuf>,
}

impl ProgramArgs {
    fn find(self) -> Result<Programs, BenchError> {
        Programs::find(self.sim, self.gateway, Installed::find(self.litellm, self.portkey))
    }
}

#[derive(Debug, clap::Args)]
struct ClusterArgs {
    /// kubectl, with the context to be used
    #[arg(long, env = "KUBECTL", default_value = "kubectl", value_name = "FILE")]
    kubectl: PathBuf,
    /// Namespace to make for the measurement, and to remove after it
    #[arg(long, default_value = "tokenweir-bench", value_name = "NAME")]
    namespace: String,
    /// Namespace of the quickstart, for the simulator's image
    #[arg(long, default_value = "llm", value_name = "NAME")]
    example: String,
    /// Image of the simulator [default: that of the quickstart]
    #[arg(long, value_name = "IMAGE")]
    sim_image: Option<String>,
}

impl ClusterArgs {
    fn settings(self, pods: usize) -> Settings {
        Settings {
            namespace: self.namespace,
            pods,
            sim_image: self.sim_image,
            example: self.example,
        }
    }
}

/// Runs the program: 0 with figures on standard output, 1 when they could not be made, 2 for bad usage.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tokenweir_process::report_failure("tokenweir-bench", &error),
    }
}

fn run(command: Command) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(measure(command))?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The figures as they are printed; written into a document too, if there is one.
fn tell(sections: Vec<Section>, write: Option<&Path>) -> Result<String, BenchError> {
    if let Some(path) = write {
        document::write(path, &sections)?;
    }
    let texts = sections.into_iter().map(|section| section.text);
    Ok(texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"))
}

async fn measure(command: Command) -> Result<String, BenchError> {
    match command {
        Command::Gateway {
            seconds,
            rounds,
            connections,
            sizes,
            chunks,
            target_cpus,
            other_cpus,
            threads,
            starts,
            write,
            programs,
        } => {
            let options = Options {
                seconds,
                rounds,
                connections,
                sizes,
                chunks,
                target_cpus,
                other_cpus,
                threads,
                starts,
            };
            tell(gateway::compare(&programs.find()?, &options).await?, write.as_deref())
        }
        Command::Profile {
            seconds,
            connections,
            size,
            target_cpus,
            other_cpus,
            write,
            programs,
        } => {
            let options = profile::Options {
                seconds,
                connections,
                size,
                target_cpus,
                other_cpus,
            };
            let figures = profile::measure(&programs.find()?, &options).await?;
            tell(vec![Section::new("profile", figures)], write.as_deref())
        }
        Command::Soak {
            requests,
            streams,
            write,
            programs,
        } => {
            let figures = soak::measure(&programs.find()?, requests, streams).await?;
            tell(vec![Section::new("memory", figures)], write.as_deref())
        }
        Command::Change {
            gateways,
            changes,
            programs,
        } => change::measure(&programs.find()?, gateways, changes).await,
        Command::ClusterChange { changes, pods, cluster } => {
            let api = Api::connect(&cluster.kubectl).await?;
            cluster::change::measure(api, cluster.settings(pods), changes).await
        }
        Command::ClusterSignals { samples, pods, cluster } => {
            let api = Api::connect(&cluster.kubectl).await?;
            cluster::signals::measure(api, cluster.settings(pods), samples).await
        }
        Command::Load(load) => load.run().await,
        Command::Proxy {
            listen,
            upstream,
            threads,
        } => {
            proxy::run(listen, upstream, threads)?;
            Ok(String::new())
        }
        Command::Upstream { listen, tokens, chunks } => {
            upstream::run(listen, tokens, chunks).await?;
            Ok(String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
