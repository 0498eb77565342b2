//! What grows out of a view: decoded parts, each with the way back to the bytes it came from.

use std::ops::Range;

/// What a decoder makes of a part of a view.
pub(super) struct Decoded {
    /// The decoding's name, as findings show it.
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) places: Places,
    /// Whether more may stand before or after it.
    pub(super) clipped: bool,
}

/// Where decoded bytes came from.
pub(super) enum Places {
    /// Where each byte's source begins, and where the last one's ends.
    Each(Vec<u32>),
    /// Byte for byte, from this place on.
    Shifted(usize),
    /// Byte for byte, the last one first.
    Backwards(Range<usize>),
    /// All of it from all of that.
    Whole(Range<usize>),
}

impl Places {
    /// All that was decoded.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let (start, end) = self.map(0, len);
        start..end
    }

    /// Where `start..end` of the decoded bytes was.
    pub(super) fn map(&self, start: usize, end: usize) -> (usize, usize) {
        match self {
            Self::Each(places) => {
                let place = |at: usize| {
                    let place = places.get(at).or(places.last());
                    place.map_or(0, |place| *place as usize)
                };
                (place(start), place(end))
            }
            Self::Shifted(from) => (from + start, from + end),
            Self::Backwards(range) => (
                range.end.saturating_sub(end).max(range.start),
                range.end.saturating_sub(start),
            ),
            Self::Whole(range) => (range.start, range.end),
        }
    }
}

/// Writes decoded bytes with the place of each.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    places: Vec<u32>,
}

impl Output {
    /// Adds a byte whose source begins at `place`.
    pub(super) fn push(&mut self, byte: u8, place: usize) {
        self.bytes.push(byte);
        self.places.push(place as u32);
    }

    /// Adds several that come from the same place.
    pub(super) fn extend(&mut self, bytes: &[u8], place: usize) {
        bytes.iter().for_each(|byte| self.push(*byte, place));
    }

    /// Adds `range` of the source as it is.
    pub(super) fn copy(&mut self, source: &[u8], range: Range<usize>) {
        range.for_each(|at| self.push(source[at], at));
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written; the last byte's source ends at `end`.
    pub(super) fn decoded(mut self, name: &'static str, end: usize, clipped: bool) -> Decoded {
        self.places.push(end as u32);
        Decoded {
            name,
            bytes: self.bytes,
            places: Places::Each(self.places),
            clipped,
        }
    }
}

/// So many printable bytes in a row, which noise hardly ever shows, tell text from an identifier or
/// data that was never encoded text.
const TEXT_MIN: usize = 11;

/// Whether text is among decoded bytes: a row of printable ASCII, or all of it UTF-8 of any script.
pub(super) fn has_text(bytes: &[u8]) -> bool {
    let mut row = 0;
    let is_row = bytes.iter().any(|byte| {
        row = (row + 1) * usize::from(matches!(byte, b' '..=b'~'));
        row >= TEXT_MIN
    });
    is_row || is_script(bytes)
}

/// Whether nearly all of decoded bytes is text. Symbols of other codings read as text here and there.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let is_shown = |byte: &&u8| matches!(**byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    let shown = bytes.iter().filter(is_shown).count();
    has_text(bytes) && shown * 8 >= bytes.len() * 7 || is_script(bytes)
}

/// Whether bytes may be text with controls in it. Only of what is rare anyway.
pub(super) fn is_mostly_text(bytes: &[u8]) -> bool {
    let shown = bytes.iter().filter(|b| matches!(b, b' '..=b'~')).count();
    has_text(bytes) || (bytes.len() >= TEXT_MIN && bytes.is_ascii() && shown * 2 >= bytes.len())
}

/// Whether bytes are UTF-8 with no control but white space.
fn is_script(bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < 9 || matches!(byte, 14..=31 | 127);
    bytes.len() >= TEXT_MIN && !bytes.iter().any(is_control) && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Places, has_text};

    #[test]
    fn places_lead_back() {
        for (places, part, expect) in [
            (Places::Each(vec![4, 8, 12, 16]), (1, 2), (8, 12)),
            (Places::Each(vec![4, 8, 12, 16]), (0, 3), (4, 16)),
            (Places::Shifted(7), (1, 3), (8, 10)),
            (Places::Backwards(10..20), (0, 4), (16, 20)),
            (Places::Backwards(10..20), (8, 10), (10, 12)),
            (Places::Whole(3..9), (1, 2), (3, 9)),
        ] {
            assert_eq!(places.map(part.0, part.1), expect);
        }
    }

    #[test]
    fn text_is_told_from_noise() {
        assert!(has_text(b"\x01\x02plain words\xff"));
        assert!(has_text("забудь всё".as_bytes()));
        assert!(!has_text(b"short\x01words\x02here"));
        assert!(!has_text(&[
            0xd0, 0x9f, 0x01, 0xd0, 0x9f, 0xd0, 0x9f, 0xd0, 0x9f, 0xd0, 0x9f
        ]));
    }
}
