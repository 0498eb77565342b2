//! Finds runs of known values in a view, for about an instruction a byte.
//!
//! Four bytes are looked at in every eight: each run of eleven has four such bytes in it. A bitmap
//! tells which may be of a value, and is silent on nearly all text; what it lets through is looked
//! up, and the run is followed both ways.

use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use super::spelling;
use super::value::Value;

/// Bytes that are looked up at once.
const GRAM: usize = 4;

/// Places looked at are so many bytes apart, or half as many where a value is shorter than eleven.
const STRIDE: usize = 8;
const STRIDE_SHORT: usize = STRIDE / 2;

/// As many grams in a row hold one that is looked at.
const GROUP: usize = STRIDE;

/// Bytes of a group.
const GROUP_BYTES: usize = GROUP + GRAM - 1;

/// A value of more bytes is known by groups of grams alone, as far apart as half of it allows.
const EVERY_GRAM_MAX: usize = 256;

/// A shorter secret part, turned around or rotated, is too much like other text.
const TURNED_BYTES_MIN: usize = 16;

/// Grams that the small filter takes before one in eight of its bits is set.
const SMALL_GRAMS_MAX: usize = 4096;
const SMALL_BITS: u32 = 15;
const LARGE_BITS: u32 = 20;

/// A run of a value in a view.
pub(super) struct Run {
    pub(super) value: u16,
    /// Where the run is in the value.
    pub(super) start: usize,
    /// Where it is in the view.
    pub(super) range: Range<usize>,
    pub(super) spelling: Option<&'static str>,
}

impl Run {
    /// Whether the value stands there as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.spelling.is_none()
    }
}

/// A value in one spelling.
struct Text {
    value: u16,
    /// In lower case.
    bytes: Zeroizing<Box<[u8]>>,
    order: Order,
    spelling: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Forward,
    Backward,
    /// Without what is neither a letter nor a digit.
    Bare,
}

/// Where a gram is.
#[derive(Clone, Copy, Default)]
struct Place {
    gram: u32,
    text: u16,
    at: u16,
}

pub(super) struct Index {
    texts: Vec<Text>,
    filter: Filter,
    /// By the hash of their grams.
    places: Vec<Place>,
    /// Where each hash's places start, and where the last ones end.
    starts: Vec<u32>,
    salt: u32,
    factor: u32,
    is_short: bool,
}

/// Which hashes are there, as bits.
enum Filter {
    Small(Box<[u64; 1 << (SMALL_BITS - 6)]>),
    Large(Box<[u64; 1 << (LARGE_BITS - 6)]>),
}

/// Where the elements of a slice are.
pub(super) fn addresses<T>(elements: &[T]) -> Range<usize> {
    let start = elements.as_ptr().addr();
    start..start + size_of_val(elements)
}

impl Drop for Index {
    fn drop(&mut self) {
        for place in &mut self.places {
            place.gram.zeroize();
        }
        match &mut self.filter {
            Filter::Small(words) => words.zeroize(),
            Filter::Large(words) => words.zeroize(),
        }
    }
}

