//! `plugin`: the same program as `kubectl tokenweir`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::error::CtlError;

pub const EXAMPLES: &str = "Examples:
  tokenweirctl plugin install                        # beside this program
  tokenweirctl plugin install --dir ~/.local/bin

kubectl finds plugins in the folders of PATH.";

/// The name under which kubectl finds a plugin.
pub const PLUGIN: &str = "kubectl-tokenweir";
/// The name under which kubectl asks a plugin how a word goes on.
pub const COMPLETER: &str = "kubectl_complete-tokenweir";

#[derive(Debug, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Link this program as kubectl-tokenweir and kubectl_complete-tokenweir
    Install {
        /// Folder for the links [default: that of this program]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

pub fn run(context: &Context, args: &PluginArgs) -> Result<(), CtlError> {
    let PluginCommand::Install { dir } = &args.command;
    let file = std::env::current_exe().map_err(CtlError::io("the place of this program"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let called = std::env::args_os().next().unwrap_or_default();
    let program = program(file, Path::new(&called), &path);
    let folder = match dir {
        Some(dir) => dir.clone(),
        None => program.parent().map(Path::to_owned).unwrap_or_default(),
    };
    for name in [PLUGIN, COMPLETER] {
        let link = folder.join(name);
        place(&program, &link)?;
        context.print(&format!("{}\n", link.display()))?;
    }
    if !std::env::split_paths(&path).any(|known| same(&known, &folder)) {
        let folder = folder.display();
        context.note(&format!("{folder} is not in PATH, where kubectl looks for plugins"));
    }
    Ok(())
}

/// The place to link to: where the program was called, even if that is a link itself, so that what a package manager makes
/// of it later counts; the file behind it where the name is the plugin's own, which must not lead to itself.
fn program(file: PathBuf, called: &Path, path: &OsStr) -> PathBuf {
    let name = called.file_name().unwrap_or_default();
    if name == PLUGIN || name == COMPLETER {
        return file;
    }
    let place = if called.components().count() > 1 {
        std::path::absolute(called).ok()
    } else {
        std::env::split_paths(path)
            .filter_map(|folder| std::path::absolute(folder.join(called)).ok())
            .find(|place| same(place, &file))
    };
    // Whoever started it may have given it any name.
    place.filter(|place| same(place, &file)).unwrap_or(file)
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Makes a link, or moves one that is there. Anything else of that name is left alone.
fn place(program: &Path, link: &Path) -> Result<(), CtlError> {
    match std::fs::symlink_metadata(link) {
        Ok(found) if found.is_symlink() => {
            std::fs::remove_file(link).map_err(CtlError::io(link.display().to_string()))?;
        }
        // The program itself, under the plugin's name.
        Ok(_) if same(program, link) => return Ok(()),
        Ok(_) => {
            let why = std::io::Error::new(ErrorKind::AlreadyExists, "there is a file of this name that is no link");
            return Err(CtlError::io(link.display().to_string())(why));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(CtlError::io(link.display().to_string())(error)),
    }
    std::os::unix::fs::symlink(program, link).map_err(CtlError::io(link.display().to_string()))
}
