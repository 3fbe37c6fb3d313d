//! The command line.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::cluster::chain;
use crate::commands::{chat, check, describe, get, plugin, prices, routes, top, version};
use crate::complete::complete;
use crate::error::CtlError;
use crate::output::clean;

/// Shows what Tokenweir's gateways, providers, routes and tenants do, and tries them out.
///
/// Reads the cluster of the kubeconfig, as kubectl does. What needs no cluster says so.
#[derive(Debug, Parser)]
#[command(name = "tokenweirctl", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed or not everything is right, 2 wrong command line, 130 after Ctrl-C.\n\
Colours are used on terminals, unless NO_COLOR is set.";

/// Flags of all commands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Namespace to look at [default: that of the context]
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,

    /// Look at all namespaces
    #[arg(
        short = 'A',
        long,
        global = true,
        conflicts_with = "namespace",
        help_heading = "Cluster"
    )]
    pub all_namespaces: bool,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,

    /// Kubeconfig file [default: those of KUBECONFIG, else ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,

    /// User to ask as, in place of one's own; needs leave to impersonate
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Cluster")]
    pub impersonate: Option<String>,

    /// Group to ask as a member of, together with --as. May be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Cluster")]
    pub impersonate_groups: Vec<String>,

    /// UID to ask with, together with --as
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Cluster")]
    pub impersonate_uid: Option<String>,

    /// Namespace in which Tokenweir itself is installed
    #[arg(
        long,
        global = true,
        env = "TOKENWEIR_INSTALL_NAMESPACE",
        hide_env_values = true,
        value_name = "NAME",
        default_value = "tokenweir-system",
        help_heading = "Cluster"
    )]
    pub install_namespace: String,

    /// How long one answer of the API server may take, such as 10s or 2m
    #[arg(
        long,
        global = true,
        value_name = "SPAN",
        default_value = "10s",
        value_parser = span,
        help_heading = "Cluster"
    )]
    pub request_timeout: Duration,

    /// Form of the answer [default: table]
    #[arg(short, long, global = true, value_enum, value_name = "FORM")]
    pub output: Option<Form>,
}

/// A span of time; a number alone counts seconds, as kubectl has it.
fn span(text: &str) -> Result<Duration, String> {
    let span = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|span| Duration::try_from(span).ok())
            .ok_or("a span of time is needed, such as 10s or 2m")?,
    };
    if span.is_zero() {
        return Err("a span of time above zero is needed".to_owned());
    }
    Ok(span)
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    Table,
    /// For people, with all columns
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
    /// Names alone, one a line
    Name,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show objects: do they work, and if not, why and since when
    #[command(after_help = get::EXAMPLES)]
    Get(get::GetArgs),
    /// Show all that is known about one object: its spec in brief, conditions, gateway pods, providers, events
    #[command(after_help = describe::EXAMPLES)]
    Describe(describe::DescribeArgs),
    /// Show every route with its backends: weights, health with its reason and since when, and what is in flight
    #[command(after_help = routes::EXAMPLES)]
    Routes(routes::RoutesArgs),
    /// Show what gateways do at this moment, by route: requests, tokens, times to the first token, queues
    #[command(after_help = top::EXAMPLES)]
    Top(top::TopArgs),
    /// Chat with a model through a gateway, and see how long it took, what it cost, and who answered
    #[command(after_help = chat::EXAMPLES)]
    Chat(chat::ChatArgs),
    /// Say whether YAML files are right, with the place of each mistake; needs no cluster, but may ask one
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Show what models cost by the bundled tables of prices; needs no cluster
    #[command(after_help = prices::EXAMPLES)]
    Prices(prices::PricesArgs),
    /// Print the version of this program, and of what runs in the cluster
    #[command(after_help = version::EXAMPLES)]
    Version(version::VersionArgs),
    /// Make this program a plugin of kubectl: `kubectl tokenweir`
    #[command(after_help = plugin::EXAMPLES)]
    Plugin(plugin::PluginArgs),
    /// Print the completion script of a shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion {
        /// The shell
        shell: Shell,
    },
}

const COMPLETION_EXAMPLES: &str = "Examples:
  source <(tokenweirctl completion bash)
  tokenweirctl completion zsh > \"${fpath[1]}/_tokenweirctl\"
  tokenweirctl completion fish > ~/.config/fish/completions/tokenweirctl.fish

In bash, zsh and fish, names of objects, gateways, tenants, namespaces and contexts go on as well: the cluster is asked for
at most two seconds.";

/// As the first word: how do the words behind it go on?
const COMPLETE: &str = "__complete";

/// What a command needs beside its own arguments.
#[derive(Debug)]
pub struct Context {
    /// The flags of all commands.
    pub global: Global,
    /// Whether the answer is coloured.
    pub color: bool,
    /// Now, the same for all that a command says.
    pub now: Timestamp,
}

impl Context {
    /// The form that was asked for, if the command has it.
    pub fn form(&self, command: &str, known: &[Form]) -> Result<Form, CtlError> {
        let form = self.global.output.unwrap_or(Form::Table);
        if known.contains(&form) {
            return Ok(form);
        }
        let name = |form: &Form| form.to_possible_value().map(|value| value.get_name().to_owned());
        let known: Vec<String> = known.iter().filter_map(name).collect();
        Err(CtlError::Usage(format!(
            "{command} does not have this form of output; it has {}",
            known.join(", ")
        )))
    }

