//! Versions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::table::clean;

/// A line for this program, and one for each pod with the version it tells or why it tells none.
pub fn version_text(own: &str, pods: &BTreeMap<String, String>) -> String {
    let mut out = format!("tokenweirctl {own}\n");
    for (pod, version) in pods {
        let _ = writeln!(out, "{}", clean(&format!("gateway {pod} {version}")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pod_has_a_line_that_it_cannot_break_out_of() {
        let pods = [
            ("llm/edge-0", "0.1.0"),
            ("llm/edge-1", "0\x1b[2J\u{9b}2J\ngateway llm/other 9"),
        ];
        let pods = pods.map(|(pod, version)| (pod.to_owned(), version.to_owned()));
        assert_eq!(
            version_text("0.1.0", &BTreeMap::from(pods)),
            "tokenweirctl 0.1.0\ngateway llm/edge-0 0.1.0\ngateway llm/edge-1 0[2J2J gateway llm/other 9\n"
        );
    }
}
