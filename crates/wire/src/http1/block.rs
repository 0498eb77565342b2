//! One head or trailer section, line by line.

use memchr::memchr;

use super::target::may_stand;
use super::{FIELDS_MAX, METHOD_BYTES_MAX, Violation};

/// What kind of section the lines are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// A request line and its fields.
    Head,
    /// Fields alone.
    Trailers,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes.
    Sized(u64),
    /// Chunks.
    Chunked,
    /// Whatever a tunnel carries.
    Tunnel,
}

/// The progress through a section, so that no byte is looked at twice however it arrives.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Where the current line starts.
    line: usize,
    /// How far its end has been searched for.
    searched: usize,
    lines: usize,
    connect: bool,
    http10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Block {
    /// Goes on through `bytes`, which start where the section does, and returns where it ends.
    pub(super) fn scan(
        &mut self,
        section: Section,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<Option<usize>, Violation> {
        while let Some(ahead) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + ahead;
            if end >= bytes_max {
                return Err(Violation::TooLong);
            }
            let line = bytes[self.line..end]
                .strip_suffix(b"\r")
                .ok_or(Violation::LineEnd)?;
            self.line = end + 1;
            self.searched = end + 1;
            if line.is_empty() {
                let blank = section == Section::Head && self.lines == 0;
                return if blank {
                    Err(Violation::BlankLine)
                } else {
                    Ok(Some(end + 1))
                };
            }
            self.take(section, line)?;
        }
        self.searched = bytes.len();
        if bytes.len() >= bytes_max {
            Err(Violation::TooLong)
        } else {
            Ok(None)
        }
    }

    /// What follows this head.
    pub(super) fn framing(self) -> Result<Body, Violation> {
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Violation::BothFramings),
            (None, true) if self.http10 => return Err(Violation::Encoding),
            (None, true) => Body::Chunked,
            (length, false) => Body::Sized(length.unwrap_or(0)),
        };
        match body {
            Body::Sized(0) if self.connect => Ok(Body::Tunnel),
            _ if self.connect => Err(Violation::ConnectBody),
            body => Ok(body),
        }
    }

    fn take(&mut self, section: Section, line: &[u8]) -> Result<(), Violation> {
        self.lines += 1;
        if section == Section::Head && self.lines == 1 {
            return self.request_line(line);
        }
        if self.lines > FIELDS_MAX + usize::from(section == Section::Head) {
            return Err(Violation::TooManyFields);
        }
        let (name, value) = split_field(line)?;
        match (framing_field(name)?, section) {
            (None, _) => Ok(()),
            (Some(_), Section::Trailers) => Err(Violation::Trailer),
            (Some(FramingField::Length), Section::Head) => self.content_length(value),
            (Some(FramingField::Encoding), Section::Head) => self.transfer_encoding(value),
            (Some(FramingField::Host), Section::Head) => Ok(()),
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let (method, rest) = split_at_space(line).ok_or(Violation::Method)?;
        if method.len() > METHOD_BYTES_MAX || !is_token(method) {
            return Err(Violation::Method);
        }
        let (target, version) = split_at_space(rest).ok_or(Violation::Version)?;
        if target.is_empty() || !target.iter().copied().all(may_stand) {
            return Err(Violation::Target);
        }
        self.connect = method == b"CONNECT";
        self.http10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Violation::Version),
        };
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        // Nineteen digits fit a u64 whatever they are.
        let number = value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
        let text = str::from_utf8(value)
            .ok()
            .filter(|_| number && self.length.is_none());
        let length = text.and_then(|text| text.parse().ok());
        self.length = Some(length.ok_or(Violation::Length)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::Encoding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// A field that says where a message ends or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingField {
    Length,
    Encoding,
    Host,
}

/// Which framing field this is, if any. Servers that turn names into variables take `_` for `-`.
fn framing_field(name: &[u8]) -> Result<Option<FramingField>, Violation> {
    let (known, field): (&[u8], _) = match name.len() {
        4 => (b"host", FramingField::Host),
        14 => (b"content-length", FramingField::Length),
        17 => (b"transfer-encoding", FramingField::Encoding),
        _ => return Ok(None),
    };
    if name.eq_ignore_ascii_case(known) {
        return Ok(Some(field));
    }
    let dashed = name.iter().map(|byte| {
        if *byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    });
    if dashed.eq(known.iter().copied()) {
        return Err(Violation::Lookalike);
    }
    Ok(None)
}

/// A field's name and its value without the white space around it.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if matches!(line[0], b' ' | b'\t') {
        return Err(Violation::Folded);
    }
    let colon = memchr(b':', line).ok_or(Violation::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err(Violation::FieldName);
    }
    if let Some(bad) = value.iter().find(|byte| !VALUE[usize::from(**byte)]) {
        let line_end = *bad == b'\r';
        return Err(if line_end {
            Violation::LineEnd
        } else {
            Violation::FieldValue
        });
    }
    Ok((name, trim(value)))
}

fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr(b' ', line)?;
    Some((&line[..space], &line[space + 1..]))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Optional white space is spaces and tabs only (RFC 9110, section 5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// Bytes of a token (RFC 9110, section 5.6.2).
static TOKEN: [bool; 256] = table(
    b"!#$%&'*+-.^_`|~",
    [(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
);

/// Bytes of a field's value (RFC 9110, section 5.5).
static VALUE: [bool; 256] = table(b"\t ", [(b'!', b'~'), (0x80, 0xFF), (b'!', b'!')]);

const fn table(singles: &[u8], ranges: [(u8, u8); 3]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < singles.len() {
        table[singles[at] as usize] = true;
        at += 1;
    }
    at = 0;
    while at < ranges.len() {
        let mut byte = ranges[at].0 as usize;
        while byte <= ranges[at].1 as usize {
            table[byte] = true;
            byte += 1;
        }
        at += 1;
    }
    table
}
