//! The page of the program: its reference is made from the command line, and its commands are understood.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "<!-- reference -->\n";
const END: &str = "<!-- end of the reference -->\n";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tokenweirctl.md")
}

fn block(text: &mut String, help: &str) {
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    write!(text, "\n```text\n{}\n```\n", lines.join("\n")).unwrap();
}

fn reference() -> String {
    let mut whole = tokenweir_cli::cli::command().term_width(120);
    let mut text = String::new();
    block(&mut text, &whole.render_long_help().to_string());
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        // Taken out of the whole, so that the flags of all commands stand in one place.
        let name = format!("tokenweirctl {}", command.get_name());
        write!(text, "\n### {name}\n").unwrap();
        let mut alone = command.clone().bin_name(name).term_width(120);
        block(&mut text, &alone.render_long_help().to_string());
    }
    text.push('\n');
    text
}

#[test]
fn the_reference_in_the_docs_is_what_the_program_says() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the reference begins");
    let (found, after) = rest.split_once(END).expect("the reference ends");
    let made = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        found, made,
        "run: UPDATE_DOCS=1 cargo test -p tokenweir-cli --test it docs"
    );
}

/// The part of a line of a shell that calls the program; `None` if none does.
fn call(line: &str) -> Option<&str> {
    let line = line.split("   #").next().unwrap_or(line).trim();
    let at = line.find("tokenweirctl ")?;
    let before = line[..at].trim();
    // Behind a variable, or a pipe.
    let calls = before.is_empty() || before.ends_with('|') || before.ends_with("=...");
    calls.then(|| line[at..].split(" > ").next().unwrap_or_default())
}

#[test]
fn every_command_that_the_help_shows_is_understood() {
    let whole = tokenweir_cli::cli::command();
    let folder = Path::new(env!("CARGO_BIN_EXE_tokenweirctl")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut seen = 0;
    for command in whole.get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut own = 0;
        for line in help.lines().filter_map(call) {
            // `--help` comes last: what stands before it is parsed first.
            let output = Command::new("sh")
                .args(["-c", &format!("{line} --help")])
                .env("PATH", &path)
                .output();
            let output = output.unwrap();
            assert!(
                output.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            own += 1;
        }
        assert!(
            own > 0 || command.get_name() == "completion",
            "{} has no example",
            command.get_name()
        );
        seen += own;
    }
    assert!(seen > 10, "only {seen} examples were found");
}
