//! The commands of the documentation, taken out of its pages.
//!
//! Every shell block says after `sh` who runs it: `cluster` (against the quickstart on the real cluster), `alone` (without
//! a cluster, in a network of its own), `run` (the tests of the official clients), `check` (too long or too far-reaching to
//! run; the program named there parses it). A rule over the workspace refuses blocks that say nothing.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// For the commands of one block; most answer in under a second on a calm machine.
const LIMIT: Duration = Duration::from_mins(2);

/// A shell block of a page.
#[derive(Debug)]
pub struct Block {
    /// Where it begins, such as `docs/tls.md:17`.
    pub place: String,
    /// Its commands, without comments, lines that go on joined.
    pub commands: Vec<String>,
}

/// All shell blocks that one kind of test runs.
pub fn blocks(source: &Path, runner: &str) -> Vec<Block> {
    let docs = std::fs::read_dir(source.join("docs")).expect("there is a folder docs");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| source.join(name)));
    pages.sort();
    let blocks = pages.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("a page can be read");
        let name = path.strip_prefix(source).expect("pages are in the source").display();
        in_page(&name.to_string(), &text, runner)
    });
    blocks.collect()
}

/// Runs a shell that was given its script, in the source tree, and returns what it printed. Panics if it fails.
pub async fn output(place: &str, source: &Path, mut shell: Command) -> String {
    shell.current_dir(source).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, shell.output())
        .await
        .unwrap_or_else(|_| panic!("{place} did not end within {LIMIT:?}"))
        .expect("the shell can be started");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{place}: {}\n{out}{err}", output.status);
    out.into_owned()
}

fn in_page(name: &str, text: &str, runner: &str) -> Vec<Block> {
    let fence = format!("```sh {runner}");
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line == fence => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line == "```" => {
                found.extend(open.take().map(|(line, text)| Block {
                    place: format!("{name}:{line}"),
                    commands: commands(&text),
                }));
            }
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line).trim());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}
