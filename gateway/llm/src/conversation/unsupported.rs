//! What a target cannot express.

use std::fmt;

/// Most fields that are named. A request of megabytes could hold a million of them, and nobody reads on.
const MOST_FIELDS: usize = 32;
/// Most bytes of a field's name, which the client chooses.
const LONGEST_FIELD: usize = 200;

/// Fields of a request that a provider's dialect has no place for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsupported {
    /// The client's fields, in the order in which they were met; never empty in an error. At most the first 32, and of a
    /// longer name the first 200 bytes.
    pub fields: Vec<Box<str>>,
    /// The dialect that has no place for them, as in "Anthropic Messages".
    pub target: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, fields) = (
            if self.fields.len() == 1 { "is" } else { "are" },
            self.fields.join("', '"),
        );
        write!(
            f,
            "'{fields}' {verb} not supported by the provider of this model, which speaks {}; leave it out, or set \
             dropUnsupported on the route",
            self.target
        )
    }
}

impl std::error::Error for Unsupported {}

/// Collects what a writer could not say.
#[derive(Debug)]
pub struct Report {
    found: Unsupported,
}

impl Report {
    /// An empty report about a dialect.
    pub const fn about(target: &'static str) -> Self {
        Self {
            found: Unsupported {
                fields: Vec::new(),
                target,
            },
        }
    }

    /// A field of the client's that the target has no place for.
    pub fn add(&mut self, field: impl Into<Box<str>>) {
        if self.found.fields.len() >= MOST_FIELDS {
            return;
        }
        let mut field = field.into();
        if field.len() > LONGEST_FIELD {
            field = field[..field.floor_char_boundary(LONGEST_FIELD)].into();
        }
        if !self.found.fields.contains(&field) {
            self.found.fields.push(field);
        }
    }

    /// The fields, if there are any.
    pub fn finish(self) -> Result<(), Unsupported> {
        if self.found.fields.is_empty() {
            Ok(())
        } else {
            Err(self.found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_stays_small_whatever_the_client_sends() {
        let mut report = Report::about("Gemini");
        report.add("ü".repeat(1000));
        for index in 0..100_000 {
            report.add(format!("field{index}"));
        }
        let found = report.finish().unwrap_err();
        assert_eq!(found.fields.len(), 32);
        assert!(found.to_string().len() < 1000);
    }

    #[test]
    fn a_report_names_each_field_once_and_is_empty_without_any() {
        assert!(Report::about("Gemini").finish().is_ok());
        let mut report = Report::about("Gemini");
        report.add("seed");
        report.add("seed");
        report.add("messages[1].content[0]");
        let found = report.finish().unwrap_err();
        assert_eq!(
            found.to_string(),
            "'seed', 'messages[1].content[0]' are not supported by the provider of this model, which speaks Gemini; \
             leave it out, or set dropUnsupported on the route"
        );
    }
}
