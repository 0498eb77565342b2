//! Content at hand, and the lines and columns in it.

use std::collections::VecDeque;

/// What is looked at of a line, before and after a place: enough for what people write.
const LINE_BYTES_MAX: usize = 4096;

/// What stands between two parts of a patch that do not follow each other, so that nothing is seen
/// across them: a line of one control character, which is no sign of binary content.
const GAP: &[u8] = b"\n\x1c\n";

/// The bytes of a content from some offset on, and their places.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    /// The offset and place of the first byte.
    start: Mark,
    /// Where lines are counted anew, in the order of their offsets.
    jumps: VecDeque<Jump>,
    /// The last place that was asked for: the next one is mostly near.
    last: Mark,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// From 1.
    pub(crate) line: u64,
    /// From 1, in characters of UTF-8.
    pub(crate) column: u64,
}

/// A part of a file. Its end is the place after its last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: Spot,
    pub(crate) end: Spot,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: u64,
    spot: Spot,
}

#[derive(Debug)]
struct Jump {
    to: Mark,
    /// The line before it, which is not part of the content.
    above: Vec<u8>,
}

const BEGINNING: Mark = Mark {
    offset: 0,
    spot: Spot { line: 1, column: 1 },
};

impl Text {
    /// An empty text that is kept in `buffer`.
    pub(crate) fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            bytes: buffer,
            start: BEGINNING,
            jumps: VecDeque::new(),
            last: BEGINNING,
        }
    }

    /// A text of these bytes.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        let mut text = Self::new(Vec::new());
        text.bytes = bytes;
        text
    }

    /// The bytes at hand.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For reading into, at its end.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The buffer, for the next text.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// The line of the first byte.
    pub(crate) fn first_line(&self) -> u64 {
        let first = self.jumps.front().map(|jump| jump.to);
        first.map_or(self.start.spot.line, |mark| mark.spot.line)
    }

    /// Goes on at another line, below `above`. Returns what now stands between.
    pub(crate) fn jump(&mut self, line: u64, above: &[u8]) -> &'static [u8] {
        let gap = if self.end() == 0 { &[][..] } else { GAP };
        self.bytes.extend_from_slice(gap);
        self.jumps.push_back(Jump {
            to: Mark {
                offset: self.end(),
                spot: Spot { line, column: 1 },
            },
            above: above[..above.len().min(LINE_BYTES_MAX)].to_vec(),
        });
        gap
    }

    /// Forgets all but the last `keep` bytes, once there are many more.
    pub(crate) fn forget(&mut self, keep: usize) {
        if self.bytes.len() <= 2 * keep {
            return;
        }
        let drop = self.bytes.len() - keep;
        let start = self.mark(self.start.offset + drop as u64);
        self.bytes.drain(..drop);
        self.start = start;
        self.last = start;
        // The last jump before it may have the line above it.
        while self
            .jumps
            .get(1)
            .is_some_and(|jump| jump.to.offset <= start.offset)
        {
            self.jumps.pop_front();
        }
    }

    /// Where `len` bytes at `offset` are.
    pub(crate) fn region(&mut self, offset: u64, len: u64) -> Region {
        Region {
            start: self.mark(offset).spot,
            end: self.mark(offset + len).spot,
        }
    }

    /// The line at `offset`, cut off at `offset` and after it, and the line above.
    pub(crate) fn lines_at(&self, offset: u64) -> [&[u8]; 3] {
        let at = self.index(offset);
        let begin = self.jump_before(offset);
        let floor = begin.map_or(0, |jump| self.index(jump.to.offset));
        let start = line_start(&self.bytes[..at], floor);
        let rest = &self.bytes[at..self.bytes.len().min(at + LINE_BYTES_MAX)];
        let rest = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let above = match begin {
            Some(jump) if start == floor => &jump.above[..],
            _ => {
                let end = start.saturating_sub(1).max(floor);
                &self.bytes[line_start(&self.bytes[..end], floor)..end]
            }
        };
        [&self.bytes[start..at], rest, above]
    }

    fn end(&self) -> u64 {
        self.start.offset + self.bytes.len() as u64
    }

    fn index(&self, offset: u64) -> usize {
        let offset = offset.clamp(self.start.offset, self.end());
        (offset - self.start.offset) as usize
    }

    fn jump_before(&self, offset: u64) -> Option<&Jump> {
        let after = self.jumps.partition_point(|jump| jump.to.offset <= offset);
        after.checked_sub(1).map(|index| &self.jumps[index])
    }

    fn mark(&mut self, offset: u64) -> Mark {
        let mut from = match self.last.offset <= offset {
            true => self.last,
            false => self.start,
        };
        if let Some(jump) = self.jump_before(offset)
            && jump.to.offset >= from.offset
        {
            from = jump.to;
        }
        let passed = &self.bytes[self.index(from.offset)..self.index(offset)];
        let lines = memchr::memchr_iter(b'\n', passed).count() as u64;
        let spot = match memchr::memrchr(b'\n', passed) {
            None => Spot {
                line: from.spot.line,
                column: from.spot.column + characters(passed),
            },
            Some(newline) => Spot {
                line: from.spot.line + lines,
                column: 1 + characters(&passed[newline + 1..]),
            },
        };
        self.last = Mark { offset, spot };
        self.last
    }
}

