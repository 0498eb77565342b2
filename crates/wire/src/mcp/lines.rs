//! Messages of a pipe: each a line.

use memchr::memchr;

/// The longest line: a result with a file of 12 MiB in base64.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a pipe, cut into lines.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// Held bytes in which no line ends.
    searched: usize,
    /// Whether the rest of a line that was too long is being skipped.
    is_skipping: bool,
}

/// What stands in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A message, without the line's end.
    Message(Vec<u8>),
    /// More than [`LINE_BYTES_MAX`]; the line is skipped.
    Long,
    /// A carriage return within it, which some readers take for a line's end.
    Broken,
}

impl Lines {
    /// Takes bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line that is not empty.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(end) = memchr(b'\n', &self.held[self.searched..]) else {
                return self.unended();
            };
            let end = self.searched + end;
            let rest = self.held.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.held, rest);
            self.searched = 0;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.len() > LINE_BYTES_MAX {
                return Some(Line::Long);
            }
            if memchr(b'\r', &line).is_some() {
                return Some(Line::Broken);
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Message(line));
            }
        }
    }

    /// What is left when no more bytes come: a last line without an end.
    pub fn finish(&mut self) -> Option<Line> {
        if self.held.is_empty() {
            return None;
        }
        self.push(b"\n");
        self.next_line()
    }

    fn unended(&mut self) -> Option<Line> {
        self.searched = self.held.len();
        if self.is_skipping {
            self.drop_held();
            return None;
        }
        (self.held.len() > LINE_BYTES_MAX + 1).then(|| {
            self.is_skipping = true;
            self.drop_held();
            Line::Long
        })
    }

    fn drop_held(&mut self) {
        self.held = Vec::new();
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, Line, Lines};

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(lines.finish());
        found
    }

    fn message(text: &str) -> Line {
        Line::Message(text.into())
    }

    #[test]
    fn lines_are_cut_alike_however_they_come() {
        let text = b"{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\"\r:3}\n{\"d\":4}";
        let expected = vec![
            message("{\"a\":1}"),
            message("{\"b\":2}"),
            Line::Broken,
            message("{\"d\":4}"),
        ];
        assert_eq!(lines(&[text]), expected);
        for size in [1, 2, 3, 5] {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(lines(&pieces), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_skipped() {
        let long = vec![b'a'; LINE_BYTES_MAX + 2];
        let expected = [Line::Long, message("{}")];
        assert_eq!(lines(&[&long, b"aaa\n{}\n"]), expected);
        let mut whole = long;
        whole.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&[&whole]), expected);
        let just = vec![b'a'; LINE_BYTES_MAX];
        assert_eq!(lines(&[&just, b"\n"]).len(), 1);
        assert_eq!(lines(&[&just, b"\r", b"\n"]), [Line::Message(just)]);
    }
}
