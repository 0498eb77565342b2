//! Runs of symbols that may be base64, base32 or hexadecimal, and their decodings.

use std::ops::Range;

use super::plain::Edits;

/// A shorter run holds no credential: eight bytes in hexadecimal.
const RUN_MIN: usize = 16;

/// Base32 of under fifteen bytes is not looked for: lower-case words are all base32.
const BASE32_MIN: usize = 24;

/// Two-digit groups of separated hexadecimal.
const GROUPS_MIN: usize = 8;

/// A line of at least this many symbols may go on in the next line (MIME, RFC 2045 section 6.8,
/// wraps at 76, PEM at 64; some tools at 20).
const WRAP_MIN: usize = 16;

/// A run of symbols. It may hold line breaks or separators.
pub(super) struct Run {
    range: Range<usize>,
    kind: RunKind,
    /// Whether it may go on outside the view.
    clipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunKind {
    /// Of base64's alphabets, with line breaks.
    Token,
    /// Pairs of hexadecimal digits with the same bytes between each.
    Separated,
}

/// How a part of a run was decoded.
#[derive(Clone)]
pub(super) struct Coding {
    radix: Radix,
    /// Where the symbols are in the parent, with what separates them, from the first one on.
    range: Range<usize>,
    is_separated: bool,
}

/// What a run, or a part of it, decodes to.
pub(super) struct Part {
    pub(super) coding: Coding,
    pub(super) bytes: Vec<u8>,
    /// Whether more may stand before or after it.
    pub(super) clipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Radix {
    Base64,
    Base32,
    Hex,
}

impl Radix {
    fn bits(self) -> usize {
        match self {
            Self::Base64 => 6,
            Self::Base32 => 5,
            Self::Hex => 4,
        }
    }

