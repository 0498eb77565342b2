//! Runs of symbols that may be base64, base32 or hexadecimal, and their decodings.

use std::ops::Range;

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
    pub(super) clipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunKind {
    /// Of base64's alphabets, with line breaks.
    Token,
    /// Pairs of hexadecimal digits with the same bytes between each.
    Separated,
}

/// A way to decode a run, or a part of what it decodes to.
#[derive(Clone)]
pub(super) struct Coding {
    radix: Radix,
    /// Where the symbols are in the parent, with what separates them.
    range: Range<usize>,
    /// Symbols that are stepped over.
    skip: usize,
    is_separated: bool,
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

/// The maximal runs of base64 symbols of at least `min` bytes. One probe per `min` bytes finds
/// them all.
pub(crate) fn token_runs(bytes: &[u8], min: usize) -> impl Iterator<Item = Range<usize>> {
    let mut probe = min - 1;
    std::iter::from_fn(move || {
        while probe < bytes.len() {
            if !is_encoding_byte(bytes[probe]) {
                probe += min;
                continue;
            }
            let back = bytes[..probe]
                .iter()
                .rev()
                .take_while(|b| is_encoding_byte(**b))
                .count();
            let on = bytes[probe..]
                .iter()
                .take_while(|b| is_encoding_byte(**b))
                .count();
            let run = probe - back..probe + on;
            probe = run.end + min;
            if run.len() >= min {
                return Some(run);
            }
        }
        None
    })
}

/// So many printable bytes in a row, which noise shows once in four hundred places, tell text from
/// an identifier or data that was never encoded text.
const PRINTABLE_MIN: usize = 6;

/// The parts of decoded bytes that may be text are told apart in cells of this size: a multiple of
/// three and of five, so that each begins at a whole symbol of every radix.
const CELL: usize = 30;

/// The parts of what was decoded that may mean something: all of it where it is text of any
/// script, else what lies near rows of printable bytes.
pub(super) fn meaning(decoded: &[u8], parts: &mut Vec<Range<usize>>) {
    parts.clear();
    let mut row = 0;
    for (at, byte) in decoded.iter().enumerate() {
        row = (row + 1) * usize::from(matches!(byte, b' '..=b'~'));
        if row >= PRINTABLE_MIN {
            let start = ((at + 1 - PRINTABLE_MIN) / CELL * CELL).saturating_sub(CELL);
            let end = decoded.len().min((at / CELL + 2) * CELL);
            match parts.last_mut() {
                Some(last) if last.end >= start => last.end = end,
                Some(_) | None => parts.push(start..end),
            }
        }
    }
    let is_whole = matches!(&parts[..], [part] if *part == (0..decoded.len()));
    if !is_whole && std::str::from_utf8(decoded).is_ok() {
        parts.clear();
        parts.push(0..decoded.len());
    }
}

/// All runs of a view that are worth decoding.
pub(super) fn runs(bytes: &[u8], clipped: bool) -> Vec<Run> {
    let mut found: Vec<Run> = Vec::new();
    for range in token_runs(bytes, WRAP_MIN) {
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
    found.extend(separated(bytes));
    found
}

/// A line break with at most a little indentation and quoting.
fn is_wrap(between: &[u8]) -> bool {
    (1..=8).contains(&between.len())
        && between.contains(&b'\n')
        && between
            .iter()
            .all(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\t'))
}

/// The length of a break and a last line, too short for a run of its own.
fn last_line(bytes: &[u8], end: usize) -> usize {
    let rest = &bytes[end..];
    let gap = rest
        .iter()
        .take(8)
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

fn is_hex(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|b| HEX[*b as usize] != OUTSIDE)
}

/// The separators of `de:ad`, `de-ad`, `de ad`, `de,ad`, `0xde,0xad`, `0xde, 0xad` and `\xde\xad`.
const SEPARATORS: [&[u8]; 11] = [
    b", 0x", b",0x", b" 0x", b"\\x", b"0x", b", ", b":", b"-", b" ", b",", b".",
];

/// The shortest run of separated pairs has the beginning of a pair that others follow within six
/// bytes of every probe so far apart.
const SEPARATED_PROBE: usize = 16;

/// Runs of separated pairs.
fn separated(bytes: &[u8]) -> Vec<Run> {
    let mut found = Vec::new();
    let mut probe = 0;
    while probe + 1 < bytes.len() {
        let Some((start, separator)) = pair_near(bytes, probe) else {
            probe += SEPARATED_PROBE;
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
        probe = end.max(probe) + GROUPS_MIN;
    }
    found
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

    /// Tells of each way to decode it that may bring something to light.
    pub(super) fn codings<E>(
        &self,
        bytes: &[u8],
        mut tell: impl FnMut(Coding) -> Result<(), E>,
    ) -> Result<(), E> {
        let coding = |radix, range, skip| Coding {
            radix,
            range,
            skip,
            is_separated: self.kind == RunKind::Separated,
        };
        if self.kind == RunKind::Separated {
            return tell(coding(Radix::Hex, self.range.clone(), 0));
        }
        // Whatever stands before the run, one of the four alignments is right.
        for skip in 0..4 {
            tell(coding(Radix::Base64, self.range.clone(), skip))?;
        }
        for (alphabet, min, radix, phases) in [
            (&HEX, RUN_MIN, Radix::Hex, 2),
            (&BASE32, BASE32_MIN, Radix::Base32, 8),
        ] {
            let is_any = self.clipped || radix == Radix::Hex;
            for range in stretches(bytes, self.range.clone(), alphabet, min) {
                for skip in 0..if is_any { phases } else { 1 } {
                    tell(coding(radix, range.clone(), skip))?;
                }
            }
        }
        Ok(())
    }
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
                start -= 1;
            }
            while end < run.end && is_part(end) {
                end += 1;
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

    fn alphabet(&self) -> &'static [u8; 256] {
        match self.radix {
            Radix::Base64 => &BASE64,
            Radix::Base32 => &BASE32,
            Radix::Hex => &HEX,
        }
    }

    /// Where the symbols are in the parent.
    fn symbols<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let (alphabet, is_separated) = (self.alphabet(), self.is_separated);
        let is_symbol = move |at: &usize| {
            // `0x` has a digit of its own.
            alphabet[bytes[*at] as usize] != OUTSIDE
                && !(is_separated && bytes.get(*at + 1) == Some(&b'x'))
        };
        self.range.clone().filter(is_symbol).skip(self.skip)
    }

    /// Decodes; bits left over at the end are dropped.
    pub(super) fn decode(&self, bytes: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let (table, bits) = (self.alphabet(), self.radix.bits());
        let (mut held, mut count) = (0u32, 0);
        let mut take = |value: u8| {
            held = held << bits | u32::from(value);
            count += bits;
            if count >= 8 {
                count -= 8;
                out.push((held >> count) as u8);
            }
        };
        if self.is_separated {
            self.symbols(bytes)
                .for_each(|at| take(table[bytes[at] as usize]));
            return;
        }
        let symbols = bytes[self.range.clone()].iter();
        let values = symbols.map(|byte| table[*byte as usize]);
        values
            .filter(|value| *value != OUTSIDE)
            .skip(self.skip)
            .for_each(take);
    }

    /// Steps over what decodes to so many bytes, a multiple of [`CELL`].
    pub(super) fn advance(&mut self, bytes: &[u8], decoded_bytes: usize) {
        let symbols = decoded_bytes * 8 / self.radix.bits();
        if let Some(place) = self.symbols(bytes).nth(symbols) {
            self.range.start = place;
            self.skip = 0;
        }
    }

    /// Where `start..end` of the output was in the parent, whose bytes these are.
    pub(super) fn map(&self, bytes: &[u8], start: usize, end: usize) -> (usize, usize) {
        let bits = self.radix.bits();
        let (first, last) = (start * 8 / bits, (end.max(1) * 8).saturating_sub(1) / bits);
        let mut symbols = self.symbols(bytes).skip(first);
        let from = symbols.next().unwrap_or(self.range.end);
        let to = match (last - first.min(last)).checked_sub(1) {
            Some(further) => symbols.nth(further).unwrap_or(self.range.end - 1),
            None => from,
        };
        (from, to + 1)
    }
}
