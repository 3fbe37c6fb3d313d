//! Figures in a document, each between two markers: a command writes its own and leaves the rest as it is.

use std::path::Path;

use crate::error::BenchError;

/// What a command has measured, as Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name in the markers.
    pub name: &'static str,
    /// The figures. Empty: there are none this time, and those in a document stay.
    pub text: String,
}

impl Section {
    /// Figures under a name.
    pub const fn new(name: &'static str, text: String) -> Self {
        Self { name, text }
    }
}

/// What stands before the figures of that name.
fn begin(name: &str) -> String {
    format!("<!-- figures: {name} -->\n")
}

/// What stands after them.
fn end(name: &str) -> String {
    format!("<!-- end of figures: {name} -->\n")
}

/// The document with these figures in place of those between their markers. `Err` has the name that has no markers.
pub fn fill(document: &str, sections: &[Section]) -> Result<String, &'static str> {
    let mut out = document.to_owned();
    for Section { name, text } in sections.iter().filter(|section| !section.text.is_empty()) {
        let filled = out.split_once(&begin(name)).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(&end(name))?;
            Some(
                [
                    before,
                    &begin(name),
                    "\n",
                    text.trim_matches('\n'),
                    "\n\n",
                    &end(name),
                    after,
                ]
                .concat(),
            )
        });
        out = filled.ok_or(*name)?;
    }
    Ok(out)
}

/// Writes figures into a file.
pub fn write(path: &Path, sections: &[Section]) -> Result<(), BenchError> {
    let failed = |source| BenchError::File {
        path: path.into(),
        source,
    };
    let document = std::fs::read_to_string(path).map_err(failed)?;
    let filled = fill(&document, sections).map_err(|name| BenchError::Markers {
        path: path.into(),
        name,
    })?;
    std::fs::write(path, filled).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n<!-- figures: a -->\nold\n<!-- end of figures: a -->\nwords\n<!-- figures: b -->\n<!-- end of figures: b -->\n";

    #[test]
    fn figures_replace_those_between_their_markers_and_nothing_else() {
        let sections = [Section::new("b", "new\n".into()), Section::new("a", String::new())];
        let filled = fill(DOCUMENT, &sections).unwrap();
        let expected = DOCUMENT.replace("<!-- figures: b -->\n", "<!-- figures: b -->\n\nnew\n\n");
        assert_eq!(filled, expected);
        assert_eq!(fill(&filled, &sections).unwrap(), expected, "again is the same");
    }

    #[test]
    fn figures_without_markers_are_refused_by_name() {
        assert_eq!(fill(DOCUMENT, &[Section::new("c", "1".into())]), Err("c"));
        assert_eq!(
            fill("<!-- figures: a -->\n", &[Section::new("a", "1".into())]),
            Err("a")
        );
    }

    #[test]
    fn the_performance_document_has_a_place_for_all_figures() {
        let document = include_str!("../../docs/performance.md");
        for name in ["closed", "open", "start", "peers", "memory", "profile"] {
            assert!(fill(document, &[Section::new(name, "1".into())]).is_ok(), "{name}");
        }
    }
}
