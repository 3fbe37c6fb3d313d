//! The command line of `crdgen`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::{GenerateError, drift, manifests, write};

/// Writes the chart of the definitions and the reference from the types.
#[derive(Debug, Parser)]
#[command(name = "crdgen", version)]
struct Cli {
    /// Change nothing; fail if a file differs from what would be written
    #[arg(long, conflicts_with = "print")]
    check: bool,
    /// Print the definitions as plain YAML, for `kubectl apply --server-side -f -`, and write nothing
    #[arg(long)]
    print: bool,
    /// Root of the repository
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Runs `crdgen`. Exit code 1: with `--check` a file differs, else something failed.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match act(&cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(cli: &Cli) -> Result<ExitCode, GenerateError> {
    let mut out = std::io::stdout().lock();
    let failed = |source| GenerateError::Io {
        path: PathBuf::from("standard output"),
        source,
    };
    if cli.print {
        out.write_all(manifests()?.as_bytes()).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let drift = if cli.check {
        drift(&cli.root)?
    } else {
        write(&cli.root)?
    };
    for (path, drift) in &drift {
        writeln!(out, "{}: {drift}", path.display()).map_err(failed)?;
    }
    if cli.check && !drift.is_empty() {
        writeln!(out, "run: cargo run -p tokenweir-crds --bin crdgen").map_err(failed)?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
