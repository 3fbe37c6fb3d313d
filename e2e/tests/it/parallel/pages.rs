//! The commands of the documentation that need no cluster.

use std::path::{Path, PathBuf};

use tokenweir_e2e::cluster::{Progress, release};
use tokio::process::Command;

use crate::support::pages::{blocks, output};
use crate::support::{TestResult, World, beside};

/// The folder of the programs that the images are made of, with `tokenweirctl` beside them.
pub async fn programs(world: &World) -> Result<PathBuf, tokenweir_e2e::harness::HarnessError> {
    // The same set as for the images, and one that takes its dependencies with the same features: another set would have others,
    // and build everything again.
    let packages = ["operator", "gateway", "adapter", "sim", "cli"].map(|name| format!("tokenweir-{name}"));
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let programs = release::build(&packages, &world.folders, &Progress::quiet()).await?;
    let gateway = release::program(&programs, "tokenweir-gateway")?;
    Ok(gateway.parent().expect("a program is in a folder").to_owned())
}

async fn bash(place: &str, source: &Path, script: &str, alone: bool) -> String {
    let shell = if alone {
        // Ports of pages are fixed; in a network of its own they are free, whatever runs on the machine.
        let mut shell = Command::new("unshare");
        shell.args(["--net", "--map-root-user", "bash", "-euc", script]);
        shell
    } else {
        let mut shell = Command::new("bash");
        shell.args(["-euc", script]);
        shell
    };
    output(place, source, shell).await
}

#[test]
fn the_simulator_answers_as_its_page_says() {
    beside(async |world| -> TestResult {
        let source = &world.folders.source;
        let programs = programs(&world).await?;
        let block = blocks(source, "alone")
            .into_iter()
            .find(|block| block.place.starts_with("docs/sim.md"));
        let block = block.expect("the page has commands");
        let [start, ask] = block.commands.as_slice() else {
            panic!("the page starts the simulator and asks it: {block:?}");
        };
        let arguments = start
            .strip_prefix("cargo run --release -p tokenweir-sim -- ")
            .expect("the page starts the simulator");
        let script = format!(
            "ip link set lo up\ntrap 'kill $(jobs -p)' EXIT\n{}/tokenweir-sim {arguments} & \n\
             until (exec 3<>/dev/tcp/127.0.0.1/8000) 2>/dev/null; do kill -0 $!; read -rt 0.05 <> <(:) || :; done\n{ask}",
            programs.display()
        );
        let answer = bash(&block.place, source, &script, true).await;
        assert!(
            answer.starts_with("data: {") && answer.contains("data: [DONE]"),
            "{answer}"
        );
        Ok(())
    });
}

/// What the test makes of a command that it must not run: one that tells whether it would be understood.
fn harmless(command: &str, programs: &Path) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["make", ..] => Some(command.replacen("make", "make -n", 1)),
        // `--help` comes last: what stands before it is parsed first.
        ["cargo", "run", "-p", program, "--", arguments @ ..] => Some(format!(
            "{}/{program} {} --help",
            programs.display(),
            arguments.join(" ")
        )),
        [program, arguments @ ..] if *program == "tokenweir-gateway" => Some(format!(
            "{}/{program} {} --help",
            programs.display(),
            arguments.join(" ")
        )),
        ["cargo", "test", "-p", package, ..] => Some(format!("cargo pkgid -p {package}")),
        // A tool of others for golden files.
        ["cargo", "insta", ..] => None,
        // The bench parses its own page.
        [program, ..] if program.ends_with("/tokenweir-bench") => None,
        ["export", ..] => None,
        _ => panic!("a page has a command that no test knows how to check: {command}"),
    }
}

#[test]
fn commands_that_pages_name_and_no_test_runs_are_understood() {
    beside(async |world| -> TestResult {
        let programs = programs(&world).await?;
        let mut checked = 0;
        for block in blocks(&world.folders.source, "check") {
            for command in block.commands.iter().flat_map(|line| line.split(" && ")) {
                if let Some(script) = harmless(command, &programs) {
                    bash(&block.place, &world.folders.source, &script, false).await;
                    checked += 1;
                }
            }
        }
        assert!(checked > 15, "only {checked} commands were found");
        Ok(())
    });
}
