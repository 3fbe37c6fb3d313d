//! Runs other programs and turns their failure into an error a person can act on.

use std::ffi::OsStr;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::{ClusterError, Result};

/// How much of a failed command's output an error carries, in bytes.
const ERROR_OUTPUT_LIMIT: usize = 4000;

/// Runs a command to its end and returns its standard output as text.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let output = run(command, None).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with `input` on its standard input and returns its standard output as text.
pub(crate) async fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let output = run(command, Some(input)).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command can be run and ends with success. Its output is dropped.
pub(crate) async fn succeeds(command: &mut Command) -> bool {
    let run = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    // A container engine that hangs counts as one that does not answer.
    matches!(tokio::time::timeout(std::time::Duration::from_secs(10), run).await, Ok(Ok(status)) if status.success())
}

/// Runs a command whose output a person shall see as it comes.
pub(crate) async fn streamed(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(spawn_error(command))?;
    if status.success() {
        return Ok(());
    }
    Err(ClusterError::Command {
        command: shown,
        status: status.to_string(),
        output: "its output stands above".to_owned(),
    })
}

async fn run(command: &mut Command, input: Option<&str>) -> Result<Output> {
    let shown = describe(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(spawn_error(command))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that stops reading early reports why through its exit status.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(spawn_error(command))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(ClusterError::Command {
        command: shown,
        status: output.status.to_string(),
        output: tail(text.trim(), ERROR_OUTPUT_LIMIT).to_owned(),
    })
}

fn spawn_error(command: &Command) -> impl FnOnce(std::io::Error) -> ClusterError + use<> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    move |source| ClusterError::Spawn { program, source }
}

fn describe(command: &Command) -> String {
    let std = command.as_std();
    let words: Vec<_> = std::iter::once(std.get_program())
        .chain(std.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let mut line = words.join(" ");
    if line.len() > 300 {
        line.truncate(line.floor_char_boundary(300));
        line.push('…');
    }
    line
}

/// The last `limit` bytes of a text, cut at a character boundary.
pub(crate) fn tail(text: &str, limit: usize) -> &str {
    let start = text.len().saturating_sub(limit);
    &text[text.ceil_char_boundary(start)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_never_cuts_a_character() {
        assert_eq!(tail("aé", 1), "");
        assert_eq!(tail("aé", 2), "é");
        assert_eq!(tail("abc", 10), "abc");
    }

    #[tokio::test]
    async fn a_failed_command_says_what_ran_and_what_it_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3") && error.contains("broken"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = output(&mut Command::new("/nonexistent/program"))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nonexistent/program") && error.contains("tools/setup"),
            "{error}"
        );
    }
}
