//! What has no literal: card and social security numbers, IBANs, base58 keys and seed phrases,
//! found by code over runs of digits, symbols and words.

use std::ops::Range;
use std::sync::OnceLock;

use bip39::{Language, Mnemonic};

use super::Hit;
use super::check::{base58check, digits, iban_len, is_card, is_iban, is_published};
use crate::crossing::Direction;
use crate::finding::Severity;
use crate::rules::{RULES, Rule};
use crate::views::{View, token_runs};

/// Patterns without a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A payment card number.
    Card,
    /// A social security number of the United States.
    Ssn,
    /// An international bank account number.
    Iban,
    /// A Bitcoin private key in wallet import format.
    Wif,
    /// A mnemonic phrase of BIP-39.
    Seed,
}

/// The longest shape, a phrase of 24 words, with what stands between them and the words before a
/// number.
const SHAPE_LEN_MAX: usize = 512;

/// Every shape in a view. They are all judged outbound.
pub(super) fn detect(view: &View<'_>, direction: Direction, hits: &mut Vec<Hit>) {
    if direction == Direction::Inbound {
        return;
    }
    let parts = view.fresh(SHAPE_LEN_MAX);
    let is_fresh = |range: &Range<usize>| view.is_fresh(range);
    let view = &*view.bytes;
    let mut push = |shape, range: Range<usize>, severity: Option<Severity>| {
        let rule = rule(shape);
        hits.push(Hit {
            rule,
            severity: severity.unwrap_or(rule.severity),
            range,
            before: 0,
            score: None,
        });
    };
    for part in &parts {
        for run in digit_runs(view, part) {
            if is_fresh(&(run.start.saturating_sub(CONTEXT_BYTES)..run.end)) {
                numbers(view, run, &mut push);
            }
        }
        seeds(view, part, &mut push);
    }
    for run in token_runs(view, &parts, WIF_MIN) {
        if is_fresh(&run) {
            wif(view, run, &mut push);
        }
    }
}

type Push<'a> = &'a mut dyn FnMut(Shape, Range<usize>, Option<Severity>);

fn rule(shape: Shape) -> &'static Rule {
    static BY_SHAPE: OnceLock<Vec<(Shape, &'static Rule)>> = OnceLock::new();
    let by_shape = BY_SHAPE.get_or_init(|| {
        RULES
            .iter()
            .filter_map(|rule| Some((rule.shape?, rule)))
            .collect()
    });
    let found = by_shape.iter().find(|(known, _)| *known == shape);
    found.expect("the rule files name every shape").1
}

/// A number of nine digits, the shortest looked for, has a digit at every probe this far apart or
/// next to it.
const DIGITS_MIN: usize = 9;

/// Runs of digits with at most one space, hyphen or plus between: candidates for numbers.
fn digit_runs<'a>(view: &'a [u8], part: &Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_digit = |at: usize| view.get(at).is_some_and(u8::is_ascii_digit);
    let is_part = move |at: usize| {
        is_digit(at)
            || view
                .get(at)
                .is_some_and(|b| matches!(b, b' ' | b'-' | b'+'))
                && at > 0
                && is_digit(at - 1)
                && is_digit(at + 1)
    };
    let (mut probe, end) = (part.start + DIGITS_MIN - 1, part.end);
    std::iter::from_fn(move || {
        while probe < end {
            if !is_part(probe) {
                probe += DIGITS_MIN;
                continue;
            }
            let mut run = probe..probe + 1;
            while run.start > 0 && is_part(run.start - 1) {
                run.start -= 1;
            }
            while is_part(run.end) {
                run.end += 1;
            }
            probe = run.end + DIGITS_MIN;
            if run.len() >= DIGITS_MIN {
                return Some(run);
            }
        }
        None
    })
}

