//! `tokenweir-dev images`.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::cluster::images::{Image, build};
use crate::cluster::{ClusterError, Options, find_or_start, release};

/// The programs that run in pods, by the last part of their image's name.
const PROGRAMS: [&str; 4] = ["operator", "gateway", "adapter", "sim"];

#[derive(Debug, Args)]
pub(super) struct ImagesArguments {
    /// The images to build; all of them if none is named.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(PROGRAMS))]
    names: Vec<String>,
    /// Only build them; hand them to no cluster.
    #[arg(long)]
    no_load: bool,
}

pub(super) async fn run(arguments: &ImagesArguments, options: Options) -> Result<ExitCode, ClusterError> {
    let names: Vec<&str> = match arguments.names.as_slice() {
        [] => PROGRAMS.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let packages: Vec<String> = names.iter().map(|name| format!("tokenweir-{name}")).collect();
    let references: Vec<&str> = packages.iter().map(String::as_str).collect();
    let found = release::build(&references, &options.folders, &options.progress).await?;
    let mut images = Vec::with_capacity(names.len());
    for (name, package) in names.iter().zip(&packages) {
        images.push(Image {
            name: (*name).to_owned(),
            binary: release::program(&found, package)?,
        });
    }
    let mut made = build(&images, &options.folders, &options.progress).await?;
    if !arguments.no_load {
        made = find_or_start(options).await?.load_images(&made).await?;
    }
    for image in &made {
        print(&format!("{}\n", image.reference()))?;
    }
    Ok(ExitCode::SUCCESS)
}
