//! Where the front door speaks: a terminal with colours and a block that is drawn anew, or plain lines for a pipe.

use std::io::{IsTerminal, Write};

/// An output for a person.
pub struct Terminal {
    output: Box<dyn Write + Send>,
    redraws: bool,
    colours: bool,
    drawn: usize,
}

impl Terminal {
    /// Standard output: colours on a terminal unless `NO_COLOR` is set, plain lines elsewhere.
    pub fn stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            output: Box::new(std::io::stdout()),
            redraws: terminal,
            colours: terminal && !no_colour,
            drawn: 0,
        }
    }

    /// Plain lines into anything.
    pub fn plain(output: impl Write + Send + 'static) -> Self {
        Self {
            output: Box::new(output),
            redraws: false,
            colours: false,
            drawn: 0,
        }
    }

    /// Whether a block can be drawn over the one before.
    pub fn redraws(&self) -> bool {
        self.redraws
    }

    /// A line of text.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.drawn = 0;
        self.write(&format!("{}\n", text.as_ref()));
    }

    /// A line that begins a part of the output.
    pub fn heading(&mut self, text: &str) {
        let line = if self.colours {
            format!("\n\x1b[1m{text}\x1b[0m")
        } else {
            format!("\n{text}")
        };
        self.line(line);
    }

    /// Text without a line end, shown at once.
    pub fn piece(&mut self, text: &str) {
        self.write(text);
    }

    /// A block of lines, drawn over the block before if nothing was written since.
    pub fn block(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn > 0 {
            text = format!("\x1b[{}A\x1b[J", self.drawn);
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.write(&text);
        self.drawn = lines.len();
    }

    /// Text that stands out, where colours are shown.
    pub fn strong(&self, text: &str) -> String {
        if self.colours {
            format!("\x1b[1;36m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn write(&mut self, text: &str) {
        // A reader that has gone away is no reason to stop what the command does.
        let _ = self
            .output
            .write_all(text.as_bytes())
            .and_then(|()| self.output.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn plain_output_has_no_escape_sequences() {
        let buffer = Buffer::default();
        let mut terminal = Terminal::plain(buffer.clone());
        terminal.heading("Head");
        terminal.line(terminal.strong("text"));
        assert!(!terminal.redraws());
        assert_eq!(
            String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap(),
            "\nHead\ntext\n"
        );
    }

    #[test]
    fn a_block_is_drawn_over_the_one_before_it_only() {
        let buffer = Buffer::default();
        let mut terminal = Terminal {
            redraws: true,
            ..Terminal::plain(buffer.clone())
        };
        terminal.block(&["a".to_owned(), "b".to_owned()]);
        terminal.block(&["c".to_owned()]);
        terminal.line("between");
        terminal.block(&["d".to_owned()]);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "a\nb\n\x1b[2A\x1b[Jc\nbetween\nd\n");
    }
}