fn numbers(view: &[u8], run: Range<usize>, push: Push<'_>) {
    iban(view, &run, push);
    let bytes = &view[run.clone()];
    // Several numbers in a row read as one run: each may begin at any group.
    let starts = (0..bytes.len()).filter(|at| *at == 0 || !bytes[at - 1].is_ascii_digit());
    let mut taken = 0;
    for start in starts {
        if start < taken || !is_apart(view, run.start + start) {
            continue;
        }
        if let Some((len, severity)) = card(view, run.start + start, run.end) {
            push(
                Shape::Card,
                run.start + start..run.start + start + len,
                severity,
            );
            taken = start + len;
        } else if is_ssn(view, run.start + start) {
            let number = run.start + start..run.start + start + SSN_LEN;
            let severity = is_stand_in(view, &number).then_some(Severity::Medium);
            push(Shape::Ssn, number, severity);
            taken = start + SSN_LEN;
        }
    }
}

/// Whether what stands before `at` leaves it a number of its own: not a decimal's, an identifier's
/// or a longer dashed number's part.
fn is_apart(view: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| view[at]);
    !before
        .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'$' | b'#'))
}

fn is_apart_after(view: &[u8], at: usize) -> bool {
    match view.get(at) {
        Some(b'.') => !view.get(at + 1).is_some_and(u8::is_ascii_digit),
        Some(b'-') => !view.get(at + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b) => !b.is_ascii_alphanumeric() && *b != b'_',
        None => true,
    }
}

/// A card number from `start` on: its length with separators, and its severity.
fn card(view: &[u8], start: usize, end: usize) -> Option<(usize, Option<Severity>)> {
    let bytes = &view[start..end];
    let groups: Vec<&[u8]> = bytes.split(|b| !b.is_ascii_digit()).take(5).collect();
    let lens: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let (count, grouped) = match lens[..] {
        [4, 4, 4, 4, 3] => (5, true),
        [4, 4, 4, 4, ..] => (4, true),
        [4, 6, 5 | 4, ..] => (3, true),
        [14..=19, ..] => (1, false),
        _ => return None,
    };
    let len = lens[..count].iter().sum::<usize>() + count - 1;
    let separator = bytes.get(lens[0]).filter(|_| grouped);
    let is_regular = bytes[..len]
        .iter()
        .all(|b| b.is_ascii_digit() || Some(b) == separator);
    if !is_regular || !is_apart_after(view, start + len) || !is_card(&digits(&bytes[..len])) {
        return None;
    }
    let number = start..start + len;
    let is_sure =
        grouped && !is_in_table(view, number.clone()) || has_context(view, start, &CARD_WORDS);
    if !is_sure && is_among_figures(view, number) {
        return None;
    }
    Some((len, (!is_sure).then_some(Severity::Medium)))
}

/// Whether a long number that is no card's stands next to one, as in a table of constants.
fn is_among_figures(view: &[u8], number: Range<usize>) -> bool {
    const GAP_BYTES_MAX: usize = 32;
    const NUMBER_BYTES_MAX: usize = 32;
    let is_gap = |byte: &&u8| !byte.is_ascii_alphanumeric();
    let is_figure = |number: &[u8]| number.len() >= DIGITS_MIN && !is_card(&digits(number));
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let before = view[..number.start].iter().rev().take(GAP_BYTES_MAX);
    let end = number.start - before.take_while(is_gap).count();
    let before = view[..end].iter().rev().take(NUMBER_BYTES_MAX);
    let before = &view[end - before.take_while(is_digit).count()..end];
    let after = view[number.end..].iter().take(GAP_BYTES_MAX);
    let start = number.end + after.take_while(is_gap).count();
    let after = view[start..].iter().take(NUMBER_BYTES_MAX);
    let after = &view[start..start + after.take_while(is_digit).count()];
    is_figure(before) || is_figure(after)
}

/// Whether more groups of four digits stand beside a number, as in columns of figures. Shorter ones
/// may be its date and code.
fn is_in_table(view: &[u8], number: Range<usize>) -> bool {
    const GROUP: usize = 4;
    let is_group = |start: usize| {
        let group = view.get(start..start + GROUP);
        group.is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit))
    };
    number.start.checked_sub(GROUP + 1).is_some_and(is_group) || is_group(number.end + 1)
}

const CARD_WORDS: [&str; 9] = [
    "card",
    "visa",
    "master",
    "amex",
    "american express",
    "credit",
    "debit",
    "payment",
    "pan\"",
];

