//! What bytes a page's characters are written in.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use memchr::memmem;

/// How much of a page is looked through for what it says itself (HTML standard, section 13.2.3.2).
const PRESCAN_BYTES: usize = 1024;

/// Content as text, by its mark, its type, or else what a page says of itself; none where it is no text, or
/// not in the encoding that it names.
pub fn decoded<'a>(content_type: Option<&str>, content: &'a [u8]) -> Option<Cow<'a, str>> {
    let named = content_type.and_then(|kind| label(kind.as_bytes()));
    let (encoding, content) = match (Encoding::for_bom(content), named) {
        (Some((encoding, length)), _) => (encoding, &content[length..]),
        (None, Some(encoding)) => (encoding, content),
        (None, None) => (own(content), content),
    };
    encoding.decode_without_bom_handling_and_without_replacement(content)
}

/// UTF-8 if it may be, or what a page names.
fn own(content: &[u8]) -> &'static Encoding {
    let is_utf8 = std::str::from_utf8(content).is_ok();
    let start = &content[..content.len().min(PRESCAN_BYTES)];
    let said = || label(start).map(Encoding::output_encoding);
    match is_utf8 {
        true => UTF_8,
        false => said().unwrap_or(UTF_8),
    }
}

/// The encoding named by the first `charset=`.
fn label(text: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset=";
    let lower = text.to_ascii_lowercase();
    let at = memmem::find(&lower, NAME)? + NAME.len();
    let value = lower[at..].trim_ascii_start();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_prefix(b"'").unwrap_or(value);
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"\"';/>".contains(byte);
    Encoding::for_label(value.split(is_end).next()?)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn text_is_read_in_the_encoding_that_it_is_in() {
        let cases: [(&str, &[u8], Option<&str>); 12] = [
            ("text/html", b"caf\xc3\xa9", Some("caf\u{e9}")),
            (
                "text/html; charset=ISO-8859-1",
                b"caf\xe9",
                Some("caf\u{e9}"),
            ),
            (
                "text/html;charset=\"windows-1251\"",
                b"\xef\xf0",
                Some("\u{43f}\u{440}"),
            ),
            (
                "text/html; charset=Shift_JIS",
                b"\x93\xfa",
                Some("\u{65e5}"),
            ),
            (
                "text/html",
                b"<meta charset=latin1>\xe9",
                Some("<meta charset=latin1>\u{e9}"),
            ),
            (
                "",
                b"<meta content='text/html; charset=gbk'>\xc4\xe3",
                Some("<meta content='text/html; charset=gbk'>\u{4f60}"),
            ),
            ("text/plain", b"\xff\xfea\0b\0", Some("ab")),
            ("text/plain; charset=latin1", b"\xef\xbb\xbfab", Some("ab")),
            ("text/plain; charset=utf-8", b"caf\xe9", None),
            ("text/plain; charset=none-such", b"caf\xe9", None),
            ("application/octet-stream", b"\xff\xd8\xff\xe0", None),
            ("", b"<meta charset=utf-16>\xe9", None),
        ];
        for (kind, content, expect) in cases {
            let kind = Some(kind).filter(|kind| !kind.is_empty());
            assert_eq!(
                decoded(kind, content).as_deref(),
                expect,
                "{kind:?} {content:?}"
            );
        }
    }
}
