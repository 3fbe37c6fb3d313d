//! How a word of the command line goes on, as kubectl asks its plugins.
//!
//! kubectl calls `kubectl_complete-NAME` with the words so far, the unfinished one last, and expects one candidate a line,
//! with a tab and its meaning behind it, and at the end a directive.

use clap::{Arg, Command};

use crate::kind::Kind;

/// Candidates are all there is: no file names in their place. The number is cobra's, which kubectl is made with.
const NO_FILES: &str = ":4";
/// File names are what is wanted.
const FILES: &str = ":0";

/// The answer for these words.
pub fn complete(root: &Command, words: &[String]) -> String {
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", before_nothing()),
    };
    let mut command = root.clone();
    command.build();
    let mut current = &command;
    let mut open: Option<&Arg> = None;
    let mut positionals = 0;
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            open = flag(current, word).filter(|arg| arg.get_action().takes_values() && !word.contains('='));
        } else if let Some(next) = current.find_subcommand(word) {
            (current, positionals) = (next, 0);
        } else {
            positionals += 1;
        }
    }
    let candidates = match open {
        Some(arg) => values(arg),
        None if last.starts_with('-') => Some(flags(current)),
        None if current.has_subcommands() => Some(subcommands(current)),
        None => current
            .get_positionals()
            .nth(positionals)
            .map_or_else(|| Some(Vec::new()), values),
    };
    let Some(candidates) = candidates else {
        return format!("{FILES}\n");
    };
    let mut out = String::new();
    for (value, meaning) in candidates.into_iter().filter(|(value, _)| value.starts_with(last)) {
        out.push_str(&value);
        if !meaning.is_empty() {
            out.extend(["\t", meaning.as_str()]);
        }
        out.push('\n');
    }
    out.push_str(NO_FILES);
    out.push('\n');
    out
}

const fn before_nothing() -> &'static [String] {
    &[]
}

type Candidate = (String, String);

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command.get_arguments().find(|arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg
            .get_short()
            .is_some_and(|short| name.strip_prefix('-') == Some(short.to_string().as_str()));
        long || short
    })
}

fn meaning(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), meaning(arg.get_help()))))
        .collect()
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown
        .map(|sub| (sub.get_name().to_owned(), meaning(sub.get_about())))
        .collect()
}

/// The values of an argument; `None` where files are wanted.
fn values(arg: &Arg) -> Option<Vec<Candidate>> {
    let named = arg.get_value_names().and_then(|names| names.first());
    match named.map(clap::builder::Str::as_str) {
        Some("KIND") => Some(
            Kind::ALL
                .map(|kind| (kind.singular().to_owned(), kind.name().to_owned()))
                .to_vec(),
        ),
        Some("FILE" | "DIR" | "PATH") => None,
        _ => {
            let values = arg.get_possible_values();
            let shown = values.iter().filter(|value| !value.is_hide_set());
            Some(
                shown
                    .map(|value| (value.get_name().to_owned(), meaning(value.get_help())))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        complete(&crate::cli::command(), &words)
    }

    #[test]
    fn commands_flags_values_and_kinds_go_on() {
        let commands = asked(&["de"]);
        assert!(
            commands.starts_with("describe\t") && commands.ends_with("\n:4\n"),
            "{commands}"
        );
        assert_eq!(commands.lines().count(), 2);
        assert!(asked(&["-n", "llm", "ro"]).starts_with("routes\t"));
        assert!(asked(&["get", "--outp"]).starts_with("--output\t"));
        assert!(asked(&["get", "-o", "y"]).starts_with("yaml\t"));
        assert!(asked(&["get", "-A", "model"]).contains("modelroute\tModelRoute\n"));
        assert_eq!(asked(&["get", "modelroute", "x"]), ":4\n", "names are not asked for");
        assert_eq!(asked(&["check", "-f", ""]), ":0\n");
        assert!(asked(&[]).contains("get\t"));
    }
}
