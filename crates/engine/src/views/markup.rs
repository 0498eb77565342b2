//! The text of markup within archives, as of office documents, whose words and sentences are cut over
//! many elements.

use std::ops::Range;

use super::branch::{Decoded, Output};

/// Markup that is read. What a sentence is cut over is near its beginning or in the next window.
const BYTES_MAX: usize = 256 * 1024;

/// Elements at whose end a line ends, without their prefix: of HTML, word processors, sheets and slides.
const LINES: &[&[u8]] = &[b"p", b"div", b"li", b"tr", b"title", b"si", b"h"];

/// Elements that stand for a blank.
const BLANKS: &[&[u8]] = &[b"br", b"tab", b"s", b"line-break", b"td", b"th", b"c"];

/// The name of an office document's text, as findings show it.
pub(crate) const DOCUMENT: &str = "document";

/// Whether markup is of an office document, as its namespaces tell (ECMA-376, part 1; OpenDocument 1.3).
fn is_office(bytes: &[u8]) -> bool {
    const HEAD_BYTES: usize = 4096;
    const NAMESPACES: [&[u8]; 2] = [
        b"schemas.openxmlformats.org/",
        b"urn:oasis:names:tc:opendocument:",
    ];
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let is_there = |name: &&[u8]| memchr::memmem::find(head, name).is_some();
    NAMESPACES.iter().any(is_there)
}

/// Whether a view begins like markup.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let mut start = bytes.trim_ascii_start().iter();
    start.next() == Some(&b'<')
        && start
            .next()
            .is_some_and(|b| b"?!".contains(b) || b.is_ascii_alphabetic())
}

/// The text between tags.
pub(super) fn text(bytes: &[u8], clipped: bool) -> Option<Decoded> {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let (mut output, mut at) = (Output::default(), 0);
    while let Some(open) = memchr::memchr(b'<', &bytes[at..]) {
        let open = at + open;
        output.copy(bytes, at..open);
        let Some(close) = memchr::memchr(b'>', &bytes[open..]) else {
            at = open;
            break;
        };
        let tag = &bytes[open + 1..open + close];
        at = open + close + 1;
        if let Some(blank) = stands_for(tag) {
            output.push(blank, open);
        }
    }
    output.copy(bytes, at..bytes.len());
    let is_text = output
        .bytes()
        .iter()
        .any(|byte| !byte.is_ascii_whitespace());
    let name = match is_office(bytes) {
        true => DOCUMENT,
        false => "markup",
    };
    is_text.then(|| output.decoded(name, bytes.len(), clipped))
}

/// A part of a text with what markup stands in it left out; a tag that would part words becomes a blank.
pub(super) fn unmarked(bytes: &[u8], part: Range<usize>) -> Option<Decoded> {
    let (mut output, mut at) = (Output::default(), part.start);
    let part = &bytes[..part.end];
    while let Some(open) = memchr::memchr(b'<', &part[at..]) {
        let open = at + open;
        output.copy(bytes, at..open);
        let comment = part[open..]
            .starts_with(b"<!--")
            .then(|| memchr::memmem::find(&part[open..], b"-->"));
        let close = match comment {
            Some(end) => end.map(|end| end + 2),
            None => memchr::memchr(b'>', &part[open..]),
        };
        let Some(close) = close else {
            at = open;
            break;
        };
        if let Some(blank) = stands_for(&part[open + 1..open + close]) {
            output.push(blank, open);
        }
        at = open + close + 1;
    }
    output.copy(bytes, at..part.len());
    Some(output.decoded("markup", part.len(), true))
}

/// What a reader sees where a tag is.
fn stands_for(tag: &[u8]) -> Option<u8> {
    let is_end = tag.first() == Some(&b'/');
    let tag = &tag[usize::from(is_end)..];
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-');
    let name = &tag[..tag.iter().take_while(is_name).count()];
    let name = name.rsplit(|b| *b == b':').next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let is_one_of = |names: &[&[u8]]| names.contains(&&*name);
    if is_end && is_one_of(LINES) {
        Some(b'\n')
    } else {
        (!is_end && is_one_of(BLANKS)).then_some(b' ')
    }
}

#[cfg(test)]
mod tests {
    use super::{begins, text, unmarked};

    #[test]
    fn words_are_whole_without_markup() {
        for (markup, expect) in [
            ("Ig<wbr>nore th<b></b>is", "Ignore this"),
            ("Ig<!-- a > b -->nore<br>this", "Ignore this"),
            ("one</p>two <i", "one\ntwo <i"),
        ] {
            let decoded = unmarked(markup.as_bytes(), 0..markup.len()).expect("it has text");
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), expect);
        }
    }

    #[test]
    fn text_is_whole_over_its_elements() {
        for (markup, expect) in [
            (
                "<?xml version=\"1.0\"?><w:p><w:r><w:t>Read </w:t></w:r><w:r><w:t>th</w:t></w:r>\
                 <w:t>is</w:t></w:p><w:p><w:t>now</w:t></w:p>",
                "Read this\nnow\n",
            ),
            ("<text:p>a<text:tab/>b<text:s/>c</text:p>", "a b c\n"),
            ("<si><t>one</t></si><si><t>two</t></si>", "one\ntwo\n"),
            ("<b>no end</b> <i", "no end <i"),
        ] {
            assert!(begins(markup.as_bytes()), "{markup}");
            let decoded = text(markup.as_bytes(), false).expect("it has text");
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), expect);
        }
        assert!(text(b"<a><b/></a>", false).is_none());
        assert!(!begins(b"< 5 and > 3"));
    }
}
