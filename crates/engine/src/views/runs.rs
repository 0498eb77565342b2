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

enum RunKind {
    /// Of base64's alphabets, with line breaks.
    Token,
    /// Pairs of hexadecimal digits with the same bytes between each.
    Separated,
}

/// A way to decode a run.
pub(super) struct Coding {
    radix: Radix,
    /// Where each symbol is in the parent, counted from the first whole one.
    symbols: Vec<u32>,
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

/// Any six printable bytes in a row, which noise shows once in four hundred places, or text of
/// other scripts: all else is an identifier or data that was never encoded text.
pub(super) fn may_mean(decoded: &[u8]) -> bool {
    const PRINTABLE_MIN: usize = 6;
    let mut row = 0;
    let has_row = decoded.iter().any(|byte| {
        row = if matches!(byte, b' '..=b'~') {
            row + 1
        } else {
            0
        };
        row == PRINTABLE_MIN
    });
    has_row || std::str::from_utf8(decoded).is_ok()
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

/// Runs of separated pairs. A pair or its separator is at every probe.
fn separated(bytes: &[u8]) -> Vec<Run> {
    let mut found = Vec::new();
    let mut probe = 0;
    while probe + 1 < bytes.len() {
        let Some((start, separator)) = pair_near(bytes, probe) else {
            probe += GROUPS_MIN;
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
        if !is_pair(bytes, at) || is_hex(bytes, at + 2) && bytes.get(at + 3) != Some(&b'x') {
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
    /// The ways to decode it that may bring something to light.
    pub(super) fn codings(&self, bytes: &[u8]) -> Vec<Coding> {
        match self.kind {
            RunKind::Separated => vec![self.separated(bytes)],
            RunKind::Token => self.token(bytes),
        }
    }

    fn separated(&self, bytes: &[u8]) -> Coding {
        let mut symbols: Vec<u32> = self.range.clone().map(|at| at as u32).collect();
        symbols.retain(|at| HEX[bytes[*at as usize] as usize] != OUTSIDE);
        // `0x` has a digit of its own.
        let prefix = |at: &u32| bytes.get(*at as usize + 1) == Some(&b'x');
        symbols.retain(|at| !prefix(at));
        Coding {
            radix: Radix::Hex,
            symbols,
        }
    }

    fn token(&self, bytes: &[u8]) -> Vec<Coding> {
        let mut codings = Vec::new();
        let symbols: Vec<u32> = (self.range.start as u32..self.range.end as u32)
            .filter(|at| BASE64[bytes[*at as usize] as usize] != OUTSIDE)
            .collect();
        // Whatever stands before the run, one of the four alignments is right.
        for phase in 0..4 {
            codings.push(Coding {
                radix: Radix::Base64,
                symbols: symbols[phase..].to_vec(),
            });
        }
        self.narrow(bytes, &HEX, RUN_MIN, Radix::Hex, 2, &mut codings);
        self.narrow(bytes, &BASE32, BASE32_MIN, Radix::Base32, 8, &mut codings);
        codings
    }

    /// Adds the stretches of the run that are of a smaller alphabet too.
    fn narrow(
        &self,
        bytes: &[u8],
        alphabet: &[u8; 256],
        min: usize,
        radix: Radix,
        phases: usize,
        codings: &mut Vec<Coding>,
    ) {
        let is_break = |b: u8| matches!(b, b'\r' | b'\n' | b' ' | b'\t');
        let mut at = self.range.start;
        for part in
            bytes[self.range.clone()].split(|b| alphabet[*b as usize] == OUTSIDE && !is_break(*b))
        {
            if part.len() >= min {
                let symbols: Vec<u32> = (at as u32..(at + part.len()) as u32)
                    .filter(|at| !is_break(bytes[*at as usize]))
                    .collect();
                let phases = if self.clipped || radix == Radix::Hex {
                    phases
                } else {
                    1
                };
                for phase in 0..phases.min(symbols.len()) {
                    codings.push(Coding {
                        radix,
                        symbols: symbols[phase..].to_vec(),
                    });
                }
            }
            at += part.len() + 1;
        }
    }
}

impl Coding {
    pub(super) fn name(&self) -> &'static str {
        match self.radix {
            Radix::Base64 => "base64",
            Radix::Base32 => "base32",
            Radix::Hex => "hex",
        }
    }

    /// Decodes; bits left over at the end are dropped.
    pub(super) fn decode(&self, bytes: &[u8]) -> Vec<u8> {
        let table = match self.radix {
            Radix::Base64 => &BASE64,
            Radix::Base32 => &BASE32,
            Radix::Hex => &HEX,
        };
        let bits = self.radix.bits();
        let mut out = Vec::with_capacity(self.symbols.len() * bits / 8);
        let (mut held, mut count) = (0u32, 0);
        for at in &self.symbols {
            held = held << bits | u32::from(table[bytes[*at as usize] as usize]);
            count += bits;
            if count >= 8 {
                count -= 8;
                out.push((held >> count) as u8);
            }
        }
        out
    }

    /// Where `start..end` of the output was in the parent.
    pub(super) fn map(&self, start: usize, end: usize) -> (usize, usize) {
        let bits = self.radix.bits();
        let place = |bit: usize| {
            let index = (bit / bits).min(self.symbols.len() - 1);
            self.symbols[index] as usize
        };
        (
            place(start * 8),
            place((end.max(1) * 8).saturating_sub(1)) + 1,
        )
    }
}
