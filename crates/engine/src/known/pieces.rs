//! Values that cross in pieces: the words of a surface, and what a session remembers of them.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::Part;
use super::value::{PIECE_BYTES_MIN, Value};

/// How long a piece is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Pieces remembered of one value: a long one in the shortest pieces, and some twice.
const PIECES_MAX: usize = 128;

/// All words of a view but the names of items, end to end.
pub(super) struct Joined {
    bytes: Vec<u8>,
    words: usize,
}

impl Joined {
    /// Joins the words, and tells of each that may be a piece.
    pub(super) fn of(view: &[u8], mut tell: impl FnMut(Range<usize>)) -> Self {
        let mut bytes = vec![0; view.len()];
        let (mut len, mut words) = (0, 0);
        each_word(view, |word| {
            if word.len() >= PIECE_BYTES_MIN {
                tell(word.clone());
            }
            if !is_name(view, &word) {
                // Words are short: a call to copy one costs more than it does.
                for (to, from) in bytes[len..].iter_mut().zip(&view[word.clone()]) {
                    *to = *from;
                }
                len += word.len();
                words += 1;
            }
        });
        bytes.truncate(len);
        Self { bytes, words }
    }

    /// Whether anything stood between words.
    pub(super) fn is_cut(&self) -> bool {
        self.words > 1
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a range of what was joined is in the view.
    pub(super) fn place(view: &[u8], range: &Range<usize>) -> Range<usize> {
        let (mut joined, mut place) = (0, 0..0);
        each_word(view, |word| {
            if is_name(view, &word) {
                return;
            }
            let own = joined..joined + word.len();
            if own.contains(&range.start) {
                place.start = word.start + (range.start - own.start);
            }
            if own.contains(&(range.end - 1)) {
                place.end = word.start + (range.end - own.start);
            }
            joined = own.end;
        });
        place
    }
}

static IN_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// Tells of each word of a view: letters and digits in a row.
fn each_word(view: &[u8], mut tell: impl FnMut(Range<usize>)) {
    let in_word = |byte: &u8| IN_WORD[usize::from(*byte)];
    let mut at = 0;
    while let Some(skip) = view[at..].iter().position(in_word) {
        let start = at + skip;
        let rest = &view[start..];
        at = start + rest.iter().position(|b| !in_word(b)).unwrap_or(rest.len());
        tell(start..at);
    }
}

/// Whether a word names an item or an element, as in `a=1`, `"a": 1` and `<a>`: names stand between
/// the pieces of what is cut over items.
fn is_name(view: &[u8], word: &Range<usize>) -> bool {
    const BETWEEN_MAX: usize = 4;
    let is_between = |b: &&u8| matches!(b, b'"' | b'\'' | b'\\' | b' ');
    let rest = &view[word.end..];
    let between = rest.iter().take(BETWEEN_MAX).take_while(is_between).count();
    let is_element = matches!(view[..word.start], [.., b'<'] | [.., b'<', b'/']);
    match rest[between..] {
        [b':', ..] => true,
        // One at the end may be base64's.
        [b'=', next, ..] => !matches!(next, b'=' | b'&' | b'"' | b'\'' | b'\r' | b'\n'),
        _ => is_element,
    }
}

/// A piece of a known value that went out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) part: Part,
    pub(crate) at: Duration,
}

/// What went out of known values, piece by piece, whatever the order and the crossing.
///
/// Chance shows pieces of any value, so none is remembered for longer than it takes until chance
/// would show one: after so many words that a sixteenth of one is expected. A leak takes pieces that
/// make up half of a value, at least twelve bytes and so at least three of them at once; less than
/// one in 24 * 16^3 such spans of random words shows them, and text that is not random shows none.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    tag: u64,
    /// Words that went out so far.
    words: u64,
    seen: HashMap<u16, Vec<Seen>>,
}

#[derive(Debug, Clone)]
struct Seen {
    range: Range<u16>,
    until: Duration,
    until_words: u64,
}

impl Coverage {
    /// Counts words that went out and were looked at.
    pub(crate) fn pass(&mut self, words: u64) {
        self.words += words;
    }

    /// Adds a piece. Returns whether enough of its value has gone out; then it begins anew.
    pub(super) fn add(&mut self, tag: u64, value: &Value, piece: Piece) -> bool {
        if self.tag != tag {
            self.seen.clear();
            self.tag = tag;
        }
        let (part, words) = (piece.part, self.words);
        let seen = self.seen.entry(part.value).or_default();
        seen.retain(|own| own.until > piece.at && own.until_words > words);
        let range = part.start..part.start + part.len;
        seen.retain(|own| own.range != range);
        if seen.len() >= PIECES_MAX {
            seen.remove(0);
        }
        seen.push(Seen {
            range,
            until: piece.at + REMEMBERED,
            until_words: words.saturating_add(value.words_a_chance(part.len)),
        });
        let is_leak = value.is_leak(covered(seen));
        if is_leak {
            self.seen.remove(&part.value);
        }
        is_leak
    }
}

/// The bytes that pieces cover together.
fn covered(seen: &[Seen]) -> u16 {
    let mut ranges: Vec<_> = seen.iter().map(|own| own.range.clone()).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut total, mut end) = (0, 0);
    for range in ranges {
        let start = range.start.max(end);
        total += range.end.saturating_sub(start);
        end = end.max(range.end);
    }
    total
}