/// A label stands this near its number.
const CONTEXT_BYTES: usize = 64;

/// Whether a word stands in the bytes before.
fn has_context(view: &[u8], at: usize, words: &[&str]) -> bool {
    let before = view[at.saturating_sub(CONTEXT_BYTES)..at].to_ascii_lowercase();
    words
        .iter()
        .any(|word| memchr::memmem::find(&before, word.as_bytes()).is_some())
}

const SSN_LEN: usize = 11;

/// `AAA-GG-SSSS` in the ranges that the Social Security Administration issues; with spaces only
/// where the words say so.
fn is_ssn(view: &[u8], start: usize) -> bool {
    let Some(text) = view.get(start..start + SSN_LEN) else {
        return false;
    };
    let (area, group, serial) = (&text[..3], &text[4..6], &text[7..]);
    let is_number = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let is_plain = text[3] == b'-' && text[6] == b'-';
    let is_spaced = text[3] == b' ' && text[6] == b' ';
    let issued = area != b"000" && area != b"666" && area[0] != b'9';
    is_number(area)
        && is_number(group)
        && is_number(serial)
        && issued
        && group != b"00"
        && serial != b"0000"
        && is_apart_after(view, start + SSN_LEN)
        && (is_plain || is_spaced && has_context(view, start, &SSN_WORDS))
}

/// Whether a number is one that manuals make up, `111-22-3333`: each group one digit over and over, and no
/// word before that says what it is.
fn is_stand_in(view: &[u8], number: &Range<usize>) -> bool {
    let mut groups = view[number.clone()].split(|b| !b.is_ascii_digit());
    groups.all(|group| group.iter().all(|digit| *digit == group[0]))
        && !has_context(view, number.start, &SSN_WORDS)
}

const SSN_WORDS: [&str; 2] = ["ssn", "social security"];

/// Letters of an IBAN come at most this far before its first long run of digits.
const IBAN_BACK: usize = 16;

fn iban(view: &[u8], run: &Range<usize>, push: Push<'_>) {
    let from = run.start.saturating_sub(IBAN_BACK);
    for start in from..run.start {
        let is_start = start == 0 || !view[start - 1].is_ascii_alphanumeric();
        let head = &view[start..view.len().min(start + 4)];
        if !is_start || head.len() < 4 || !head[2..].iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Some(len) = iban_len([head[0], head[1]]) else {
            continue;
        };
        if let Some(end) = iban_end(view, start, len) {
            push(Shape::Iban, start..end, None);
            return;
        }
    }
}

fn iban_end(view: &[u8], start: usize, len: usize) -> Option<usize> {
    let mut value = Vec::with_capacity(len);
    let mut end = start;
    while value.len() < len {
        match view.get(end)? {
            byte if byte.is_ascii_digit() || byte.is_ascii_uppercase() => value.push(*byte),
            b' ' | b'-' | b'+' if view[end - 1].is_ascii_alphanumeric() => {}
            _ => return None,
        }
        end += 1;
    }
    let is_end = !view.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (is_end && is_iban(&value)).then_some(end)
}

/// Symbols of an uncompressed key; a compressed one has one more.
const WIF_MIN: usize = 51;

fn wif(view: &[u8], run: Range<usize>, push: Push<'_>) {
    let mut start = run.start;
    for part in view[run].split(|b| !IN_BASE58[usize::from(*b)]) {
        let range = start..start + part.len();
        start = range.end + 1;
        let looks = matches!(
            (part.len(), part.first()),
            (51, Some(b'5' | b'9')) | (52, Some(b'K' | b'L' | b'c'))
        );
        if !looks || !is_alone(view, &range) {
            continue;
        }
        let is_key = base58check(part).is_some_and(|payload| matches!(payload[0], 0x80 | 0xef));
        if is_key {
            push(Shape::Wif, range, None);
        }
    }
}

/// The symbols of base58: letters and digits without those that look alike.
static IN_BASE58: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let is_alike = matches!(byte, b'0' | b'O' | b'I' | b'l');
        table[byte as usize] = byte.is_ascii_alphanumeric() && !is_alike;
        byte += 1;
    }
    table
};