    fn alphabet(self) -> &'static [u8; 256] {
        match self {
            Self::Base64 => &BASE64,
            Self::Base32 => &BASE32,
            Self::Hex => &HEX,
        }
    }
}

const OUTSIDE: u8 = 0xff;

/// Standard and URL-safe alphabets together (RFC 4648, sections 4 and 5).
static BASE64: [u8; 256] = {
    let mut table = [OUTSIDE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

/// RFC 4648, section 6, in either case.
static BASE32: [u8; 256] = {
    let mut table = [OUTSIDE; 256];
    let mut value = 0;
    while value < 26 {
        table[b'A' as usize + value] = value as u8;
        table[b'a' as usize + value] = value as u8;
        value += 1;
    }
    while value < 32 {
        table[b'2' as usize + value - 26] = value as u8;
        value += 1;
    }
    table
};

static HEX: [u8; 256] = {
    let mut table = [OUTSIDE; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Whether a byte can be part of an encoded run.
pub(crate) fn is_encoding_byte(byte: u8) -> bool {
    BASE64[byte as usize] != OUTSIDE
}

/// Bytes that are tested at once.
const WORD: usize = 8;

/// A run of fewer bytes need not hold a whole word.
const WORD_RUN_MIN: usize = 2 * WORD - 1;

/// The maximal runs of base64 symbols of at least `min` bytes, which is no less than
/// [`WORD_RUN_MIN`], that reach into parts of the bytes, which are in order.
pub(crate) fn token_runs<'a>(
    bytes: &'a [u8],
    parts: &'a [Range<usize>],
    min: usize,
) -> impl Iterator<Item = Range<usize>> + 'a {
    debug_assert!(min >= WORD_RUN_MIN);
    let (mut from, step) = (0, (min - WORD + 1) / WORD * WORD);
    let mut parts = parts.iter();
    let mut end = 0;
    std::iter::from_fn(move || {
        loop {
            // A run that ends in a part has a word within so many bytes before it, or in it.
            let near = &bytes[..bytes.len().min(end + min)];
            let word = match from < end {
                true => next_word(near, from, step, may_be_symbols, &IS_SYMBOL),
                false => None,
            };
            let Some(word) = word else {
                let part = parts.next()?;
                from = from.max(part.start.saturating_sub(min));
                end = part.end;
                continue;
            };
            let back = row_before(&bytes[..word], &BASE64);
            let on = row(&bytes[word..], &BASE64);
            let run = word - back..word + on;
            from = run.end;
            if run.len() >= min {
                return Some(run);
            }
        }
    })
}

/// How many bytes, from the first on, are symbols of an alphabet: the value of any other byte has its
/// highest bit set.
#[inline]
pub(super) fn row(bytes: &[u8], values: &[u8; 256]) -> usize {
    let is_other = |byte: &u8| !are_symbols(&[*byte], values);
    // Most rows are short, and a word of others costs more than it saves.
    let first = &bytes[..bytes.len().min(WORD)];
    if let Some(end) = first.iter().position(is_other) {
        return end;
    }
    let words = bytes.chunks_exact(WORD);
    let len = WORD * words.take_while(|word| are_symbols(word, values)).count();
    let rest = &bytes[len..];
    len + rest.iter().position(is_other).unwrap_or(rest.len())
}

/// How many bytes before the end are symbols of an alphabet, as [`row`] tells them.
#[inline]
fn row_before(bytes: &[u8], values: &[u8; 256]) -> usize {
    let is_other = |byte: &u8| !are_symbols(&[*byte], values);
    let last = &bytes[bytes.len().saturating_sub(WORD)..];
    if let Some(at) = last.iter().rposition(is_other) {
        return last.len() - 1 - at;
    }
    let words = bytes.rchunks_exact(WORD);
    let len = WORD * words.take_while(|word| are_symbols(word, values)).count();
    let rest = &bytes[..bytes.len() - len];
    let other = rest.iter().rposition(is_other);
    bytes.len() - other.map_or(0, |at| at + 1)
}

/// Whether all bytes are symbols. No byte ends the look early, which is quicker for a few.
#[inline]
fn are_symbols(bytes: &[u8], values: &[u8; 256]) -> bool {
    let of_all = bytes
        .iter()
        .fold(0, |all, byte| all | values[usize::from(*byte)]);
    of_all & 0x80 == 0
}

/// Where the next word at a multiple of `step` is whose bytes are all of a kind. `may_be` is a
/// quick test of a word that lets few others pass.
fn next_word(
    bytes: &[u8],
    from: usize,
    step: usize,
    may_be: fn(u64) -> bool,
    is_kind: &[bool; 256],
) -> Option<usize> {
    let first = from.div_ceil(step) * step;
    let mut words = bytes.get(first..)?.chunks(step);
    let is_word = |chunk: &[u8]| {
        chunk.first_chunk::<WORD>().is_some_and(|word| {
            may_be(u64::from_le_bytes(*word)) && word.iter().all(|byte| is_kind[usize::from(*byte)])
        })
    };
    Some(first + words.position(is_word)? * step)
}

/// Whether none of eight bytes is below `+`, the first symbol, as space and quotes are (Hacker's
/// Delight, section 6-1).
fn may_be_symbols(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(ONES * b'+' as u64) & !word & (ONES << 7) == 0
}

static IS_SYMBOL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = BASE64[byte] != OUTSIDE;
        byte += 1;
    }
    table
};

/// So many printable bytes in a row, which noise hardly ever shows, tell text from an identifier or
/// data that was never encoded text. They are at least three whole groups of four base64 symbols.
const PRINTABLE_MIN: usize = 11;

/// The groups of three bytes that so many printable bytes hold, wherever they begin.
const GROUPS_OF_TEXT: u8 = 3;

/// The parts of decoded bytes that may be text are told apart in cells of this size: a multiple of
/// three and of five, so that each begins at a whole symbol of every radix.
const CELL: usize = 30;

/// Parts of decoded bytes that may be text, with the cells around them.
#[derive(Default)]
struct Parts(Vec<Range<usize>>);

impl Parts {
    /// Adds bytes that are printable, after those that were added before.
    fn add(&mut self, start: usize, end: usize) {
        let start = (start / CELL * CELL).saturating_sub(CELL);
        let end = ((end - 1) / CELL + 2) * CELL;
        match self.0.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            Some(_) | None => self.0.push(start..end),
        }
    }
}

/// The printable parts of decoded bytes.
fn printable(decoded: &[u8]) -> Parts {
    let (mut parts, mut row) = (Parts::default(), 0);
    for (at, byte) in decoded.iter().enumerate() {
        row = (row + 1) * usize::from(matches!(byte, b' '..=b'~'));
        if row >= PRINTABLE_MIN {
            parts.add(at + 1 - row, at + 1);
        }
    }
    parts
}

