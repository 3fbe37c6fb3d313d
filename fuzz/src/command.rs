//! The small commands that `tools/fuzz` is made of.

use std::io::{Error, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::{TARGETS, seeds, target};

const USAGE: &str = "\
tokenweir-fuzz list                    names the targets
tokenweir-fuzz seeds FOLDER            writes the seeds of each target to FOLDER/TARGET, and words to FOLDER/TARGET.dict
tokenweir-fuzz replay TARGET FILE...   runs a target on inputs; a law that one breaks is a panic";

/// Runs a command.
pub fn run(arguments: impl Iterator<Item = String>, out: &mut impl Write) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["list"] => list(out),
        ["seeds", folder] => seeds::write(Path::new(folder)),
        ["replay", name, ref files @ ..] if !files.is_empty() => replay(name, files, out),
        _ => Err(Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed too there is no one to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn list(out: &mut impl Write) -> Result<(), Error> {
    TARGETS.iter().try_for_each(|target| writeln!(out, "{}", target.name))
}

fn replay(name: &str, files: &[&str], out: &mut impl Write) -> Result<(), Error> {
    let target = target(name).ok_or_else(|| Error::other(format!("there is no target '{name}'")))?;
    for file in files {
        let input = std::fs::read(file).map_err(|error| Error::other(format!("cannot read {file}: {error}")))?;
        (target.run)(&input);
        writeln!(out, "{name} holds on {file}")?;
    }
    Ok(())
}
