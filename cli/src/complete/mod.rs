//! How a word of the command line goes on, as kubectl asks its plugins, and the shells this program.
//!
//! Asked with the words so far, the unfinished one last, it answers with one candidate a line, with a tab and its meaning
//! behind it, and at the end a directive.

mod ask;

use clap::{Arg, ArgMatches, Command, FromArgMatches as _};

use crate::cli::Global;
use crate::kind::{Kind, Subject};

/// Candidates are all there is: no file names in their place. The number is cobra's, which kubectl is made with.
const NO_FILES: &str = ":4";
/// File names are what is wanted.
const FILES: &str = ":0";

type Candidate = (String, String);

/// Names that only the cluster, or the kubeconfig, knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// Of objects; this stands before each in the word.
    Objects {
        /// Their kind.
        kind: Kind,
        /// The kind with its slash, or nothing.
        before: String,
    },
    Namespaces,
    Contexts,
}

/// How a word may go on.
#[derive(Debug, PartialEq, Eq)]
enum Ways {
    These(Vec<Candidate>),
    Names(Wanted),
    Files,
}

/// The answer for these words. Asks the cluster for names, for a short time.
pub fn complete(root: &Command, words: &[String]) -> String {
    let (last, before) = split(words);
    let (last, prefix, ways) = ways(root, last, before);
    let candidates = match ways {
        Ways::Files => return format!("{FILES}\n"),
        Ways::These(candidates) => candidates,
        Ways::Names(wanted) => global(root, before).map_or_else(Vec::new, |global| ask::names(&wanted, &global)),
    };
    let mut out = String::new();
    for (value, meaning) in candidates.into_iter().filter(|(value, _)| value.starts_with(last)) {
        out.extend([prefix, value.as_str()]);
        if !meaning.is_empty() {
            out.extend(["\t", meaning.as_str()]);
        }
        out.push('\n');
    }
    out.push_str(NO_FILES);
    out.push('\n');
    out
}

/// The unfinished word, and those before it.
fn split(words: &[String]) -> (&str, &[String]) {
    match words.split_last() {
        Some((last, before)) => (last, before),
        None => ("", &[]),
    }
}

/// The flags of all commands, as far as the words say them.
fn global(root: &Command, words: &[String]) -> Option<Global> {
    let name = root.get_name().to_owned();
    let all = std::iter::once(name).chain(words.iter().cloned());
    let mut matches: ArgMatches = root.clone().ignore_errors(true).try_get_matches_from(all).ok()?;
    // What stands behind a command stands in its own matches as well.
    Global::from_arg_matches_mut(&mut matches).ok()
}

/// What of the last word goes on, what stands before that in it, and how.
fn ways<'a>(root: &Command, last: &'a str, before: &[String]) -> (&'a str, &'a str, Ways) {
    let mut command = root.clone();
    command.build();
    let mut current = &command;
    let mut open: Option<&Arg> = None;
    let mut positionals: Vec<&str> = Vec::new();
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            open = flag(current, word).filter(|arg| arg.get_action().takes_values() && !word.contains('='));
        } else if let Some(next) = current.find_subcommand(word) {
            (current, positionals) = (next, Vec::new());
        } else {
            positionals.push(word);
        }
    }
    if let Some(arg) = open {
        return (last, "", values(arg, last, &[]));
    }
    if let Some((name, value)) = last.split_once('=')
        && let Some(arg) = flag(current, name).filter(|arg| name.starts_with("--") && arg.get_action().takes_values())
    {
        return (value, &last[..=name.len()], values(arg, value, &[]));
    }
    if last.starts_with('-') {
        return (last, "", Ways::These(flags(current)));
    }
    if current.has_subcommands() {
        return (last, "", Ways::These(subcommands(current)));
    }
    let mut known = current.get_positionals();
    let next = known.nth(positionals.len());
    // The last one may be given many times.
    let many = || {
        current
            .get_positionals()
            .last()
            .filter(|arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1))
    };
    let ways = match next.or_else(many) {
        Some(arg) => values(arg, last, &positionals),
        None => Ways::These(Vec::new()),
    };
    (last, "", ways)
}

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