/// Where the line begins whose beginning is in `before`, or as far back as is looked at.
fn line_start(before: &[u8], floor: usize) -> usize {
    let floor = floor.max(before.len().saturating_sub(LINE_BYTES_MAX));
    let newline = memchr::memrchr(b'\n', &before[floor..]);
    newline.map_or(floor, |at| floor + at + 1)
}

/// Bytes that begin a character; in other encodings than UTF-8 nearly so.
fn characters(bytes: &[u8]) -> u64 {
    let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
    bytes.iter().filter(begins).count() as u64
}

#[cfg(test)]
mod tests {
    use super::{Region, Spot, Text};

    fn text(parts: &[(u64, &str)]) -> Text {
        let mut text = Text::new(Vec::new());
        for (line, part) in parts {
            if *line > 0 {
                text.jump(*line, b"above");
            }
            text.buffer().extend_from_slice(part.as_bytes());
        }
        text
    }

    fn check(text: &mut Text, part: &str, line: u64, column: u64) {
        let at = memchr::memmem::find(text.bytes(), part.as_bytes()).expect("it is there");
        let offset = text.start.offset + at as u64;
        let region = text.region(offset, part.len() as u64);
        let end_column = column + part.chars().count() as u64;
        let end = Spot {
            line,
            column: end_column,
        };
        let start = Spot { line, column };
        assert_eq!(region, Region { start, end }, "{part}");
    }

    #[test]
    fn places_are_told_in_any_order() {
        let mut text = text(&[(0, "one\ntwö x\n\nfour here")]);
        for (part, line, column) in [("here", 4, 6), ("one", 1, 1), ("x", 2, 5), ("four", 4, 1)] {
            check(&mut text, part, line, column);
        }
    }

    #[test]
    fn parts_of_a_patch_have_their_own_lines() {
        let mut text = text(&[(7, "seven\neight\n"), (100, "hundred\n"), (3, "three")]);
        for (part, line) in [("hundred", 100), ("seven", 7), ("three", 3), ("eight", 8)] {
            check(&mut text, part, line, 1);
        }
        assert_eq!(text.first_line(), 7);
    }

    #[test]
    fn what_is_forgotten_still_counts() {
        let mut text = text(&[(5, &"line\n".repeat(100)), (0, "äö end")]);
        text.forget(8);
        check(&mut text, "end", 105, 4);
        assert_eq!(text.bytes().len(), 8);
    }

    #[test]
    fn the_line_and_the_one_above_are_told() {
        for (parts, part, expected) in [
            (&[(0, "a\nb c d\ne")][..], "c", ["b ", "c d", "a"]),
            (&[(0, "a b")], "b", ["a ", "b", ""]),
            (&[(4, "x y\nz")], "y", ["x ", "y", "above"]),
            (&[(4, "x y\nz")], "z", ["", "z", "x y"]),
            (&[(4, "x\n"), (9, "q")], "q", ["", "q", "above"]),
        ] {
            let text = text(parts);
            let at = memchr::memmem::find(text.bytes(), part.as_bytes()).expect("it is there");
            let lines = text.lines_at(at as u64);
            assert_eq!(lines, expected.map(str::as_bytes), "{part}");
        }
    }
}
