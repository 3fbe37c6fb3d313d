//! The chart grants exactly what the code's table asks for, and says why.

use std::path::Path;

use serde::Deserialize;
use tokenweir_operator::rbac::{CERTIFICATES, INSTALLED, Rule, WATCHED};

#[derive(Debug, Deserialize)]
struct Role {
    #[serde(default)]
    rules: Vec<Granted>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Granted {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: Vec<String>,
}

fn template() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tokenweir/templates/operator-rbac.yaml");
    std::fs::read_to_string(path).unwrap()
}

/// The rules of every role in the template, in its order. The rules themselves hold no template expressions.
fn granted() -> Vec<Vec<Granted>> {
    template()
        .split("\n---\n")
        .map(|document| {
            let lines = document.lines().filter(|line| !line.contains("{{"));
            lines.collect::<Vec<_>>().join("\n")
        })
        .filter_map(|document| serde_saphyr::from_str::<Role>(&document).ok())
        .map(|role| role.rules)
        .filter(|rules| !rules.is_empty())
        .collect()
}

fn asked(rules: &[Rule]) -> Vec<Granted> {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<String>>();
    rules
        .iter()
        .map(|rule| Granted {
            api_groups: vec![rule.group.to_owned()],
            resources: owned(rule.resources),
            resource_names: owned(rule.names),
            verbs: owned(rule.verbs),
        })
        .collect()
}

#[test]
fn the_chart_grants_what_the_code_asks_for_and_nothing_else() {
    assert_eq!(granted(), [asked(WATCHED), asked(INSTALLED), asked(CERTIFICATES)]);
}

#[test]
fn each_rule_of_the_chart_has_its_reason_beside_it() {
    let template = template();
    // Comments are wrapped; one line of running text compares them.
    let comments: Vec<String> = template
        .split("- apiGroups:")
        .map(|part| {
            let lines = part.lines().rev().skip(1).map(str::trim);
            let mut words: Vec<&str> = lines.map_while(|line| line.strip_prefix("# ")).collect();
            words.reverse();
            words.join(" ").trim_end_matches('.').to_lowercase()
        })
        .collect();
    for rule in WATCHED.iter().chain(INSTALLED).chain(CERTIFICATES) {
        let reason = rule.reason.to_lowercase();
        assert!(
            comments.contains(&reason),
            "no rule says {reason:?}, only {comments:#?}"
        );
    }
}

#[test]
fn no_rule_uses_a_wildcard() {
    for rule in WATCHED.iter().chain(INSTALLED).chain(CERTIFICATES) {
        let words = rule.verbs.iter().chain(rule.resources).chain([&rule.group]);
        assert!(words.into_iter().all(|word| !word.contains('*')), "{rule:?}");
    }
}