/// The values of an argument, by what its help calls them; `before` are the positional words before it.
fn values(arg: &Arg, last: &str, before: &[&str]) -> Ways {
    let named = arg.get_value_names().and_then(|names| names.first());
    let named = named.map(clap::builder::Str::as_str).unwrap_or_default();
    let objects = |kind, before: &str| {
        Ways::Names(Wanted::Objects {
            kind,
            before: before.to_owned(),
        })
    };
    match (named, arg.get_id().as_str()) {
        ("KIND", _) => match last.split_once('/') {
            Some((kind, _)) => kind.parse().map_or_else(
                |_| Ways::These(Vec::new()),
                |parsed| objects(parsed, &last[..=kind.len()]),
            ),
            None => Ways::These(
                Kind::ALL
                    .map(|kind| (kind.singular().to_owned(), kind.name().to_owned()))
                    .to_vec(),
            ),
        },
        ("FILE" | "DIR" | "PATH", _) => Ways::Files,
        (_, "namespace" | "install_namespace") => Ways::Names(Wanted::Namespaces),
        (_, "context") => Ways::Names(Wanted::Contexts),
        (_, "gateway") => objects(Kind::Gateway, ""),
        (_, "tenant") => objects(Kind::Tenant, ""),
        // Names of objects, behind their kind.
        (_, "names" | "name") => match before.first().and_then(|word| word.parse::<Subject>().ok()) {
            Some(Subject { kind, name: None }) => objects(kind, ""),
            _ => Ways::These(Vec::new()),
        },
        _ => {
            let values = arg.get_possible_values();
            let shown = values.iter().filter(|value| !value.is_hide_set());
            Ways::These(
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

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn asked(line: &[&str]) -> String {
        complete(&crate::cli::command(), &words(line))
    }

    fn wanted(line: &[&str]) -> Option<Wanted> {
        let line = words(line);
        let (last, before) = split(&line);
        match ways(&crate::cli::command(), last, before) {
            (_, _, Ways::Names(wanted)) => Some(wanted),
            _ => None,
        }
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
        assert!(asked(&["get", "--output=y"]).starts_with("--output=yaml\t"));
        assert!(asked(&["get", "-A", "model"]).contains("modelroute\tModelRoute\n"));
        assert_eq!(asked(&["check", "-f", ""]), ":0\n");
        assert_eq!(asked(&["check", "--filename="]), ":0\n");
        assert!(asked(&[]).contains("get\t"));
    }

    #[test]
    fn names_of_objects_namespaces_and_contexts_are_asked_for_where_they_stand() {
        let objects = |kind, before: &str| {
            Some(Wanted::Objects {
                kind,
                before: before.to_owned(),
            })
        };
        assert_eq!(wanted(&["get", "modelroute", "x"]), objects(Kind::Route, ""));
        assert_eq!(wanted(&["get", "routes", "one", "two", ""]), objects(Kind::Route, ""));
        assert_eq!(wanted(&["get", "-n", "llm", "tn/a"]), objects(Kind::Tenant, "tn/"));
        assert_eq!(wanted(&["describe", "provider", ""]), objects(Kind::Provider, ""));
        assert_eq!(wanted(&["describe", "provider", "sim", ""]), None, "it shows one");
        assert_eq!(wanted(&["get", "route/chat", ""]), None, "the name is there");
        assert_eq!(wanted(&["get", "pods", ""]), None, "not a kind of ours");
        assert_eq!(wanted(&["top", "--gateway", "e"]), objects(Kind::Gateway, ""));
        assert_eq!(wanted(&["chat", "--tenant="]), objects(Kind::Tenant, ""));
        assert_eq!(wanted(&["get", "-n", ""]), Some(Wanted::Namespaces));
        assert_eq!(wanted(&["--install-namespace", ""]), Some(Wanted::Namespaces));
        assert_eq!(wanted(&["--context", "k"]), Some(Wanted::Contexts));
        assert_eq!(wanted(&["chat", "hello"]), None);
    }

    #[test]
    fn the_flags_of_all_commands_are_read_from_a_line_that_is_not_finished() {
        for line in [
            &["get", "routes", "-n", "llm", "--context", "a", "--as", "eve"][..],
            &["-n", "llm", "--context=a", "--as=eve", "describe", "route"],
            &["-n", "llm", "get", "--context", "a", "--as", "eve", "--gateway"],
        ] {
            let global = global(&crate::cli::command(), &words(line)).unwrap();
            assert_eq!(global.namespace.as_deref(), Some("llm"), "{line:?}");
            assert_eq!(global.context.as_deref(), Some("a"), "{line:?}");
            assert_eq!(global.impersonate.as_deref(), Some("eve"), "{line:?}");
        }
        assert!(global(&crate::cli::command(), &[]).is_some());
    }
}