    /// Prints an answer. False: whoever has read standard output does not want to read more.
    pub fn print(&self, text: &str) -> Result<bool, CtlError> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(CtlError::io("standard output")(error)),
        }
    }

    /// Prints an answer for programs, as [`Self::print`] does.
    pub fn print_value(&self, value: &impl serde::Serialize, form: Form) -> Result<bool, CtlError> {
        let mut text = if form == Form::Yaml {
            serde_saphyr::to_string(value)?
        } else {
            serde_json::to_string_pretty(value)?
        };
        text.truncate(text.trim_end().len());
        text.push('\n');
        self.print(&text)
    }

    /// Tells the person at the terminal something that is not the answer, in one line.
    ///
    /// Much of it are words of servers: what could steer the terminal is left out.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{}", clean(text));
    }
}

/// The command line as it is documented.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let called = args
        .first()
        .map(|path| Path::new(path).file_stem().unwrap_or_default().to_owned());
    let mut command = command();
    let completer = called.as_deref() == Some(OsStr::new(plugin::COMPLETER));
    if completer || args.get(1).is_some_and(|word| word == COMPLETE) {
        let words: Vec<String> = args
            .iter()
            .skip(if completer { 1 } else { 2 })
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        tokenweir_process::install_crypto_provider();
        let _ = std::io::stdout().write_all(complete(&command, &words).as_bytes());
        return ExitCode::SUCCESS;
    }
    if called.as_deref() == Some(OsStr::new(plugin::PLUGIN)) {
        command = command.bin_name("kubectl tokenweir");
    }
    let cli = command
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| error.exit());
    tokenweir_process::install_crypto_provider();
    match block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever pressed Ctrl-C knows it.
        Err(error @ (CtlError::Told | CtlError::Unread | CtlError::Cancelled)) => error.exit_code(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", failure_line(&error));
            error.exit_code()
        }
    }
}

/// A failure with its causes in one line, which nothing that a server has said can break or colour.
fn failure_line(error: &CtlError) -> String {
    format!("tokenweirctl: {}", clean(&chain(error)))
}

fn block_on(task: impl Future<Output = Result<(), CtlError>>) -> Result<(), CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CtlError::io("the process cannot be set up"))?;
    let done = runtime.block_on(task);
    // A thread that still waits for a line of standard input must not hold the exit.
    runtime.shutdown_background();
    done
}

async fn run(cli: Cli) -> Result<(), CtlError> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let context = Context {
        global: cli.global,
        color: std::io::stdout().is_terminal() && !no_color,
        now: Timestamp::now(),
    };
    match cli.command {
        Command::Get(args) => get::run(&context, &args).await,
        Command::Describe(args) => describe::run(&context, &args).await,
        Command::Routes(args) => routes::run(&context, &args).await,
        Command::Top(args) => top::run(&context, &args).await,
        Command::Chat(args) => chat::run(&context, &args).await,
        Command::Check(args) => check::run(&context, &args).await,
        Command::Prices(args) => prices::run(&context, &args),
        Command::Plugin(args) => plugin::run(&context, &args),
        Command::Version(args) => version::run(&context, &args).await,
        Command::Completion { shell } => {
            let script = match shell {
                Shell::Bash => include_str!("completion/bash.sh"),
                Shell::Zsh => include_str!("completion/zsh.zsh"),
                Shell::Fish => include_str!("completion/fish.fish"),
                other => {
                    tokenweir_process::print_completion(other, &mut Cli::command());
                    return Ok(());
                }
            };
            context.print(script).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("tokenweirctl").chain(args.iter().copied()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_behind_the_command() {
        for args in [&["-n", "llm", "get", "routes"][..], &["get", "routes", "-n", "llm"]] {
            assert_eq!(parse(args).unwrap().global.namespace.as_deref(), Some("llm"));
        }
        assert_eq!(parse(&["get", "-A", "-n", "llm"]).unwrap_err().exit_code(), 2);
        let unknown = parse(&["get", "pods"]).unwrap_err().to_string();
        assert!(unknown.contains("there are llmgateway, modelprovider"), "{unknown}");
    }

    #[test]
    fn a_span_is_a_number_of_seconds_or_has_a_unit_and_is_not_zero() {
        let span = |text| parse(&["get", "--request-timeout", text]).map(|cli| cli.global.request_timeout);
        for (text, seconds) in [("7", 7), ("7s", 7), ("2m", 120)] {
            assert_eq!(span(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["0", "0s", "soon", "-3s", ""] {
            assert_eq!(
                span(wrong).map_err(|error| error.exit_code()).unwrap_err(),
                2,
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_failure_is_one_line_that_does_not_steer_the_terminal() {
        let source = std::io::Error::other("first\nsecond \x1b[2J \u{9b}31m");
        let error = CtlError::io("a file")(source);
        assert_eq!(failure_line(&error), "tokenweirctl: a file: first second [2J 31m");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("Examples:\n  tokenweirctl") || help.contains("tokenweirctl "),
                "{}",
                command.get_name()
            );
        }
    }
}
