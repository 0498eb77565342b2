//! Undoes percent, backslash and entity escapes and folds Unicode to ASCII, all in one pass, so
//! that mixed spellings cost one view and not one each.

use std::ops::Range;

use super::escape::{self, Escape};
use super::runs::{run_end, run_start};

include!(concat!(env!("OUT_DIR"), "/fold.rs"));
static PAGES: &[u8; 0x1100] = include_bytes!(concat!(env!("OUT_DIR"), "/fold-pages.bin"));
static ENTRIES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fold-entries.bin"));

/// Chunks of this size are judged to be text or not; compressed data is not folded.
const CHUNK: usize = 1024;

/// As much printable ASCII in a row makes a chunk text after all: the shortest credentials are
/// about as long, and random bytes show such a row once in some ten million places.
const TEXT_RUN_BYTES: usize = 16;

/// A part of the input that was replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    out: (u32, u32),
    input: (u32, u32),
    kind: Kind,
}

/// What was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Percent,
    Escape,
    Entity,
    Unicode,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Escape => "escape",
            Self::Entity => "entity",
            Self::Unicode => "unicode",
        }
    }
}

/// A part of the input with every escape undone once and Unicode folded.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) edits: Edits,
    /// Whether it is a part only.
    pub(super) clipped: bool,
}

/// How a piece differs from its input.
pub(crate) struct Edits {
    /// Where the piece starts in the input.
    start: usize,
    /// In order, at least one.
    edits: Vec<Edit>,
}

impl Edits {
    /// Where `start..end` of the piece was in the input.
    pub(crate) fn map(&self, start: usize, end: usize) -> (usize, usize) {
        let place = |at: usize, last: bool| {
            let index = self.edits.partition_point(|edit| edit.out.0 as usize <= at);
            let Some(edit) = index.checked_sub(1).map(|index| self.edits[index]) else {
                return self.start + at + usize::from(last);
            };
            match at.checked_sub(edit.out.1 as usize) {
                Some(past) => edit.input.1 as usize + past + usize::from(last),
                None if last => edit.input.1 as usize,
                None => edit.input.0 as usize,
            }
        };
        match end.checked_sub(1).filter(|last| *last >= start) {
            Some(last) => (place(start, false), place(last, true)),
            None => (place(start, false), place(end, false)),
        }
    }

    /// Where a place of the input is in the piece of `len` bytes, unless it is within an edit.
    pub(crate) fn place(&self, at: usize, len: usize) -> Option<usize> {
        let index = self
            .edits
            .partition_point(|edit| (edit.input.0 as usize) < at);
        let place = match index.checked_sub(1).map(|index| self.edits[index]) {
            Some(edit) => edit.out.1 as usize + at.checked_sub(edit.input.1 as usize)?,
            None => at.checked_sub(self.start)?,
        };
        (place <= len).then_some(place)
    }

    /// What of the piece is other than in the input, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let edits = self.edits.iter();
        edits.map(|edit| edit.out.0 as usize..edit.out.1 as usize)
    }

    /// The kinds of edits within `start..end` of the piece, or at its edges.
    pub(super) fn kinds(&self, start: usize, end: usize) -> Vec<&'static str> {
        let mut names = Vec::new();
        let edits = self.edits[self.first(start)..].iter();
        for edit in edits.take_while(|edit| edit.out.0 as usize <= end) {
            if !names.contains(&edit.kind.name()) {
                names.push(edit.kind.name());
            }
        }
        names
    }

    /// Whether an edit lies within a part of the piece, or at its edges.
    pub(super) fn touch(&self, range: &Range<usize>) -> bool {
        let first = self.edits.get(self.first(range.start));
        first.is_some_and(|edit| edit.out.0 as usize <= range.end)
    }

    /// The first edit that ends at a place of the piece or after it.
    fn first(&self, start: usize) -> usize {
        let is_before = |edit: &Edit| (edit.out.1 as usize) < start;
        self.edits.partition_point(is_before)
    }
}

/// What lies farther from an edit shows nothing that the input did not: no window that a literal
/// opens reaches so far.
const AROUND: usize = 1280;

/// The parts of the input in which something is undone, with what stands around it.
pub(super) fn unescape(bytes: &[u8]) -> Vec<Piece> {
    let mut writer = Writer::new(bytes);
    for start in (0..bytes.len()).step_by(CHUNK) {
        let end = bytes.len().min(start + CHUNK);
        if next_start(&bytes[start..end]).is_none() {
            continue;
        }
        let around = start.saturating_sub(TEXT_RUN_BYTES)..bytes.len().min(end + TEXT_RUN_BYTES);
        let chunk = &bytes[start..end];
        if is_text(chunk) || has_text_run(&bytes[around]) || is_utf8(chunk) {
            writer.chunk(start, end);
        }
    }
    writer.end_piece();
    writer.pieces
}

