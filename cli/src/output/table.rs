//! Tables as kubectl prints them: columns as wide as their widest cell, three spaces between them.

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: &str = "   ";

/// How a cell looks on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Faint,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Faint => "\x1b[2m",
        }
    }

    /// The text in this tone.
    pub fn paint(self, text: &str, color: bool) -> String {
        if color && self != Self::Plain && !text.is_empty() {
            format!("{}{text}\x1b[0m", self.code())
        } else {
            text.to_owned()
        }
    }
}

/// On which side of a column its cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    /// For numbers.
    Right,
}

/// One cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone. What a foreign text has of control characters is left out: they could rewrite the terminal.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: clean(&text.into()),
            tone,
        }
    }

    /// `True` and `False` of a condition, and `-` where there is none.
    pub fn condition(status: Option<&str>) -> Self {
        match status {
            Some("True") => Self::new("True", Tone::Good),
            Some(status) => Self::new(status, if status == "False" { Tone::Bad } else { Tone::Warn }),
            None => Self::new("-", Tone::Faint),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A text without control characters; line breaks become spaces.
pub fn clean(text: &str) -> String {
    let kept = text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c });
    kept.filter(|c| !c.is_control()).collect()
}

/// Rows under headings.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// A table whose cells all stand on the left.
    pub fn left(columns: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(columns.into_iter().map(|name| (name, Align::Left)))
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as lines, without spaces at their ends.
    pub fn render(&self, color: bool) -> String {
        let width = |n: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(n));
            let widest = cells.map(|cell| cell.text.width()).max().unwrap_or(0);
            widest.max(self.columns.get(n).map_or(0, |(name, _)| name.len()))
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let heading: Vec<Cell> = self.columns.iter().map(|(name, _)| Cell::from(*name)).collect();
        let mut out = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), width) in row.iter().zip(&self.columns).zip(&widths) {
                let gap = " ".repeat(width.saturating_sub(cell.text.width()));
                let text = cell.tone.paint(&cell.text, color);
                match align {
                    Align::Left => line.extend([text.as_str(), gap.as_str(), GAP]),
                    Align::Right => line.extend([gap.as_str(), text.as_str(), GAP]),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_colours_do_not_count() {
        let mut table = Table::new([("NAME", Align::Left), ("N", Align::Right), ("OK", Align::Left)]);
        table.row(vec!["long-name".into(), "5".into(), Cell::condition(Some("True"))]);
        table.row(vec!["x".into(), "120".into(), Cell::condition(None)]);
        assert_eq!(
            table.render(false),
            "NAME          N   OK\nlong-name     5   True\nx           120   -\n"
        );
        assert!(table.render(true).contains("\x1b[32mTrue\x1b[0m"));
    }

    #[test]
    fn what_takes_two_columns_or_none_is_counted_as_terminals_show_it() {
        let mut table = Table::left(["NAME", "OK"]);
        table.row(vec!["日本".into(), "a".into()]);
        table.row(vec!["e\u{301}".into(), "b".into()]);
        assert_eq!(table.render(false), "NAME   OK\n日本   a\ne\u{301}      b\n");
    }

    #[test]
    fn a_foreign_text_cannot_steer_the_terminal() {
        assert_eq!(Cell::from("a\x1b[2Jb\nc\u{9b}2J").text, "a[2Jb c2J");
    }
}