fn is_alone(view: &[u8], range: &Range<usize>) -> bool {
    let before = range.start.checked_sub(1).map(|at| view[at]);
    let after = view.get(range.end).copied();
    ![before, after]
        .into_iter()
        .flatten()
        .any(|b| b.is_ascii_alphanumeric())
}

/// Words of the shortest phrase (BIP-39); its longest has 24.
const SEED_WORDS_MIN: usize = 12;
const SEED_WORDS_MAX: usize = 24;

/// The shortest phrase is twelve words of three letters with eleven separators; a probe every so
/// many bytes, and the word after it, meets one.
const SEED_PROBE: usize = 36;

/// Between words: a space, a comma, a line break with a number.
const SEED_GAP_MAX: usize = 8;

fn seeds(view: &[u8], part: &Range<usize>, push: Push<'_>) {
    let mut probe = part.start;
    while probe < part.end {
        let next = probe + SEED_PROBE;
        probe = match word_at(view, probe) {
            Some(word) if is_seed_word(&view[word.clone()]) => {
                let (end, count) = phrase_end(view, &word);
                if count >= SEED_WORDS_MIN || count + words_before(view, &word) >= SEED_WORDS_MIN {
                    phrase(view, &expand(view, word), push);
                }
                end + SEED_PROBE
            }
            Some(word) => next.max(word.end),
            None => next,
        };
    }
}

/// Where the run of phrase words that goes on from one ends, and how many words that is.
fn phrase_end(view: &[u8], word: &Range<usize>) -> (usize, usize) {
    let (mut end, mut count) = (word.end, 1);
    while let Some(after) = word_after(view, end) {
        end = after.end;
        count += 1;
    }
    (end, count)
}

/// Phrase words before one, as many as the shortest phrase needs.
fn words_before(view: &[u8], word: &Range<usize>) -> usize {
    let (mut start, mut count) = (word.start, 0);
    while count < SEED_WORDS_MIN
        && let Some(before) = word_before(view, start)
    {
        start = before.start;
        count += 1;
    }
    count
}

fn phrase(view: &[u8], words: &[Range<usize>], push: Push<'_>) {
    let lower =
        |word: &Range<usize>| String::from_utf8_lossy(&view[word.clone()]).to_ascii_lowercase();
    let texts: Vec<String> = words.iter().map(lower).collect();
    let mut from = 0;
    while from + SEED_WORDS_MIN <= words.len() {
        let mut sizes = (SEED_WORDS_MIN..=SEED_WORDS_MAX).rev().step_by(3);
        let found = sizes.find(|size| {
            let part = texts.get(from..from + size);
            part.is_some_and(|part| is_drawn(part) && is_checked(part))
        });
        match found {
            Some(size) => {
                let words = &words[from..from + size];
                let severity = is_test_vector(view, words).then_some(Severity::Low);
                push(Shape::Seed, words[0].start..words[size - 1].end, severity);
                from += size;
            }
            None => from += 1,
        }
    }
}

/// Whether a phrase is one that documentation prints.
fn is_test_vector(view: &[u8], words: &[Range<usize>]) -> bool {
    let words = words.iter().map(|word| &view[word.clone()]);
    let text = words.collect::<Vec<_>>().join(&b' ');
    is_published(&text.to_ascii_lowercase())
}

/// Whether the last word holds the checksum of all.
fn is_checked(words: &[String]) -> bool {
    Mnemonic::parse_in_normalized(Language::English, &words.join(" ")).is_ok()
}

/// Whether words may have been drawn by lot: not a few over and over, nor a list in order.
fn is_drawn(words: &[String]) -> bool {
    let is_first = |index: &usize| !words[..*index].contains(&words[*index]);
    let distinct = (0..words.len()).filter(is_first).count();
    distinct * 2 > words.len() && !words.is_sorted()
}

