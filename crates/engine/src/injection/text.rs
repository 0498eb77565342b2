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
        let mut writer = Writer {
            text: Vec::with_capacity(bytes.len() + bytes.len() / 8),
            origins: Vec::with_capacity(bytes.len() + bytes.len() / 8),
            letters: Vec::with_capacity(bytes.len() + bytes.len() / 8),
            count: 0,
            gap: None,
        };
        writer.fold(bytes);
        writer.origins.push(bytes.len() as u32);
        writer.letters.push(writer.count);
        let text = String::from_utf8(writer.text).expect("it is written in whole characters");
        Self {
            ends: ends(&text),
            text,
            origins: writer.origins,
            letters: writer.letters,
        }
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

/// Writes a [`Folded`], whose fields its own are.
struct Writer {
    text: Vec<u8>,
    origins: Vec<u32>,
    letters: Vec<u32>,
    /// The letters so far.
    count: u32,
    /// Where white space began that is not written yet, and how many line feeds it held.
    gap: Option<(usize, u32)>,
}

impl Writer {
    fn fold(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let plain = rest.iter().take_while(|byte| byte.is_ascii()).count();
            self.words(&rest[..plain], at);
            at += plain;
            let wide = rest[plain..]
                .iter()
                .take_while(|byte| !byte.is_ascii())
                .count();
            self.wide(&rest[plain..plain + wide], at);
            at += wide;
        }
    }

    fn words(&mut self, bytes: &[u8], mut at: usize) {
        let is_letter = |byte: &u8| matches!(byte, b'!'..=b'~');
        for word in bytes.split_inclusive(|byte| !is_letter(byte)) {
            let (last, letters) = match word.split_last() {
                Some((last, before)) if !is_letter(last) => (Some(*last), before),
                Some(_) | None => (None, word),
            };
            if !letters.is_empty() {
                self.put_gap();
                let len = letters.len() as u32;
                let lower = letters.iter().map(u8::to_ascii_lowercase);
                self.text.extend(lower);
                self.origins.extend(at as u32..at as u32 + len);
                self.letters.extend(self.count..self.count + len);
                self.count += len;
            }
            if let Some(last) = last {
                self.ascii(last, at + letters.len());
            }
            at += word.len();
        }
    }

    fn ascii(&mut self, byte: u8, at: usize) {
        if matches!(byte, b' ' | b'\t'..=b'\r') {
            let (_, breaks) = self.gap.get_or_insert((at, 0));
            *breaks += u32::from(byte == b'\n');
        } else {
            self.put_gap();
            let control = byte.is_ascii_control();
            self.put(
                if control {
                    b'\n'
                } else {
                    byte.to_ascii_lowercase()
                },
                at,
            );
        }
    }

    fn wide(&mut self, bytes: &[u8], mut at: usize) {
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\u{2019}' => self.ascii(b'\'', at),
                    c if c.is_whitespace() => self.ascii(b' ', at),
                    c => c.to_lowercase().for_each(|lower| self.put_char(lower, at)),
                }
                at += c.len_utf8();
            }
            if !chunk.invalid().is_empty() {
                self.put_char(char::REPLACEMENT_CHARACTER, at);
                at += chunk.invalid().len();
            }
        }
    }

    #[inline]
    fn put_gap(&mut self) {
        if let Some((at, breaks)) = self.gap.take() {
            self.put(if breaks > 1 { b'\n' } else { b' ' }, at);
        }
    }

    #[inline]
    fn put(&mut self, byte: u8, at: usize) {
        self.text.push(byte);
        self.origins.push(at as u32);
        self.letters.push(self.count);
        self.count += 1;
    }

    fn put_char(&mut self, c: char, at: usize) {
        self.put_gap();
        self.text
            .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.origins.resize(self.text.len(), at as u32);
        self.letters.resize(self.text.len(), self.count);
        self.count += 1;
    }
}

/// Where the sentences of a text end.
fn ends(text: &str) -> Vec<u32> {
    let bytes = text.bytes().enumerate();
    let candidates = bytes.filter(|(_, byte)| MAY_END[usize::from(*byte)]);
    let is_end = |at: &usize| {
        let mut chars = text[*at..].chars();
        chars.next().is_some_and(|c| is_end(c, chars.next()))
    };
    let places = candidates.map(|(at, _)| at).filter(is_end);
    places.map(|at| at as u32).collect()
}

/// The first bytes of what may end a sentence.
static MAY_END: [bool; 256] = {
    let mut table = [false; 256];
    let first = b".!?\n{}=/\xe3\xef\xe0";
    let mut index = 0;
    while index < first.len() {
        table[first[index] as usize] = true;
        index += 1;
    }
    table
};

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
