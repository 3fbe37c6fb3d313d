//! Runs the rules over this workspace, and shows that each can fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokenweir_checks::{
    Member, direction_violations, members, pages, size_violations, source_files, unowned_commands, unreached_pages,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn crates_depend_in_the_drawn_directions_only() {
    let members = members(&root()).unwrap();
    assert!(
        members.iter().any(|m| m.name == "tokenweir-gateway"),
        "the workspace was not read"
    );
    assert_eq!(direction_violations(&members), Vec::<String>::new());
}

#[test]
fn a_wrong_direction_is_reported() {
    let member = |name: &str, dependencies: &[&str]| Member {
        name: name.into(),
        dependencies: dependencies.iter().map(ToString::to_string).collect(),
        dev_dependencies: BTreeSet::default(),
    };
    let wrong = [
        member("tokenweir-config", &["tokenweir-gateway", "kube"]),
        member("tokenweir-gateway", &["tokenweir-config"]),
        member("tokenweir-stranger", &[]),
    ];
    assert_eq!(
        direction_violations(&wrong),
        [
            "tokenweir-config must not depend on tokenweir-gateway",
            "tokenweir-config is pure and must not depend on kube",
            "tokenweir-stranger has no line in the table of directions",
        ]
    );
}

#[test]
fn source_files_stay_small() {
    let files = source_files(&root()).unwrap();
    assert!(files.len() > 10, "the sources were not read");
    assert_eq!(size_violations(&files), Vec::<String>::new());
}

#[test]
fn a_long_file_is_reported_and_its_tests_do_not_count() {
    let long = "x\n".repeat(501);
    let tested = format!("{}\n#[cfg(test)]\nmod tests {{\n{long}}}", "x\n".repeat(10));
    let files = [
        (PathBuf::from("a.rs"), long),
        (PathBuf::from("b.rs"), tested),
        (PathBuf::from("c/src/main.rs"), "x\n".repeat(21)),
    ];
    assert_eq!(
        size_violations(&files),
        [
            "a.rs has 501 lines, 500 are allowed",
            "c/src/main.rs has 21 lines, 20 are allowed"
        ]
    );
}

#[test]
fn every_command_of_the_documentation_is_run_or_parsed_by_a_test() {
    let pages = pages(&root()).unwrap();
    assert!(pages.len() > 10, "the pages were not read");
    assert_eq!(unowned_commands(&pages), Vec::<String>::new());
}

#[test]
fn a_block_that_nobody_runs_is_reported() {
    let page = "```sh run\nls\n```\n```sh\nls\n```\n```\nls\n```\n```sh sometimes\n```\n```yaml\n```\n";
    assert_eq!(
        unowned_commands(&[(PathBuf::from("docs/a.md"), page.to_owned())]),
        [
            "docs/a.md:4 has commands and does not say who runs them: sh run, sh alone, sh cluster, sh check",
            "docs/a.md:7 does not say what language the block is in",
            "docs/a.md:10 has commands and does not say who runs them: sh run, sh alone, sh cluster, sh check",
        ]
    );
}

#[test]
fn the_readme_leads_to_every_page_of_the_documentation() {
    let pages = pages(&root()).unwrap();
    assert!(pages.len() > 10, "the pages were not read");
    assert_eq!(unreached_pages(&pages), Vec::<String>::new());
}

#[test]
fn a_page_that_no_link_leads_to_is_reported() {
    let pages = [
        (
            "README.md",
            "[one](docs/one.md#part) and [elsewhere](https://example.com/docs/alone.md)",
        ),
        ("docs/one.md", "[two](./two.md) [one](one.md)"),
        ("docs/two.md", "[back](../README.md) [contributing](../CONTRIBUTING.md)"),
        ("CONTRIBUTING.md", "docs/alone.md without a link"),
        ("docs/alone.md", "[one](one.md)"),
    ];
    let pages = pages.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
    assert_eq!(
        unreached_pages(&pages),
        ["no link from the README leads to docs/alone.md"]
    );
}
