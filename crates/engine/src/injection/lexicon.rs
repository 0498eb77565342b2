//! Finds the words of the model, and what they stand for.

use super::MODEL;
use super::opening;
use super::text::{self, Item, KINDS, Kind};

/// A word, phrase or stem, in any language.
pub(super) struct Lexeme {
    /// The trie spells it.
    #[cfg(test)]
    pub(super) text: &'static str,
    /// The concepts that any word stands for that begins so.
    pub(super) stem: &'static [u8],
    /// The concepts that it stands for where no letter follows.
    pub(super) whole: &'static [u8],
}

/// Where a word stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Letters of the text before it, runs of white space counted as one.
    pub(super) before: u32,
    /// Letters of the text up to its end.
    pub(super) through: u32,
}

/// A set of concepts.
pub(super) type Concepts = u128;

/// The words found in a text.
pub(super) struct Found {
    /// The concepts that are there.
    pub(super) concepts: Concepts,
    /// Of each concept the words, in order.
    pub(super) spans: Vec<Vec<Span>>,
    /// Where words that talk about attacks start, and which they are, in order.
    pub(super) about: Vec<(u32, u16)>,
    /// Where sentences end.
    ends: Vec<u32>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            concepts: 0,
            spans: vec![Vec::new(); MODEL.concepts],
            about: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl Found {
    /// Every word of the model in a text, which is in lower case.
    pub(super) fn read(&mut self, text: &[u8]) {
        self.clear();
        let (mut at, mut letters) = (0, 0);
        while at < text.len() {
            let start = at;
            let count = match text::item(text, at) {
                Item::Word { end, letters } => {
                    at = end;
                    letters
                }
                Item::Space { end, is_break } => {
                    at = end;
                    if is_break {
                        self.ends.push(start as u32);
                    }
                    1
                }
                Item::Mark { c, end } => {
                    at = end;
                    if text::is_end(text, c, end) {
                        self.ends.push(start as u32);
                    }
                    1
                }
            };
            if may_begin(text, start) {
                self.walk(text, start, letters);
            }
            letters += count;
        }
    }

    fn clear(&mut self) {
        while self.concepts != 0 {
            self.spans[self.concepts.trailing_zeros() as usize].clear();
            self.concepts &= self.concepts - 1;
        }
        self.about.clear();
        self.ends.clear();
    }

    /// Whether a sentence ends between two words.
    pub(super) fn is_parted(&self, start: u32, end: u32) -> bool {
        let next = self.ends.partition_point(|place| *place < start);
        self.ends.get(next).is_some_and(|place| *place < end)
    }

    /// Notes the words that begin at a place.
    #[inline]
    fn walk(&mut self, text: &[u8], start: usize, before: u32) {
        let (mut place, mut at, mut through) = (Place::ROOT, start, before);
        while let Some((byte, end)) = spelt(text, at)
            && let Some(next) = place.next(byte)
        {
            (place, at) = (next, end);
            through += u32::from(byte & 0xc0 != 0x80);
            if let Some(word) = place.word() {
                let span = Span {
                    start: start as u32,
                    end: at as u32,
                    before,
                    through,
                };
                self.note(word, span, text::is_joined(text, at));
            }
        }
    }

    #[inline(never)]
    fn note(&mut self, word: u16, span: Span, is_joined: bool) {
        let Lexeme { stem, whole, .. } = &MODEL.lexemes[usize::from(word)];
        let whole = if is_joined { &[][..] } else { whole };
        for concept in stem.iter().chain(whole) {
            self.concepts |= 1 << concept;
            self.spans[usize::from(*concept)].push(span);
            if *concept == MODEL.about_concept {
                self.about.push((span.start, word));
            }
        }
    }
}

/// Whether a word of the model may begin at a place.
#[inline]
fn may_begin(text: &[u8], at: usize) -> bool {
    let beginning = text[at..].first_chunk();
    beginning.is_none_or(|beginning| {
        let (byte, bit) = opening::bit(*beginning);
        OPENINGS[byte] & bit != 0
    })
}

/// The next byte as the lexicon spells it, and where the one after it is. White space of any kind and
/// length is one space, unless an empty line is in it; apostrophes are alike.
#[inline]
fn spelt(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *text.get(at)?;
    match KINDS[usize::from(byte)] {
        Kind::Letter | Kind::Mark => Some((byte, at + 1)),
        Kind::Space => spelt_space(text, at),
        Kind::Control => None,
        Kind::Wide if text[at..].starts_with("\u{2019}".as_bytes()) => Some((b'\'', at + 3)),
        Kind::Wide if is_lead_of_space(byte) && text::decode(text, at).0.is_whitespace() => {
            spelt_space(text, at)
        }
        Kind::Wide => Some((byte, at + 1)),
    }
}

#[inline]
fn spelt_space(text: &[u8], at: usize) -> Option<(u8, usize)> {
    match text::space(text, at) {
        Item::Space {
            end,
            is_break: false,
        } => Some((b' ', end)),
        Item::Space { .. } | Item::Word { .. } | Item::Mark { .. } => None,
    }
}

/// The first bytes of white space beyond ASCII.
fn is_lead_of_space(byte: u8) -> bool {
    matches!(byte, 0xc2 | 0xe1..=0xe3)
}

/// A place of the trie, as the build script packs it.
#[derive(Clone, Copy)]
struct Place {
    base: usize,
    at: usize,
    word: u64,
}

const PLACE_BITS: u32 = 24;

impl Place {
    const ROOT: Self = Self::unpack(0);

    const fn unpack(at: usize) -> Self {
        let packed = u64::from_le_bytes(TRIE[at]);
        Self {
            base: (packed & ((1 << PLACE_BITS) - 1)) as usize,
            at,
            word: packed >> (2 * PLACE_BITS),
        }
    }

    #[inline]
    fn next(self, byte: u8) -> Option<Self> {
        let at = self.base + usize::from(byte);
        let packed = u64::from_le_bytes(*TRIE.get(at)?);
        let parent = packed >> PLACE_BITS & ((1 << PLACE_BITS) - 1);
        (parent as usize == self.at + 1).then(|| Self::unpack(at))
    }

    fn word(self) -> Option<u16> {
        self.word.checked_sub(1).map(|word| word as u16)
    }
}

static TRIE: &[[u8; 8]] = include_bytes!(concat!(env!("OUT_DIR"), "/trie.bin"))
    .as_chunks()
    .0;

/// How words begin, in every way that they may be spelt.
static OPENINGS: &[u8; opening::SET_LEN] =
    include_bytes!(concat!(env!("OUT_DIR"), "/openings.bin"));
