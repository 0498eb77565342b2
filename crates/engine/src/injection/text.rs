//! Text as the model reads it: lower-case, white space folded, with the way back.

use std::ops::Range;

/// A part of a view, folded: in lower case, each run of white space one space, or one line feed where
/// it holds an empty line.
pub(super) struct Folded {
    pub(super) text: String,
    /// Where each byte of the text came from.
    origins: Vec<u32>,
    /// How many letters stand before each byte of the text, and in all of it.
    letters: Vec<u32>,
    /// Where sentences end.
    ends: Vec<u32>,
}

impl Folded {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut folded = Self {
            text: String::with_capacity(bytes.len() + bytes.len() / 8),
            origins: Vec::with_capacity(bytes.len() + bytes.len() / 8),
            letters: Vec::new(),
            ends: Vec::new(),
        };
        folded.fold(bytes);
        folded.origins.push(bytes.len() as u32);
        folded.count();
        folded
    }

    fn fold(&mut self, bytes: &[u8]) {
        let (mut at, mut gap) = (0, None);
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_whitespace() {
                    let (_, breaks) = gap.get_or_insert((at, 0));
                    *breaks += u32::from(c == '\n');
                } else {
                    self.put_gap(gap.take());
                    self.put_letter(c, at);
                }
                at += c.len_utf8();
            }
            if !chunk.invalid().is_empty() {
                self.put_gap(gap.take());
                self.put(char::REPLACEMENT_CHARACTER, at);
                at += chunk.invalid().len();
            }
        }
    }

    /// White space that began somewhere and held so many line feeds.
    fn put_gap(&mut self, gap: Option<(usize, u32)>) {
        if let Some((at, breaks)) = gap {
            self.put(if breaks > 1 { '\n' } else { ' ' }, at);
        }
    }

    fn put_letter(&mut self, c: char, at: usize) {
        match c {
            '\u{2019}' => self.put('\'', at),
            c if c.is_ascii_control() => self.put('\n', at),
            c if c.is_ascii() => self.put(c.to_ascii_lowercase(), at),
            c => c.to_lowercase().for_each(|lower| self.put(lower, at)),
        }
    }

    fn put(&mut self, c: char, at: usize) {
        self.text.push(c);
        self.origins.resize(self.text.len(), at as u32);
    }

    fn count(&mut self) {
        let mut letters = 0;
        let mut rest = self.text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            self.letters.resize(at + c.len_utf8(), letters);
            letters += 1;
            let next = rest.peek().map(|(_, next)| *next);
            if is_end(c, next) {
                self.ends.push(at as u32);
            }
        }
        self.letters.push(letters);
    }

    /// Letters between two places.
    pub(super) fn letters_between(&self, start: u32, end: u32) -> u32 {
        self.letters[end as usize] - self.letters[start as usize]
    }

    /// Whether a sentence ends between two places.
    pub(super) fn is_parted(&self, start: u32, end: u32) -> bool {
        let next = self.ends.partition_point(|place| *place < start);
        self.ends.get(next).is_some_and(|place| *place < end)
    }

    /// Where a part of the text came from.
    pub(super) fn origin(&self, part: &Range<u32>) -> Range<usize> {
        let place = |at: u32| self.origins[at as usize] as usize;
        place(part.start)..place(part.end)
    }

    /// The word that ends just before a place, past any spaces; none where a mark or a script without
    /// spaces stands there.
    pub(super) fn word_before(&self, at: u32) -> Option<&str> {
        let before = self.text[..at as usize].trim_end_matches(' ');
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '\'' || c == '_';
        let start = before.trim_end_matches(is_part).len();
        (start < before.len()).then(|| &before[start..])
    }
}

/// A full stop ends a sentence before a space or a closing quote, not within a number or a name. The
/// marks of code end one too.
fn is_end(c: char, next: Option<char>) -> bool {
    match c {
        '。' | '！' | '？' | '।' | '\n' | '{' | '}' | '=' => true,
        '/' => next == Some('/'),
        '.' | '!' | '?' => next.is_none_or(|next| matches!(next, ' ' | '\n' | '"' | '\'' | '”')),
        _ => false,
    }
}
