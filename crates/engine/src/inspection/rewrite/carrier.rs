//! What carries a passage: the sentence of a text or of a string in JSON; the element's text, the
//! attribute or the comment of HTML and XML. All of it is cut out, and the rest stays what it is.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::place::{Place, is_json};

/// What stands where something was cut out.
const MARK: &str = "[carboy: removed, prompt-injection]";

/// The longest text of an element that goes as a whole. Of a longer one the sentence does.
const TEXT_BYTES_MAX: usize = 1024;

/// What content is, by itself: what it declares may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// HTML or XML.
    Markup,
    /// Server-sent events, or lines of JSON.
    Events,
    Text,
}

/// A part of content, in the order of which all of it is made.
struct Piece {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text of which a sentence can go.
    Prose,
    /// An element's text.
    Element,
    Comment,
    /// A tag, of which an attribute's value can go.
    Tag,
    /// What nothing can be cut out of: scripts, names in JSON.
    Fixed,
}

impl Form {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[' | b'"') if is_json(bytes) => Self::Json,
            Some(b'<') => Self::Markup,
            Some(_) | None => Self::Text,
        }
    }
}

/// What is to be cut so that nothing is left of passages; none where one of them stands in something
/// that cannot be cut safely.
pub(super) fn cuts(bytes: &[u8], form: Form, passages: Vec<Range<usize>>) -> Option<Vec<Place>> {
    if passages.is_empty() {
        return Some(Vec::new());
    }
    // Offsets within what is no text tell nothing.
    std::str::from_utf8(bytes).ok()?;
    let passages = passages.iter().map(|own| bare(bytes, own)).collect();
    let passages = merged(passages);
    let mut cutter = Cutter {
        bytes,
        is_marked: vec![false; passages.len()],
        passages,
        first: 0,
        cuts: Vec::new(),
        is_unfit: false,
    };
    let visit = &mut |range: Range<usize>, kind| {
        if !range.is_empty() {
            cutter.take(&Piece { range, kind });
        }
    };
    match form {
        Form::Json => strings(bytes, 0..bytes.len(), visit),
        Form::Markup => markup(bytes, visit),
        Form::Events => events(bytes, visit),
        Form::Text => text(bytes, visit),
    }
    let is_done = !cutter.is_unfit && cutter.is_marked.iter().all(|is_marked| *is_marked);
    is_done.then_some(cutter.cuts)
}

type Visit<'a> = &'a mut dyn FnMut(Range<usize>, Kind);

struct Cutter<'a> {
    bytes: &'a [u8],
    /// In their order, and apart from each other.
    passages: Vec<Range<usize>>,
    is_marked: Vec<bool>,
    /// The first passage that does not end before the piece at hand.
    first: usize,
    cuts: Vec<Place>,
    is_unfit: bool,
}

impl Cutter<'_> {
    fn take(&mut self, piece: &Piece) {
        let Range { start, end } = piece.range;
        while self
            .passages
            .get(self.first)
            .is_some_and(|own| own.end <= start)
        {
            self.first += 1;
        }
        for at in self.first..self.passages.len() {
            let passage = self.passages[at].clone();
            if passage.start >= end {
                return;
            }
            self.cut(at, piece, &(passage.start.max(start)..passage.end.min(end)));
        }
    }

    /// Cuts what a piece has of a passage. The first cut of each is marked.
    fn cut(&mut self, at: usize, piece: &Piece, part: &Range<usize>) {
        let bytes = self.bytes;
        let (range, is_comment) = match piece.kind {
            Kind::Prose => (sentence(bytes, part, &piece.range), false),
            Kind::Element if piece.range.len() <= TEXT_BYTES_MAX => {
                (trimmed(bytes, &piece.range), false)
            }
            Kind::Element => (sentence(bytes, part, &piece.range), false),
            Kind::Comment => (piece.range.clone(), true),
            // A tag in the middle of a passage says nothing.
            Kind::Tag if *part == piece.range => return,
            Kind::Tag => match attribute(bytes, part, &piece.range) {
                Some(value) => (value, false),
                None => return self.is_unfit = true,
            },
            Kind::Fixed => return self.is_unfit = true,
        };
        let text = match (std::mem::replace(&mut self.is_marked[at], true), is_comment) {
            (false, true) => format!("<!-- {MARK} -->"),
            (false, false) => MARK.to_owned(),
            (true, _) => String::new(),
        };
        self.cuts.push((range, text));
    }
}

