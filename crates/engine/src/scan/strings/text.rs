//! The strings of textual structures. The reading is lenient: receivers are.

use memchr::{memchr, memchr2, memmem};

use super::Strings;

/// Bytes by which a form or lines of fields are told.
const SAMPLE_BYTES: usize = 256;

/// The values of JSON, or of lines of it, and the names with the values.
pub(super) fn json(bytes: &[u8]) -> Vec<Strings> {
    let (mut values, mut all) = (Strings::default(), Strings::default());
    let mut at = 0;
    while let Some(quote) = memchr(b'"', &bytes[at..]) {
        let start = at + quote + 1;
        let end = string_end(bytes, start);
        at = (end + 1).min(bytes.len());
        all.take(bytes, start..end);
        if bytes[at..].trim_ascii_start().first() != Some(&b':') {
            values.take(bytes, start..end);
        }
    }
    vec![values, all]
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    while let Some(next) = memchr2(b'"', b'\\', &bytes[end..]) {
        end += next;
        if bytes[end] == b'"' {
            return end;
        }
        end = (end + 2).min(bytes.len());
    }
    bytes.len()
}

/// The text of XML or HTML between tags, comments, instructions and the marks of CDATA.
pub(super) fn markup(bytes: &[u8]) -> Strings {
    let mut strings = Strings::default();
    let mut at = 0;
    while let Some(open) = memchr(b'<', &bytes[at..]) {
        let open = at + open;
        take(&mut strings, bytes, at, open);
        let rest = &bytes[open..];
        let close: &[u8] = match rest {
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            [b'<', b'?', ..] => b"?>",
            _ if rest.starts_with(b"<![CDATA[") => {
                let from = open + 9;
                let end = memmem::find(&bytes[from..], b"]]>");
                let end = end.map_or(bytes.len(), |end| from + end);
                take(&mut strings, bytes, from, end);
                at = (end + 3).min(bytes.len());
                continue;
            }
            _ => b">",
        };
        let end = memmem::find(rest, close);
        at = end.map_or(bytes.len(), |end| open + end + close.len());
    }
    take(&mut strings, bytes, at, bytes.len());
    strings
}

/// Takes what is between two places, without the blanks around it, if there is anything.
fn take(strings: &mut Strings, bytes: &[u8], start: usize, end: usize) {
    let own = &bytes[start..end];
    let from = end - own.trim_ascii_start().len();
    let until = start + own.trim_ascii_end().len();
    if from < until {
        strings.take(bytes, from..until);
    }
}

/// The content of a multipart body's parts (RFC 2046, section 5.1.1).
pub(super) fn multipart(bytes: &[u8]) -> Strings {
    let mut strings = Strings::default();
    let line = memchr(b'\n', bytes).unwrap_or(bytes.len());
    let boundary = bytes[..line].trim_ascii_end();
    let mut at = 0;
    while let Some(next) = memmem::find(&bytes[at..], boundary) {
        let start = at + next + boundary.len();
        let end = memmem::find(&bytes[start..], boundary);
        let end = end.map_or(bytes.len(), |end| start + end);
        let part = &bytes[start..end];
        let blank = [&b"\r\n\r\n"[..], b"\n\n"]
            .into_iter()
            .find_map(|blank| memmem::find(part, blank).map(|at| at + blank.len()));
        if let Some(blank) = blank {
            take(&mut strings, bytes, start + blank, end);
        }
        at = end;
        if at == bytes.len() {
            break;
        }
    }
    strings
}

fn sample(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SAMPLE_BYTES)]
}

/// Whether a body begins like a form: a name, and its value.
pub(super) fn is_form(bytes: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]%+".contains(byte);
    let name = bytes.iter().take_while(|byte| is_name(byte)).count();
    name > 0
        && bytes.get(name) == Some(&b'=')
        && memchr(b'&', bytes).is_some()
        && !sample(bytes).iter().any(u8::is_ascii_whitespace)
}

/// The values of a form.
pub(super) fn form(bytes: &[u8]) -> Strings {
    let mut strings = Strings::default();
    let mut at = 0;
    for item in bytes.split(|byte| *byte == b'&') {
        let end = at + item.len();
        let value = memchr(b'=', item).map_or(end, |equals| at + equals + 1);
        take(&mut strings, bytes, value, end);
        at = end + 1;
    }
    strings
}

/// Whether a body begins like YAML, or like rows of comma-separated fields.
pub(super) fn is_lines(bytes: &[u8]) -> bool {
    let mut lines = sample(bytes).split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let name = first
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b));
    let after = first.get(name.count()..).unwrap_or_default();
    let is_yaml = first.starts_with(b"- ") || first.starts_with(b"---") || after.starts_with(b":");
    let fields = |line: &[u8]| line.iter().filter(|byte| **byte == b',').count();
    let is_text = |line: &[u8]| line.iter().any(|byte| b" {}()<>;".contains(byte));
    is_yaml || (fields(first) > 0 && !is_text(first))
}

/// The fields of lines: what comes after a dash, after a name, and between commas.
pub(super) fn lines(bytes: &[u8]) -> Strings {
    let mut strings = Strings::default();
    let mut at = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        let end = at + line.len();
        let mut start = end - line.trim_ascii_start().len();
        start += if bytes[start..end].starts_with(b"- ") {
            2
        } else {
            0
        };
        let name = memmem::find(&bytes[start..end], b": ");
        start += name.map_or(0, |name| name + 2);
        for field in bytes[start..end].split(|byte| *byte == b',') {
            let (from, until) = unquoted(field);
            take(&mut strings, bytes, start + from, start + until);
            start += field.len() + 1;
        }
        at = end + 1;
    }
    strings
}

/// A field without its quotes, and without the backslash of a line that goes on.
fn unquoted(field: &[u8]) -> (usize, usize) {
    let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\'' | b'\\' | b'\r' | b' ' | b'\t');
    let from = field.iter().take_while(is_mark).count();
    let marks = field[from..].iter().rev().take_while(is_mark).count();
    (from, field.len() - marks)
}