/// The longest escape that a change may complete: a reference by name.
const ESCAPE_LEN_MAX: usize = 20;

/// The same for a piece: only what was changed can have made an escape that was none before.
pub(super) fn unescape_again(piece: &[u8], edits: &Edits) -> Vec<Piece> {
    let mut writer = Writer::new(piece);
    let mut done = 0;
    for change in edits.changes() {
        let start = change.start.saturating_sub(ESCAPE_LEN_MAX).max(done);
        // Which backslash of a row escapes which is told from the first.
        let row = piece[done..start].iter().rev();
        let start = start - row.take_while(|byte| **byte == b'\\').count();
        done = piece.len().min(change.end + ESCAPE_LEN_MAX);
        writer.chunk(start, done);
    }
    writer.end_piece();
    writer.pieces
}

/// Compressed or encrypted data has control and high bytes everywhere; text, even of other scripts
/// or UTF-16, has one or the other.
fn is_text(chunk: &[u8]) -> bool {
    let is_control = |b: u8| {
        let is_low = (b < 32) & (b != 0) & !(9..=13).contains(&b) & (b != 27);
        is_low | (b == 127)
    };
    count(chunk, |b| b >= 0x80) * 5 < chunk.len() || count(chunk, is_control) * 33 < chunk.len()
}

/// Whether a chunk of content is UTF-8; a character may be cut at either end.
fn is_utf8(chunk: &[u8]) -> bool {
    let is_rest = |byte: &&u8| **byte & 0xc0 == 0x80;
    let cut = chunk.iter().take(3).take_while(is_rest).count();
    match std::str::from_utf8(&chunk[cut..]) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// Counts bytes in blocks whose sums fit a byte, so that the compiler makes vector instructions.
fn count(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    let blocks = bytes.chunks(128);
    let sums = blocks.map(|block| block.iter().fold(0u8, |sum, b| sum + u8::from(is_one(*b))));
    sums.map(usize::from).sum()
}

/// Whether text stands anywhere in the bytes, hidden among noise. One probe per run's length finds
/// it.
fn has_text_run(bytes: &[u8]) -> bool {
    let is_text = |byte: &&u8| matches!(**byte, b' '..=b'~');
    let mut probe = TEXT_RUN_BYTES - 1;
    while probe < bytes.len() {
        let back = bytes[..=probe].iter().rev().take_while(is_text).count();
        let on = bytes[probe + 1..]
            .iter()
            .take(TEXT_RUN_BYTES)
            .take_while(is_text)
            .count();
        if back > 0 && back + on >= TEXT_RUN_BYTES {
            return true;
        }
        probe += TEXT_RUN_BYTES;
    }
    false
}

struct Writer<'a> {
    input: &'a [u8],
    /// Where the piece at hand starts.
    start: usize,
    copied: usize,
    out: Vec<u8>,
    edits: Vec<Edit>,
    pieces: Vec<Piece>,
}

/// Bytes that may begin an edit.
static STARTS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte >= 0x7f
            || byte < 0x20 && !(byte == 9 || byte == 10 || byte == 13)
            || byte == b'%' as usize
            || byte == b'\\' as usize
            || byte == b'&' as usize;
        byte += 1;
    }
    table
};

/// The next byte that may begin an edit. Whole blocks without one are stepped over with a test
/// that the compiler makes into vector instructions.
fn next_start(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut from = 0;
    for block in bytes.chunks_exact(BLOCK) {
        let found = block.iter().fold(0u8, |found, byte| {
            let is_control = (*byte < 0x20) & (*byte != 9) & (*byte != 10) & (*byte != 13);
            let is_escape = (*byte == b'%') | (*byte == b'\\') | (*byte == b'&');
            found | u8::from(is_control | is_escape | (*byte >= 0x7f))
        });
        if found != 0 {
            break;
        }
        from += BLOCK;
    }
    let skip = bytes[from..].iter().position(|b| STARTS[*b as usize])?;
    Some(from + skip)
}