/// The printable parts of what base64 symbols decode to, from each of the first four on: whatever
/// stands before them, one of the four is right.
///
/// Of a group of four symbols that stands for printable text, the first three are each of a few. That
/// is looked up for each, and only what three groups in a row show is looked at closely.
fn printable_base64(values: &[u8]) -> [Parts; 4] {
    /// Three groups, each of whose third symbol is the last one, four or eight before it.
    const ROW: u32 = 1 | 1 << 4 | 1 << 8;
    const SYMBOLS: usize = 4 * GROUPS_OF_TEXT as usize;
    let mut parts: [Parts; 4] = Default::default();
    let (mut places, mut thirds) = (0u32, 0u32);
    for (at, value) in values.iter().enumerate() {
        places = places << 3 | u32::from(IN_TEXT[usize::from(*value)]);
        thirds = thirds << 1 | u32::from(places & 0o421 == 0o421);
        if thirds & ROW != ROW {
            continue;
        }
        let end = at + 2;
        let row = end
            .checked_sub(SYMBOLS)
            .and_then(|start| values.get(start..end));
        if row.is_some_and(|row| row.chunks(4).all(is_group_of_text)) {
            let phase = end % 4;
            let end = 3 * ((end - phase) / 4);
            parts[phase].add(end - 3 * usize::from(GROUPS_OF_TEXT), end);
        }
    }
    parts
}

/// Whether four symbols stand for printable bytes.
fn is_group_of_text(symbols: &[u8]) -> bool {
    is_printable(
        symbols
            .iter()
            .fold(0, |held, value| held << 6 | u32::from(*value)),
    )
}

/// For each base64 value, whether it may be the first (4), the second (2) and the third (1) symbol of
/// three printable bytes.
static IN_TEXT: [u8; 256] = {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 64 {
        // The first byte's upper bits, the second's upper half, the third's upper two bits.
        let first = value >= 0x20 >> 2 && value < 0x80 >> 2;
        let second = value & 0x0f >= 2 && value & 0x0f < 8;
        let third = value & 2 == 0;
        table[value] = (first as u8) << 2 | (second as u8) << 1 | third as u8;
        value += 1;
    }
    table
};

/// Whether the lowest three bytes are printable, or nearly: DEL counts too.
fn is_printable(held: u32) -> bool {
    let is_low = !(held | held << 1) & 0x40_4040;
    held & 0x80_8080 | is_low == 0
}

/// The same for pairs of hexadecimal digits, from each of the first two on.
fn printable_hex(values: &[u8]) -> [Parts; 2] {
    let mut parts: [Parts; 2] = Default::default();
    let mut rows = [0; 2];
    for (index, high) in values.iter().enumerate() {
        let phase = index % 2;
        rows[phase] = (rows[phase] + 1) * usize::from(matches!(high, 2..=7));
        if rows[phase] >= PRINTABLE_MIN {
            let end = index / 2 + 1;
            parts[phase].add(end - PRINTABLE_MIN, end);
        }
    }
    parts
}

/// Bytes around a change in which pairs with separators show.
const PAIRS_AROUND: usize = 32;

/// The parts of a view in which runs are looked for: all of it, or what is within a run of what was
/// changed.
pub(super) fn parts(bytes: &[u8], edits: Option<&Edits>) -> Vec<Range<usize>> {
    let Some(edits) = edits else {
        return std::iter::once(0..bytes.len()).collect();
    };
    let mut parts: Vec<Range<usize>> = Vec::new();
    for change in edits.changes() {
        let before = parts.last().map_or(0, |last| last.end);
        if change.end <= before {
            continue;
        }
        let start = change.start.max(before);
        let start = before + run_start(&bytes[before..], start - before);
        let start = start.saturating_sub(PAIRS_AROUND).max(before);
        let end = bytes.len().min(run_end(bytes, change.end) + PAIRS_AROUND);
        match parts.last_mut() {
            Some(last) if last.end == start => last.end = end,
            Some(_) | None => parts.push(start..end),
        }
    }
    parts
}

/// All runs of a view's parts that are worth decoding.
pub(super) fn runs(bytes: &[u8], parts: &[Range<usize>], clipped: bool) -> Vec<Run> {
    let mut found: Vec<Run> = Vec::new();
    for range in token_runs(bytes, parts, WRAP_MIN) {
        match found.last_mut() {
            Some(last) if is_wrap(&bytes[last.range.end..range.start]) => {
                last.range.end = range.end;
            }
            _ => found.push(Run {
                range,
                kind: RunKind::Token,
                clipped: false,
            }),
        }
    }
    for run in &mut found {
        run.range.end += last_line(bytes, run.range.end);
        run.clipped = clipped && (run.range.start == 0 || run.range.end == bytes.len());
    }
    for part in parts {
        separated(bytes, part, &mut found);
    }
    found
}