/// The word at a place or soon after it, as far as a phrase's word can reach.
fn word_at(view: &[u8], at: usize) -> Option<Range<usize>> {
    let gap = view[at..]
        .iter()
        .take(SEED_GAP_MAX + 1)
        .position(u8::is_ascii_alphabetic)?;
    let inside = at + gap;
    let is_other = |byte: &u8| !byte.is_ascii_alphabetic();
    let least = inside.saturating_sub(SEED_WORD_LEN_MAX + 1);
    let back = view[least..inside].iter().rposition(is_other);
    let on = &view[inside..view.len().min(inside + SEED_WORD_LEN_MAX + 1)];
    let len = on.iter().position(is_other).unwrap_or(on.len());
    Some(back.map_or(least, |other| least + other + 1)..inside + len)
}

/// The longest word of BIP-39.
const SEED_WORD_LEN_MAX: usize = 8;

/// Whether a word is one of a phrase, as far as its hash tells. The phrase's checksum decides.
fn is_seed_word(word: &[u8]) -> bool {
    let mut lower = [0; SEED_WORD_LEN_MAX];
    let Some(lower) = lower.get_mut(..word.len()).filter(|word| word.len() >= 3) else {
        return false;
    };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    SEED_WORDS.may_hold(lower)
}

/// The hashes of the words of BIP-39: most others are told from them by one bit.
struct SeedWords(OnceLock<Box<[u64; SEED_HASHES / 64]>>);

/// Thirty-two for each word.
const SEED_HASHES: usize = 1 << 16;

static SEED_WORDS: SeedWords = SeedWords(OnceLock::new());

impl SeedWords {
    /// Whether a lower-case word may be one.
    fn may_hold(&self, word: &[u8]) -> bool {
        let hashes = self.0.get_or_init(|| {
            let mut hashes = Box::new([0; SEED_HASHES / 64]);
            for word in Language::English.word_list() {
                let hash = Self::hash(word.as_bytes());
                hashes[hash / 64] |= 1 << (hash % 64);
            }
            hashes
        });
        let hash = Self::hash(word);
        hashes[hash / 64] >> (hash % 64) & 1 == 1
    }

    fn hash(word: &[u8]) -> usize {
        // The multiplier of Knuth's MMIX generator spreads the letters to the upper bits.
        let letters = word.iter().fold(0u64, |all, b| all << 8 | u64::from(*b));
        (letters.wrapping_mul(6_364_136_223_846_793_005) >> 48) as usize
    }
}

/// The run of phrase words around one, in order.
fn expand(view: &[u8], word: Range<usize>) -> Vec<Range<usize>> {
    let mut words = vec![word.clone()];
    while let Some(before) = word_before(view, words[words.len() - 1].start) {
        words.push(before);
    }
    words.reverse();
    while let Some(after) = word_after(view, words[words.len() - 1].end) {
        words.push(after);
    }
    words
}

fn is_gap(gap: &[u8]) -> bool {
    !gap.is_empty()
        && gap.len() <= SEED_GAP_MAX
        && !gap
            .iter()
            .any(|b| matches!(b, b'!' | b'?' | b'<' | b'>' | b'(' | b'=' | 128..))
}

fn word_before(view: &[u8], start: usize) -> Option<Range<usize>> {
    let before = view[..start].iter().rev().take(SEED_GAP_MAX + 1);
    let gap = before.take_while(|b| !b.is_ascii_alphabetic()).count();
    let end = start - gap;
    let len = view[..end]
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphabetic())
        .take(SEED_WORD_LEN_MAX + 1)
        .count();
    let found = end - len..end;
    (is_gap(&view[end..start]) && is_seed_word(&view[found.clone()])).then_some(found)
}

fn word_after(view: &[u8], end: usize) -> Option<Range<usize>> {
    let after = view[end..].iter().take(SEED_GAP_MAX + 1);
    let gap = after.take_while(|b| !b.is_ascii_alphabetic()).count();
    let start = end + gap;
    let len = view[start..]
        .iter()
        .take_while(|b| b.is_ascii_alphabetic())
        .take(SEED_WORD_LEN_MAX + 1)
        .count();
    let found = start..start + len;
    (is_gap(&view[end..start]) && is_seed_word(&view[found.clone()])).then_some(found)
}
