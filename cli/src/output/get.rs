//! Objects in a table.

use k8s_openapi::jiff::Timestamp;

use super::age::ago;
use super::state::Summary;
use super::table::{Cell, Table, Tone, clean};

/// How objects are shown.
#[derive(Debug, Clone, Copy)]
pub struct GetView {
    /// Whether the namespace is a column.
    pub namespaces: bool,
    /// Whether all that is known is shown, messages included.
    pub wide: bool,
    pub color: bool,
}

/// One row for each object: does it work, if not why and since when, and what it is.
pub fn get_table(summaries: &[Summary], view: GetView, now: Timestamp) -> String {
    let mut columns = vec![
        "NAME",
        "STATE",
        "ACCEPTED",
        "PROGRAMMED",
        "READY",
        "HEALTHY",
        "AGE",
        "ABOUT",
    ];
    if view.wide {
        columns.insert(3, "REFS");
        columns.push("MESSAGE");
    }
    if view.namespaces {
        columns.insert(0, "NAMESPACE");
    }
    let mut table = Table::left(columns);
    for summary in summaries {
        let condition = |name: &str| Cell::condition(summary.status(name));
        let mut row: Vec<Cell> = Vec::new();
        if view.namespaces {
            row.push(summary.namespace.as_str().into());
        }
        row.push(format!("{}/{}", summary.kind.singular(), summary.name).into());
        row.push(summary.state(now));
        row.push(condition("Accepted"));
        if view.wide {
            row.push(condition("ResolvedRefs"));
        }
        row.extend(["Programmed", "Ready", "Healthy"].map(condition));
        row.push(summary.created.map_or_else(String::new, |then| ago(then, now)).into());
        row.push(Cell::new(summary.about.as_str(), Tone::Faint));
        if view.wide {
            row.push(summary.message().into());
        }
        table.row(row);
    }
    table.render(view.color)
}

/// The names as `kubectl get -o name` prints them, one a line.
pub fn get_names(summaries: &[Summary]) -> String {
    let line = |summary: &Summary| format!("{}.tokenweir.dev/{}\n", summary.kind.singular(), clean(&summary.name));
    summaries.iter().map(line).collect()
}
