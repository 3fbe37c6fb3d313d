//! Rows as the text format of PostgreSQL's `COPY`: columns between tabs, rows between line feeds, `\N` for null.

use std::fmt::{Display, Write};

use tokenweir_config::money::NanoUsd;

use super::schema;
use crate::{Row, Text};

/// Appends a row, in the order of [`schema::COLUMNS`].
pub(super) fn append(row: &Row, to: &mut String) {
    let tokens = &row.tokens;
    let (outcome, error) = schema::outcome(row);
    let mut line = Line { to, first: true };
    line.value(row.at_us);
    line.value(row.id.request);
    line.value(row.id.attempt);
    line.text(row.request_id.as_str());
    line.text(row.tenant.as_str());
    for text in [&row.key, &row.end_user, &row.operation, &row.workflow] {
        line.text(text.as_ref().map_or("", Text::as_str));
    }
    for text in [&row.route, &row.provider, &row.model, &row.call] {
        line.text(text.as_str());
    }
    line.value(if row.stream { 't' } else { 'f' });
    line.text(schema::usage(row));
    for count in [
        tokens.prompt,
        tokens.completion,
        tokens.total,
        tokens.cached,
        tokens.cache_write,
        tokens.cache_write_1h,
        tokens.input_audio,
        tokens.reasoning,
        tokens.output_audio,
    ] {
        line.maybe(count);
    }
    line.text(row.price.as_ref().map_or("", Text::as_str));
    line.maybe(row.cost.map(NanoUsd::nanos));
    line.value(row.saved.cache.nanos());
    line.value(row.saved.coalescing.nanos());
    line.value(row.latency_us);
    line.maybe(row.first_token_us);
    line.maybe(row.status);
    line.text(outcome);
    line.text(error);
    to.push('\n');
}

struct Line<'a> {
    to: &'a mut String,
    first: bool,
}

impl Line<'_> {
    fn next(&mut self) {
        if !self.first {
            self.to.push('\t');
        }
        self.first = false;
    }

    fn value(&mut self, value: impl Display) {
        self.next();
        // Writing to a string does not fail.
        let _ = write!(self.to, "{value}");
    }

    fn maybe(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.value(value),
            None => self.value("\\N"),
        }
    }

    fn text(&mut self, text: &str) {
        self.next();
        for character in text.chars() {
            match character {
                '\\' => self.to.push_str("\\\\"),
                '\n' => self.to.push_str("\\n"),
                '\r' => self.to.push_str("\\r"),
                '\t' => self.to.push_str("\\t"),
                character => self.to.push(character),
            }
        }
    }
}