/// The passages apart from each other. Of one within another the inner goes first: without it the
/// outer may be harmless.
fn merged(mut passages: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let all = passages.clone();
    let holds = |outer: &Range<usize>, inner: &Range<usize>| {
        outer != inner && outer.start <= inner.start && inner.end <= outer.end
    };
    passages.retain(|own| !all.iter().any(|inner| holds(own, inner)));
    passages.sort_by_key(|own| own.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for passage in passages {
        match merged.last_mut() {
            Some(last) if passage.start < last.end => last.end = last.end.max(passage.end),
            Some(_) | None => merged.push(passage),
        }
    }
    merged
}

/// The strings of JSON, without their quotes. What is between them is no piece.
fn strings(bytes: &[u8], within: Range<usize>, visit: Visit<'_>) {
    let bytes = &bytes[..within.end];
    let mut at = within.start;
    while let Some(quote) = memchr(b'"', &bytes[at..]) {
        let start = at + quote + 1;
        let mut end = start;
        while let Some(next) = memchr2(b'"', b'\\', &bytes[end..]) {
            end += next;
            if bytes[end] == b'"' {
                break;
            }
            end = (end + 2).min(bytes.len());
        }
        at = (end + 1).min(bytes.len());
        let is_name = bytes[at..].trim_ascii_start().first() == Some(&b':');
        visit(start..end, if is_name { Kind::Fixed } else { Kind::Prose });
    }
}

/// Lines: what events say, or JSON.
fn events(bytes: &[u8], visit: Visit<'_>) {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n' || *byte == b'\r') {
        let end = start + line.len();
        let data = event_data(line);
        let from = end - data.len();
        match is_json(data) {
            true => strings(bytes, from..end, visit),
            false => visit(from..end, Kind::Prose),
        }
        start = end;
    }
}

/// What a line of an event says (HTML standard, section 9.2.6), or all of another.
pub(super) fn event_data(line: &[u8]) -> &[u8] {
    let data = line.strip_prefix(b"data:").unwrap_or(line);
    data.strip_prefix(b" ").unwrap_or(data)
}

/// Prose, which may have comments of HTML in it, as Markdown has.
fn text(bytes: &[u8], visit: Visit<'_>) {
    let mut at = 0;
    while let Some(open) = memmem::find(&bytes[at..], b"<!--") {
        let open = at + open;
        visit(at..open, Kind::Prose);
        at = comment_end(bytes, open);
        visit(open..at, Kind::Comment);
    }
    visit(at..bytes.len(), Kind::Prose);
}

fn comment_end(bytes: &[u8], open: usize) -> usize {
    let close = memmem::find(&bytes[open + 4..], b"-->");
    close.map_or(bytes.len(), |close| open + 4 + close + 3)
}

/// Texts, tags and comments (HTML standard, section 13.2.5, as far as it matters where they end).
fn markup(bytes: &[u8], visit: Visit<'_>) {
    let mut at = 0;
    while let Some(open) = memchr(b'<', &bytes[at..]) {
        let open = at + open;
        visit(at..open, Kind::Element);
        let rest = &bytes[open..];
        if rest.starts_with(b"<!--") {
            at = comment_end(bytes, open);
            visit(open..at, Kind::Comment);
        } else if let Some(section) = rest.strip_prefix(b"<![CDATA[") {
            let end = memmem::find(section, b"]]>").unwrap_or(section.len());
            visit(open + 9..open + 9 + end, Kind::Element);
            at = (open + 9 + end + 3).min(bytes.len());
        } else if rest
            .get(1)
            .is_some_and(|b| b.is_ascii_alphabetic() || b"/!?".contains(b))
        {
            at = tag_end(bytes, open);
            visit(open..at, Kind::Tag);
            at = raw_end(bytes, open, at, visit);
        } else {
            at = open + 1;
            visit(open..at, Kind::Element);
        }
    }
    visit(at..bytes.len(), Kind::Element);
}