impl Index {
    /// `exact` are the values as they are written.
    pub(super) fn new(values: &[Value], exact: &[Zeroizing<Vec<u8>>], key: &[u8; 32]) -> Self {
        let mut texts = Vec::new();
        let mut places = Vec::new();
        for (number, (value, exact)) in values.iter().zip(exact).enumerate() {
            for text in spellings(number as u16, value, exact) {
                let turned = text.spelling.is_some_and(|own| own != spelling::REVERSED);
                let leak = value.leak_len();
                add_grams(&text, texts.len() as u16, leak, turned, &mut places);
                texts.push(text);
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = *key;
        let is_small = places.len() <= SMALL_GRAMS_MAX;
        let mut index = Self {
            texts,
            filter: match is_small {
                true => Filter::Small(Box::new([0; 1 << (SMALL_BITS - 6)])),
                false => Filter::Large(Box::new([0; 1 << (LARGE_BITS - 6)])),
            },
            places: vec![Place::default(); places.len()],
            starts: Vec::new(),
            salt: u32::from_le_bytes([a, b, c, d]),
            factor: u32::from_le_bytes([e, f, g, h]) | 1,
            is_short: values.iter().any(|own| own.leak_len() < GROUP_BYTES),
        };
        index.fill(&places);
        places.iter_mut().for_each(|place| place.gram.zeroize());
        index
    }

    /// The addresses of what the spellings and their grams take up.
    pub(super) fn memory(&self) -> impl Iterator<Item = Range<usize>> {
        let texts = self.texts.iter().map(|text| addresses(&text.bytes));
        texts.chain(std::iter::once(addresses(&self.places)))
    }

    /// Sorts the places by their hashes, by counting.
    fn fill(&mut self, places: &[Place]) {
        let hashes: Vec<usize> = places.iter().map(|own| self.hash(own.gram)).collect();
        let count = match self.filter {
            Filter::Small(_) => 1 << SMALL_BITS,
            Filter::Large(_) => 1 << LARGE_BITS,
        };
        self.starts = vec![0; count + 1];
        for hash in &hashes {
            self.starts[hash + 1] += 1;
            match &mut self.filter {
                Filter::Small(words) => words[hash / 64] |= 1 << (hash % 64),
                Filter::Large(words) => words[hash / 64] |= 1 << (hash % 64),
            }
        }
        for hash in 0..count {
            self.starts[hash + 1] += self.starts[hash];
        }
        let mut next = self.starts.clone();
        for (hash, place) in hashes.into_iter().zip(places) {
            self.places[next[hash] as usize] = *place;
            next[hash] += 1;
        }
    }

    fn hash(&self, gram: u32) -> usize {
        let bits = match self.filter {
            Filter::Small(_) => SMALL_BITS,
            Filter::Large(_) => LARGE_BITS,
        };
        (self.mixed(gram) >> (32 - bits)) as usize
    }

    #[inline(always)]
    fn mixed(&self, gram: u32) -> u32 {
        (gram ^ self.salt).wrapping_mul(self.factor)
    }

    /// Tells of each run, which answers where to go on, and gives the work beyond one pass.
    pub(super) fn sweep(&self, view: &[u8], tell: &mut dyn FnMut(Run) -> usize) -> usize {
        match (&self.filter, self.is_short) {
            (Filter::Small(words), false) => self.run::<_, STRIDE>(&**words, view, tell),
            (Filter::Large(words), false) => self.run::<_, STRIDE>(&**words, view, tell),
            (Filter::Small(words), true) => self.run::<_, STRIDE_SHORT>(&**words, view, tell),
            (Filter::Large(words), true) => self.run::<_, STRIDE_SHORT>(&**words, view, tell),
        }
    }

    fn run<F: Bits, const STRIDE: usize>(
        &self,
        filter: &F,
        view: &[u8],
        tell: &mut dyn FnMut(Run) -> usize,
    ) -> usize {
        let (mut from, mut work) = (0, 0);
        while let Some(at) = self.next::<F, STRIDE>(filter, view, from) {
            let mut next = at + 1;
            for place in self.places(gram(&view[at..])) {
                let run = self.follow(*place, view, at);
                work += 1 + run.as_ref().map_or(0, |run| run.range.len());
                if let Some(run) = run {
                    next = next.max(tell(run));
                }
            }
            from = next.next_multiple_of(STRIDE);
        }
        work
    }

    /// The next place at a multiple of the stride that may be of a value; `from` is such a multiple.
    #[inline(always)]
    fn next<F: Bits, const STRIDE: usize>(
        &self,
        filter: &F,
        view: &[u8],
        from: usize,
    ) -> Option<usize> {
        let (chunks, rest) = view.get(from..)?.as_chunks::<STRIDE>();
        let may_be = |bytes: &[u8]| filter.has(self.mixed(gram(bytes)));
        if let Some(chunk) = chunks.iter().position(|chunk| may_be(chunk)) {
            return Some(from + chunk * STRIDE);
        }
        let last = view.len() - rest.len();
        (rest.len() >= GRAM && may_be(rest)).then_some(last)
    }

    fn places(&self, gram: u32) -> impl Iterator<Item = &Place> {
        let hash = self.hash(gram);
        let range = self.starts[hash] as usize..self.starts[hash + 1] as usize;
        let places = self.places[range].iter();
        places.filter(move |place| place.gram == gram)
    }

    /// The run of a text around a place in the view.
    fn follow(&self, place: Place, view: &[u8], at: usize) -> Option<Run> {
        let text = &self.texts[usize::from(place.text)];
        let own = usize::from(place.at);
        let on = same(view[at..].iter(), text.bytes[own..].iter());
        if on < GRAM {
            return None;
        }
        let back = same(view[..at].iter().rev(), text.bytes[..own].iter().rev());
        let start = match text.order {
            Order::Forward | Order::Bare => own - back,
            Order::Backward => text.bytes.len() - (own + on),
        };
        Some(Run {
            value: text.value,
            start,
            range: at - back..at + on,
            spelling: text.spelling,
        })
    }

    /// Tells in which values, and where, a whole word stands.
    pub(super) fn word(&self, word: &[u8], mut tell: impl FnMut(u16, usize)) {
        let gram = gram(word);
        let mixed = self.mixed(gram);
        let may_be = match &self.filter {
            Filter::Small(words) => words.has(mixed),
            Filter::Large(words) => words.has(mixed),
        };
        if !may_be {
            return;
        }
        for place in self.places(gram) {
            let text = &self.texts[usize::from(place.text)];
            let rest = &text.bytes[usize::from(place.at)..];
            let is_there = rest
                .get(..word.len())
                .is_some_and(|own| own.eq_ignore_ascii_case(word));
            if text.order == Order::Forward && text.spelling.is_none() && is_there {
                tell(text.value, usize::from(place.at));
            }
        }
    }
}

/// A bitmap by the upper bits of a hash.
trait Bits {
    fn has(&self, mixed: u32) -> bool;
}

impl Bits for [u64; 1 << (SMALL_BITS - 6)] {
    #[inline(always)]
    fn has(&self, mixed: u32) -> bool {
        let hash = mixed >> (32 - SMALL_BITS);
        self[(hash / 64) as usize] >> (hash % 64) & 1 == 1
    }
}

impl Bits for [u64; 1 << (LARGE_BITS - 6)] {
    #[inline(always)]
    fn has(&self, mixed: u32) -> bool {
        let hash = mixed >> (32 - LARGE_BITS);
        self[(hash / 64) as usize] >> (hash % 64) & 1 == 1
    }
}

/// Four bytes, letters of either case alike.
#[inline(always)]
fn gram(bytes: &[u8]) -> u32 {
    let [a, b, c, d, ..] = *bytes else {
        return 0;
    };
    u32::from_le_bytes([a, b, c, d]) | 0x2020_2020
}

/// How many bytes are the same, letters of either case alike.
fn same<'a>(view: impl Iterator<Item = &'a u8>, text: impl Iterator<Item = &'a u8>) -> usize {
    view.zip(text)
        .take_while(|(own, wanted)| own.to_ascii_lowercase() == **wanted)
        .count()
}

/// Every spelling in which a value is looked for.
fn spellings(number: u16, value: &Value, exact: &[u8]) -> Vec<Text> {
    let text = |bytes: Vec<u8>, order, spelling| Text {
        value: number,
        bytes: Zeroizing::new(bytes.into()),
        order,
        spelling,
    };
    let folded = &value.folded;
    let mut texts = vec![text(folded.to_vec(), Order::Forward, None)];
    let bare: Vec<u8> = folded
        .iter()
        .copied()
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    if bare.len() < folded.len() && bare.len() >= GROUP_BYTES {
        texts.push(text(bare, Order::Bare, None));
    }
    if value.core_len() < TURNED_BYTES_MIN {
        return texts;
    }
    let back = folded.iter().rev().copied().collect();
    texts.push(text(back, Order::Backward, Some(spelling::REVERSED)));
    for (name, bytes) in spelling::rotations(exact) {
        texts.push(text(bytes, Order::Forward, Some(name)));
    }
    texts
}

/// Adds the grams by which a text is found: every one, or as many groups as meet each run of `leak`
/// bytes; or, of a text that is `turned`, the group in its middle, as nearly all of it must be there.
fn add_grams(text: &Text, number: u16, leak: usize, turned: bool, places: &mut Vec<Place>) {
    let bytes = &text.bytes;
    let last = bytes.len().saturating_sub(GRAM);
    let mut add = |at: usize| {
        let gram = gram(&bytes[at..]);
        let is_one_byte = gram.rotate_left(8) == gram;
        if at <= last && !is_one_byte {
            places.push(Place {
                gram,
                text: number,
                at: at as u16,
            });
        }
    };
    if turned {
        let middle = bytes.len().saturating_sub(GROUP_BYTES) / 2;
        (middle..middle + GROUP).for_each(add);
    } else if bytes.len() <= EVERY_GRAM_MAX {
        (0..=last).for_each(add);
    } else {
        let step = leak - GROUP_BYTES + 1;
        for group in (0..=last).step_by(step) {
            (group..(group + GROUP).min(last + 1)).for_each(&mut add);
        }
    }
}
