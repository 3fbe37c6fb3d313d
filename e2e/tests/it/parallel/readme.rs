//! The README's third path: the same YAML without a cluster, by the commands that stand there.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::pages::programs;
use crate::support::{TestResult, beside};

/// What a newcomer waits at most, from the command to the answer.
const PROMISE: Duration = Duration::from_secs(10);
const HEADING: &str = "### Without a cluster";

/// Waits for the gateway's banner and then does what it proposes, with what every machine with bash has.
const PROBE: &str = r#"
until grep -q 'API key' "$work/gateway.log" 2>/dev/null; do kill -0 %2 || { cat "$work/gateway.log"; exit 1; }; read -rt 0.05 <> <(:) || :; done
key="$(cat "$work/state/keys/acme-ci")"
body='{"model":"assistant","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello"}]}'
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' "$key" "${#body}" "$body" >&3
cat <&3
"#;

/// The shell lines of the README's section, with the programs of this build and a folder for what they write.
fn script(readme: &str, programs: &str) -> String {
    let section = readme.split_once(HEADING).expect("the README has the section").1;
    let block = section.split_once("```sh alone\n").expect("the section has commands").1;
    let (block, _) = block.split_once("```").expect("the block ends");
    let mut lines = vec![
        "set -u".to_owned(),
        "work=$(mktemp -d)".to_owned(),
        "trap 'kill $(jobs -p) 2>/dev/null; rm -rf \"$work\"' EXIT".to_owned(),
        "export XDG_STATE_HOME=$work/home".to_owned(),
        "ip link set lo up".to_owned(),
    ];
    for line in block.lines() {
        let (command, _) = line.split_once('#').unwrap_or((line, ""));
        let command = command.trim().replace("target/release/", programs);
        // The build is the test's own set-up; it must be the command for the programs that follow.
        if command.starts_with("cargo build") {
            assert_eq!(command, "cargo build --release -p tokenweir-sim -p tokenweir-gateway");
        } else if command.contains("tokenweir-gateway") {
            lines.push(format!(
                "{command} --state-dir \"$work/state\" >\"$work/gateway.log\" 2>&1 &"
            ));
        } else if let Some(command) = command.strip_suffix('&') {
            lines.push(format!("{command} >\"$work/sim.log\" 2>&1 &"));
        } else {
            panic!("the README has a command that this test does not know: {command}");
        }
    }
    lines.push(PROBE.to_owned());
    lines.join("\n")
}

#[test]
fn the_readme_serves_the_quickstart_without_a_cluster_within_ten_seconds() {
    beside(async |world| -> TestResult {
        let folder = programs(&world).await?;
        let readme = std::fs::read_to_string(world.folders.source.join("README.md")).expect("there is a README");
        let script = script(&readme, &format!("{}/", folder.display()));
        // The README's ports are fixed; in a network of its own they are free, whatever runs on the machine.
        let mut shell = Command::new("unshare");
        shell.args(["--net", "--map-root-user", "bash", "-c", &script]);
        shell
            .current_dir(&world.folders.source)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PROMISE, shell.output())
            .await
            .expect("an answer within ten seconds")
            .expect("unshare can be run");
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{answer}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            answer.contains("\"completion_tokens\"") && answer.contains("data: [DONE]"),
            "{answer}"
        );
        Ok(())
    });
}