fn tag_end(bytes: &[u8], open: usize) -> usize {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate().skip(open + 1) {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') if bytes[at - 1] == b'=' || bytes[at - 1] == b' ' => {
                quote = Some(*byte);
            }
            (Some(own), byte) if own == *byte => quote = None,
            (None | Some(_), _) => {}
        }
    }
    bytes.len()
}

/// Passes over the content of elements that is no text for people.
fn raw_end(bytes: &[u8], open: usize, at: usize, visit: Visit<'_>) -> usize {
    for (name, end) in [(&b"script"[..], &b"</script"[..]), (b"style", b"</style")] {
        let own = bytes.get(open + 1..open + 1 + name.len());
        if own.is_some_and(|own| own.eq_ignore_ascii_case(name)) {
            let windows = bytes[at..].windows(end.len());
            let mut ends = windows.enumerate();
            let close = ends.find(|(_, window)| window.eq_ignore_ascii_case(end));
            let close = close.map_or(bytes.len(), |(close, _)| at + close);
            visit(at..close, Kind::Fixed);
            return close;
        }
    }
    at
}

/// The quoted value of a tag's attribute that holds a part of it.
fn attribute(bytes: &[u8], part: &Range<usize>, tag: &Range<usize>) -> Option<Range<usize>> {
    let mut at = tag.start;
    while let Some(found) = memchr2(b'"', b'\'', &bytes[at..tag.end]) {
        let start = at + found + 1;
        let end = start + memchr(bytes[start - 1], &bytes[start..tag.end])?;
        if start <= part.start && part.end <= end {
            return Some(start..end);
        }
        at = end + 1;
    }
    None
}

fn trimmed(bytes: &[u8], range: &Range<usize>) -> Range<usize> {
    let own = &bytes[range.clone()];
    let start = range.end - own.trim_ascii_start().len();
    let end = range.start + own.trim_ascii_end().len();
    start.min(end)..end
}

/// A passage without the signs around it, which a rule may have matched as what is no word: they
/// belong to what is before and after.
fn bare(bytes: &[u8], passage: &Range<usize>) -> Range<usize> {
    let is_sign = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
    let own = &bytes[passage.clone()];
    let mut start = 0;
    loop {
        match own[start..] {
            [b'\\', b'n' | b'r' | b't', ..] => start += 2,
            [byte, ..] if is_sign(&byte) => start += 1,
            _ => break,
        }
    }
    let signs = own[start..].iter().rev().take_while(|byte| is_sign(byte));
    let end = own.len() - signs.count();
    match start < end {
        true => passage.start + start..passage.start + end,
        false => passage.clone(),
    }
}

/// The sentences that a part is of.
fn sentence(bytes: &[u8], part: &Range<usize>, within: &Range<usize>) -> Range<usize> {
    let is_end = |at: usize| ends_sentence(&bytes[..within.end], at);
    let starts = (within.start..part.start).rev();
    let start = starts
        .filter_map(is_end)
        .find(|end| *end <= part.start)
        .unwrap_or(within.start);
    let mut ends = (part.end.saturating_sub(1)..within.end).filter_map(is_end);
    let end = ends.find(|end| *end >= part.end).unwrap_or(within.end);
    trimmed(bytes, &(start..end))
}

/// Where a sentence ends whose last sign is at `at`, if it is one.
fn ends_sentence(bytes: &[u8], at: usize) -> Option<usize> {
    let next = bytes.get(at + 1);
    match bytes[at] {
        b'\n' | b'\r' => Some(at + 1),
        b'\\' if matches!(next, Some(b'n' | b'r')) => Some(at + 2),
        b'.' | b'!' | b'?' if next.is_none_or(|b| b.is_ascii_whitespace() || *b == b'\\') => {
            Some(at + 1)
        }
        _ => None,
    }
}
