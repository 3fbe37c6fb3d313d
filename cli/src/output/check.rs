//! What a check has found.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tokenweir_crds::file::{Checked, FileError};

use super::table::{Tone, clean};

/// One line for each mistake, the notes, and what was looked at. `accepted`: so many objects the API server would take.
pub fn check_text(checked: &Checked, accepted: Option<usize>, color: bool) -> String {
    let mut out = String::new();
    for finding in &checked.findings {
        let line = clean(&finding.to_string());
        let _ = writeln!(out, "{}{line}", Tone::Bad.paint("error: ", color));
    }
    for note in &checked.notes {
        let _ = writeln!(
            out,
            "{}{}",
            Tone::Faint.paint("note: ", color),
            clean(&note.to_string())
        );
    }
    if checked.gateways.is_empty() && checked.findings.is_empty() {
        let text = "there is no LLMGateway among the files: each object was checked by itself, not what it names";
        let _ = writeln!(out, "{}{text}", Tone::Faint.paint("note: ", color));
    }
    let files = plural(checked.files.len(), "file");
    if checked.findings.is_empty() {
        let compiled = if checked.gateways.is_empty() {
            String::new()
        } else {
            format!(", compiled for {}", checked.gateways.join(", "))
        };
        let objects = plural(checked.objects, "object");
        let taken = accepted.map_or_else(String::new, |taken| {
            format!("; the API server would take {}", plural(taken, "object"))
        });
        let _ = writeln!(
            out,
            "{}: {objects} in {files}{compiled}{taken}",
            Tone::Good.paint("right", color)
        );
    } else {
        let found = plural(checked.findings.len(), "mistake");
        let _ = writeln!(out, "{}: {found} in {files}", Tone::Bad.paint("wrong", color));
    }
    out
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The same for programs. `line` and `column` are 0 where a mistake has no place, and `field` is empty.
pub fn check_json(checked: &Checked, accepted: Option<usize>) -> Value {
    let finding = |found: &FileError| {
        json!({
            "file": found.file.display().to_string(), "line": found.line, "column": found.column,
            "field": found.field, "message": found.message,
        })
    };
    let notes = checked
        .notes
        .iter()
        .map(|note| json!({"file": note.file.display().to_string(), "line": note.line, "message": note.message}));
    json!({
        "ok": checked.findings.is_empty(),
        "findings": checked.findings.iter().map(finding).collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
        "files": checked.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        "objects": checked.objects,
        "accepted": accepted,
        "gateways": checked.gateways,
    })
}