/// A line break with at most a little indentation.
const WRAP_GAP_MAX: usize = 8;

fn is_wrap(between: &[u8]) -> bool {
    (1..=WRAP_GAP_MAX).contains(&between.len())
        && between.contains(&b'\n')
        && between.iter().all(|b| is_break(*b))
}

/// The length of a break and a last line, too short for a run of its own.
fn last_line(bytes: &[u8], end: usize) -> usize {
    let rest = &bytes[end..];
    let gap = rest
        .iter()
        .take(WRAP_GAP_MAX)
        .take_while(|b| !is_encoding_byte(**b))
        .count();
    if !is_wrap(&rest[..gap]) {
        return 0;
    }
    gap + rest[gap..]
        .iter()
        .take(WRAP_MIN)
        .take_while(|b| is_encoding_byte(**b))
        .count()
}

/// Where the run that reaches up to a place starts.
pub(super) fn run_start(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at -= row_before(&bytes[..at], &BASE64);
        let before = bytes[..at].iter().rev().take(WRAP_GAP_MAX);
        let line = at - before.take_while(|b| is_break(**b)).count();
        let symbols = &bytes[line.saturating_sub(WRAP_MIN)..line];
        if !is_wrap(&bytes[line..at]) || row_before(symbols, &BASE64) < WRAP_MIN {
            return at;
        }
        at = line;
    }
}

/// Where the run that begins before a place ends.
pub(super) fn run_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at += row(&bytes[at..], &BASE64);
        let after = bytes[at..].iter().take(WRAP_GAP_MAX);
        let line = at + after.take_while(|b| is_break(**b)).count();
        let symbols = &bytes[line..bytes.len().min(line + WRAP_MIN)];
        if !is_wrap(&bytes[at..line]) || row(symbols, &BASE64) < WRAP_MIN {
            return at + last_line(bytes, at);
        }
        at = line;
    }
}

fn is_hex(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|b| HEX[*b as usize] != OUTSIDE)
}

/// The separators of `de:ad`, `de-ad`, `de ad`, `de,ad`, `0xde,0xad`, `0xde, 0xad` and `\xde\xad`.
const SEPARATORS: [&[u8]; 11] = [
    b", 0x", b",0x", b" 0x", b"\\x", b"0x", b", ", b":", b"-", b" ", b",", b".",
];

/// Bytes of separated pairs: eight of them in a row are in each run that is long enough.
static IN_SEPARATED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = HEX[byte] != OUTSIDE
            || matches!(byte as u8, b',' | b' ' | b'\\' | b'x' | b':' | b'-' | b'.');
        byte += 1;
    }
    table
};

/// Finds the runs of separated pairs that reach into a part.
fn separated(bytes: &[u8], part: &Range<usize>, found: &mut Vec<Run>) {
    let (mut from, near) = (part.start, &bytes[..part.end]);
    while let Some(word) = next_word(near, from, WORD, |_| true, &IN_SEPARATED) {
        let Some((start, separator)) = pair_near(bytes, word) else {
            from = word + 1;
            continue;
        };
        let period = separator.len() + 2;
        let is_next =
            |at: usize| bytes[at..].starts_with(separator) && is_pair(bytes, at + separator.len());
        let mut first = start;
        while first >= period && is_pair(bytes, first - period) && is_next(first - separator.len())
        {
            first -= period;
        }
        let mut end = start + 2;
        while end < bytes.len() && is_next(end) {
            end += period;
        }
        if end - first >= GROUPS_MIN * period - separator.len() {
            found.push(Run {
                range: first..end,
                kind: RunKind::Separated,
                clipped: false,
            });
        }
        from = end.max(word + 1);
    }
}

fn is_pair(bytes: &[u8], at: usize) -> bool {
    is_hex(bytes, at) && is_hex(bytes, at + 1)
}