/// An edit's kind, how many input bytes it takes, and where its output is.
enum Found {
    Byte(Kind, usize, u8),
    Char(Kind, usize, char),
    Text(Kind, usize, &'static str),
}

impl<'a> Writer<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            start: 0,
            copied: 0,
            out: Vec::new(),
            edits: Vec::new(),
            pieces: Vec::new(),
        }
    }

    fn chunk(&mut self, start: usize, end: usize) {
        let mut at = start.max(self.copied);
        while at < end {
            let Some(skip) = next_start(&self.input[at..end]) else {
                return;
            };
            at += skip;
            at = match find(&self.input[at..]) {
                Some(found) => self.edit(at, found),
                None => at + width(self.input[at]),
            };
        }
    }

    fn edit(&mut self, at: usize, found: Found) -> usize {
        if self.edits.is_empty() || at - self.copied > 2 * AROUND {
            self.begin_piece(at);
        }
        self.out.extend_from_slice(&self.input[self.copied..at]);
        let out = self.out.len() as u32;
        let (kind, taken) = match found {
            Found::Byte(kind, taken, byte) => {
                self.out.push(byte);
                (kind, taken)
            }
            Found::Char(kind, taken, c) => {
                match folded(c).filter(|_| !is_selector(c)) {
                    Some(text) => self.out.extend_from_slice(text.as_bytes()),
                    None => self
                        .out
                        .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                (kind, taken)
            }
            Found::Text(kind, taken, text) => {
                self.out.extend_from_slice(text.as_bytes());
                (kind, taken)
            }
        };
        self.copied = at + taken;
        let input = (at as u32, self.copied as u32);
        self.edits.push(Edit {
            out: (out, self.out.len() as u32),
            input,
            kind,
        });
        self.copied
    }

    /// Ends the piece before an edit and begins the one around it, unless they touch.
    fn begin_piece(&mut self, at: usize) {
        let start = run_start(self.input, at.saturating_sub(AROUND));
        if !self.edits.is_empty() && start <= self.piece_end() {
            return;
        }
        self.end_piece();
        self.start = start;
        self.copied = start;
    }

    fn piece_end(&self) -> usize {
        run_end(self.input, self.input.len().min(self.copied + AROUND))
    }

    fn end_piece(&mut self) {
        if self.edits.is_empty() {
            return;
        }
        let end = self.piece_end();
        self.out.extend_from_slice(&self.input[self.copied..end]);
        self.pieces.push(Piece {
            bytes: std::mem::take(&mut self.out),
            edits: Edits {
                start: self.start,
                edits: std::mem::take(&mut self.edits),
            },
            clipped: self.start > 0 || end < self.input.len(),
        });
    }
}

/// Variation selectors may stand for bytes: an escape shows them first.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The bytes to step over where nothing is to be undone.
fn width(byte: u8) -> usize {
    match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

fn find(rest: &[u8]) -> Option<Found> {
    match rest[0] {
        b'%' => Some(found(Kind::Percent, escape::percent(rest)?)),
        b'\\' => Some(found(Kind::Escape, escape::backslash(rest)?)),
        b'&' => Some(found(Kind::Entity, escape::entity(rest)?)),
        byte if byte < 0x80 => Some(Found::Text(Kind::Unicode, 1, "")),
        _ => {
            let (c, taken) = decode(rest)?;
            Some(Found::Text(Kind::Unicode, taken, folded(c)?))
        }
    }
}

fn found(kind: Kind, escape: Escape) -> Found {
    match escape {
        Escape::Byte(taken, byte) => Found::Byte(kind, taken, byte),
        Escape::Char(taken, c) => Found::Char(kind, taken, c),
        Escape::Nothing(taken) => Found::Text(kind, taken, ""),
    }
}

/// The first character of UTF-8 bytes.
fn decode(rest: &[u8]) -> Option<(char, usize)> {
    let width = width(rest[0]);
    let bytes = rest.get(1..width)?;
    let lead = u32::from(rest[0]) & (0x7f >> width);
    let code = bytes.iter().try_fold(lead, |code, byte| {
        (byte & 0xc0 == 0x80).then_some(code << 6 | u32::from(byte & 0x3f))
    })?;
    // What fits in fewer bytes is no character (RFC 3629, section 3).
    let least = [0, 0x80, 0x80, 0x800, 0x1_0000][width];
    let is_shortest = width > 1 && code >= least;
    Some((char::from_u32(code).filter(|_| is_shortest)?, width))
}

/// A name as it looks: confusable letters as ASCII (UTS 39), what is invisible left out, in lower
/// case. Two names that are the same in it pass for each other.
pub fn folded_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match folded(c) {
            Some(text) => out.push_str(text),
            None if c.is_ascii_control() => {}
            None => out.push(c),
        }
    }
    out.to_lowercase()
}

fn folded(c: char) -> Option<&'static str> {
    let code = c as usize;
    let entry = (PAGES[code >> 8] as usize) << 8 | code & 0xff;
    let index = u16::from_le_bytes([ENTRIES[entry * 2], ENTRIES[entry * 2 + 1]]);
    Some(TEXTS[usize::from(index.checked_sub(1)?)])
}
