//! `check`: whether files are right, by themselves and in the eyes of an API server.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tokenweir_crds::file::{CheckOptions, KeyStore, check, documents};

use crate::cli::{Context, Form};
use crate::cluster::{self, Judged};
use crate::error::CtlError;
use crate::output::{check_json, check_text};

pub const EXAMPLES: &str = "Examples:
  tokenweirctl check -f examples/quickstart
  tokenweirctl check -f gateway.yaml -f routes/ -o json
  kustomize build overlays/eu | tokenweirctl check -f -
  tokenweirctl check --server -f gateway.yaml      # what the API server would say, and what others installed there add

All paths together are one set of objects. Each LLMGateway among them is compiled with what is around it, as the operator
and a gateway with --config would; without one, each object is checked by itself. Exit code 1 if there is a mistake.";

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// File or folder of YAML; `-` is standard input. May be repeated
    #[arg(short, long = "filename", value_name = "PATH", required = true)]
    filename: Vec<PathBuf>,

    /// Read folders inside of folders, too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Ask the API server, too, by an apply that it does not carry out; needs a cluster, and leave to patch the objects
    #[arg(long)]
    server: bool,

    /// Compile this LLMGateway alone [default: each of them]
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
}

pub async fn run(context: &Context, args: &CheckArgs) -> Result<(), CtlError> {
    let form = context.form("check", &[Form::Table, Form::Json, Form::Yaml])?;
    let (piped, paths): (Vec<PathBuf>, Vec<PathBuf>) =
        args.filename.iter().cloned().partition(|path| path == Path::new("-"));
    let mut text = None;
    if !piped.is_empty() {
        let mut read = String::new();
        std::io::stdin()
            .read_to_string(&mut read)
            .map_err(CtlError::io("standard input"))?;
        text = Some(read);
    }
    // Keys that tenants mint are part of what is compiled; the real ones are left alone.
    let scratch = tempfile::tempdir().map_err(CtlError::io("a temporary folder"))?;
    let keys = KeyStore::open(scratch.path())?;
    let options = CheckOptions {
        paths: &paths,
        deep: args.recursive,
        text: text.as_deref(),
        gateway: args.gateway.as_deref(),
    };
    let mut checked = check(&options, &keys);
    let mut accepted = None;
    // What is wrong without a cluster would be refused there as well, in other words.
    if args.server && checked.findings.is_empty() {
        let judged = server(context, &options).await?;
        accepted = Some(judged.accepted);
        checked.findings.extend(judged.findings);
        // What does nothing without a cluster has one here.
        checked.notes = judged.notes;
    }
    if form == Form::Table {
        context.print(&check_text(&checked, accepted, context.color))?;
    } else {
        context.print_value(&check_json(&checked, accepted), form)?;
    }
    if checked.findings.is_empty() {
        Ok(())
    } else {
        Err(CtlError::Told)
    }
}

async fn server(context: &Context, options: &CheckOptions<'_>) -> Result<Judged, CtlError> {
    let access = cluster::connect(&context.global).await?;
    match documents(options) {
        Ok(documents) => Ok(cluster::dry_run(&access, &documents).await?),
        // Files that have changed since they were checked.
        Err(findings) => Ok(Judged {
            findings,
            ..Judged::default()
        }),
    }
}