/// A pair just after `probe` that a separator and another pair follow.
fn pair_near(bytes: &[u8], probe: usize) -> Option<(usize, &'static [u8])> {
    (probe..bytes.len().min(probe + 6)).find_map(|at| {
        let next = *bytes.get(at + 2)?;
        let begins_separator = matches!(next, b',' | b' ' | b'\\' | b'0' | b':' | b'-' | b'.');
        if !begins_separator || !is_pair(bytes, at) {
            return None;
        }
        if next == b'0' && bytes.get(at + 3) != Some(&b'x') {
            return None;
        }
        let after = &bytes[at + 2..];
        let separator = SEPARATORS
            .into_iter()
            .find(|separator| after.starts_with(separator))?;
        is_pair(bytes, at + 2 + separator.len()).then_some((at, separator))
    })
}

impl Run {
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Tells of each part of it that means something in some coding.
    pub(super) fn decode<E>(
        &self,
        bytes: &[u8],
        mut tell: impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.kind == RunKind::Separated {
            let symbols = Symbols::separated(bytes, self.range.clone());
            return symbols.tell(0, Parts::default(), &mut tell);
        }
        let symbols = Symbols::of(bytes, self.range.clone(), Radix::Base64, self.clipped);
        for (phase, parts) in printable_base64(&symbols.values).into_iter().enumerate() {
            symbols.tell(phase, parts, &mut tell)?;
        }
        for range in stretches(bytes, self.range.clone(), &HEX, RUN_MIN) {
            let symbols = Symbols::of(bytes, range, Radix::Hex, self.clipped);
            for (phase, parts) in printable_hex(&symbols.values).into_iter().enumerate() {
                symbols.tell(phase, parts, &mut tell)?;
            }
        }
        for range in stretches(bytes, self.range.clone(), &BASE32, BASE32_MIN) {
            let is_cut = range.start == self.range.start || range.end == self.range.end;
            let symbols = Symbols::of(bytes, range, Radix::Base32, self.clipped);
            for phase in 0..if self.clipped && is_cut { 8 } else { 1 } {
                let parts = printable(&decode(&symbols.values[phase..], Radix::Base32));
                symbols.tell(phase, parts, &mut tell)?;
            }
        }
        Ok(())
    }
}

/// The values of a run's symbols.
struct Symbols {
    values: Vec<u8>,
    /// Where each symbol is in the parent; empty where nothing stands between them.
    places: Vec<usize>,
    range: Range<usize>,
    radix: Radix,
    is_separated: bool,
    /// Whether the run may go on outside the view.
    clipped: bool,
}

impl Symbols {
    fn of(bytes: &[u8], range: Range<usize>, radix: Radix, clipped: bool) -> Self {
        let table = radix.alphabet();
        let run = &bytes[range.clone()];
        let mut values: Vec<u8> = run.iter().map(|byte| table[usize::from(*byte)]).collect();
        let mut places = Vec::new();
        if memchr::memchr(OUTSIDE, &values).is_some() {
            let at = |index: usize| range.start + index;
            let symbols = values.iter().enumerate();
            places = symbols
                .filter(|(_, value)| **value != OUTSIDE)
                .map(|(index, _)| at(index))
                .collect();
            values.retain(|value| *value != OUTSIDE);
        }
        Self {
            values,
            places,
            range,
            radix,
            is_separated: false,
            clipped,
        }
    }

    fn separated(bytes: &[u8], range: Range<usize>) -> Self {
        let places: Vec<usize> = symbols(bytes, range.clone(), Radix::Hex, true).collect();
        Self {
            values: places
                .iter()
                .map(|at| HEX[usize::from(bytes[*at])])
                .collect(),
            places,
            range,
            radix: Radix::Hex,
            is_separated: true,
            clipped: false,
        }
    }

    /// Tells of the parts of what the symbols decode to from `phase` on; of all of it where it is
    /// text of any script.
    fn tell<E>(
        &self,
        phase: usize,
        parts: Parts,
        tell: &mut impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        let bits = self.radix.bits();
        let len = self.values.len().saturating_sub(phase) * bits / 8;
        let mut parts = parts.0;
        parts
            .iter_mut()
            .for_each(|part| part.end = part.end.min(len));
        if self.is_separated || self.is_text(phase) {
            parts.clear();
            parts.push(0..len);
        }
        for part in parts {
            let first = phase + part.start * 8 / bits;
            let end = phase + (part.end * 8).div_ceil(bits);
            let from = self.places.get(first).copied();
            tell(Part {
                clipped: self.clipped || part.len() < len,
                coding: Coding {
                    radix: self.radix,
                    range: from.unwrap_or(self.range.start + first)..self.range.end,
                    is_separated: self.is_separated,
                },
                bytes: decode(&self.values[first..end], self.radix),
            })?;
        }
        Ok(())
    }

