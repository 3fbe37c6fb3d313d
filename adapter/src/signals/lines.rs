//! Cuts a byte stream into lines.

use bytes::{Buf, Bytes, BytesMut};

/// A frame that lists ten thousand tenants with full digests stays under this; what is longer is not a frame.
const MAX_LINE: usize = 32 << 20;

/// A line that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {MAX_LINE} bytes")]
pub struct LineTooLong;

/// Collects chunks and gives whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    /// Bytes at the front that are known to hold no line end.
    searched: usize,
}

impl Lines {
    /// Adds a chunk.
    pub fn push(&mut self, chunk: &Bytes) -> Result<(), LineTooLong> {
        if self.buffer.len() + chunk.len() > MAX_LINE {
            return Err(LineTooLong);
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The next whole line that is not blank, without its end.
    pub fn next_line(&mut self) -> Option<BytesMut> {
        loop {
            let at = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(at) = at.map(|at| at + self.searched) else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(at);
            self.buffer.advance(1);
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(&Bytes::copy_from_slice(chunk.as_bytes())).unwrap();
            while let Some(line) = lines.next_line() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        found
    }

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        assert_eq!(lines(&["a\nb", "b\n", "\n\r\n", "c", "c", "c\nd"]), ["a", "bb", "ccc"]);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut lines = Lines::default();
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let refused = (0..64).find_map(|n| lines.push(&chunk).err().map(|_| n));
        assert_eq!(refused, Some(32));
    }
}