    /// Whether all of it is UTF-8.
    fn is_text(&self, phase: usize) -> bool {
        let values = &self.values[phase..];
        // As a rule the first bytes tell that it is not.
        let bits = self.radix.bits();
        let few = FIRST_BITS.div_ceil(bits);
        let may_be = values.get(..few).is_none_or(|first| {
            let held = first
                .iter()
                .fold(0, |held, value| held << bits | u64::from(*value));
            let first = (held >> (few * bits - FIRST_BITS)).to_be_bytes();
            may_begin_text(&first[8 - FIRST_BITS / 8..])
        });
        may_be && std::str::from_utf8(&decode(values, self.radix)).is_ok()
    }
}

/// As many first bits tell text of any script from data.
const FIRST_BITS: usize = 48;

/// Whether text of any script, wide or with controls in it, may begin so.
fn may_begin_text(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// Decodes symbols; bits left over at the end are dropped.
fn decode(values: &[u8], radix: Radix) -> Vec<u8> {
    let bits = radix.bits();
    let mut out = Vec::with_capacity(values.len() * bits / 8);
    let add = |held: u64, value: &u8| held << bits | u64::from(*value);
    // Eight symbols are as many bytes as one of them has bits.
    let (groups, rest) = values.as_chunks::<8>();
    for group in groups {
        out.extend_from_slice(&group.iter().fold(0, add).to_be_bytes()[8 - bits..]);
    }
    let len = rest.len() * bits / 8;
    let held = rest.iter().fold(0, add) >> (rest.len() * bits - len * 8);
    out.extend_from_slice(&held.to_be_bytes()[8 - len..]);
    out
}

/// Where the symbols of a range are.
fn symbols(
    bytes: &[u8],
    range: Range<usize>,
    radix: Radix,
    is_separated: bool,
) -> impl Iterator<Item = usize> + '_ {
    let alphabet = radix.alphabet();
    range.filter(move |at| {
        // `0x` has a digit of its own.
        alphabet[usize::from(bytes[*at])] != OUTSIDE
            && !(is_separated && bytes.get(*at + 1) == Some(&b'x'))
    })
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b' ' | b'\t')
}

/// The stretches of a run that are of a smaller alphabet too. One probe per `min` bytes finds them
/// all.
fn stretches<'a>(
    bytes: &'a [u8],
    run: Range<usize>,
    alphabet: &'static [u8; 256],
    min: usize,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_part = move |at: usize| {
        let byte = bytes[at];
        alphabet[byte as usize] != OUTSIDE || is_break(byte)
    };
    let mut probe = run.start + min - 1;
    std::iter::from_fn(move || {
        while probe < run.end {
            if !is_part(probe) {
                probe += min;
                continue;
            }
            let (mut start, mut end) = (probe, probe + 1);
            while start > run.start && is_part(start - 1) {
                start -= row_before(&bytes[run.start..start], alphabet).max(1);
            }
            while end < run.end && is_part(end) {
                end += row(&bytes[end..run.end], alphabet).max(1);
            }
            probe = end + min;
            if end - start >= min {
                return Some(start..end);
            }
        }
        None
    })
}

impl Coding {
    pub(super) fn name(&self) -> &'static str {
        match self.radix {
            Radix::Base64 => "base64",
            Radix::Base32 => "base32",
            Radix::Hex => "hex",
        }
    }

    /// Where `start..end` of the output was in the parent, whose bytes these are.
    pub(super) fn map(&self, bytes: &[u8], start: usize, end: usize) -> (usize, usize) {
        let bits = self.radix.bits();
        let (first, last) = (start * 8 / bits, (end.max(1) * 8).saturating_sub(1) / bits);
        let symbols = symbols(bytes, self.range.clone(), self.radix, self.is_separated);
        let mut symbols = symbols.skip(first);
        let from = symbols.next().unwrap_or(self.range.end);
        let to = match (last - first.min(last)).checked_sub(1) {
            Some(further) => symbols.nth(further).unwrap_or(self.range.end - 1),
            None => from,
        };
        (from, self.range.end.min(to + 1))
    }
}
