//! Request targets that are not written as URLs are.

use memchr::memchr;

/// Whether a byte may stand in a target as it is.
pub(super) fn may_stand(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'#' && !is_escapable(byte)
}

/// Bytes that clients which take a URL as it was typed send as they are, and others escaped (URL
/// standard, section 1.3: the query and path percent-encode sets).
fn is_escapable(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

/// The bytes of a connection from a request line on, with its target's path and query written as a
/// URL's are, where that is all that is wrong with them; none where nothing is to be written so, or
/// more is wrong.
pub fn escape_target(bytes: &[u8]) -> Option<Vec<u8>> {
    let line = &bytes[..memchr(b'\n', bytes)?];
    let start = memchr(b' ', line)? + 1;
    let target = &line[start..start + memchr(b' ', &line[start..])?];
    let path = path_start(target)?;
    let (before, path) = target.split_at(path);
    let is_mendable = path.iter().all(|b| may_stand(*b) || is_escapable(*b));
    let is_clean = !path.iter().any(|b| is_escapable(*b));
    if is_clean || !is_mendable || !before.iter().all(|b| may_stand(*b)) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + 2 * path.len());
    out.extend_from_slice(&bytes[..start + before.len()]);
    for byte in path {
        match is_escapable(*byte) {
            true => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => out.push(*byte),
        }
    }
    out.extend_from_slice(&bytes[start + target.len()..]);
    Some(out)
}

/// Where a target's path begins, or its query, in origin and in absolute form. A name's bytes are
/// never escaped.
fn path_start(target: &[u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return Some(0);
    }
    let authority = target.windows(3).position(|part| part == b"://")? + 3;
    let path = target[authority..]
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))?;
    Some(authority + path)
}

#[cfg(test)]
mod tests {
    use super::escape_target;

    #[test]
    fn targets_are_written_as_urls() {
        for (head, expect) in [
            (
                "GET /caf\u{e9}?q=\"a\" HTTP/1.1\r\nA: <b>\r\n",
                Some("GET /caf%C3%A9?q=%22a%22 HTTP/1.1\r\nA: <b>\r\n"),
            ),
            (
                "GET http://a.example/<x> HTTP/1.1\r\n",
                Some("GET http://a.example/%3Cx%3E HTTP/1.1\r\n"),
            ),
            (
                "GET http://a.example?`d HTTP/1.1\n",
                Some("GET http://a.example?%60d HTTP/1.1\n"),
            ),
            (
                "GET /a%20\u{20ac} HTTP/1.1\r\n",
                Some("GET /a%20%E2%82%AC HTTP/1.1\r\n"),
            ),
            // A name is never escaped, nor is anything else that is wrong.
            ("GET http://\u{e9}.example/ HTTP/1.1\r\n", None),
            ("GET http://\u{e9}.example/\u{e9} HTTP/1.1\r\n", None),
            ("CONNECT \u{e9}.example:443 HTTP/1.1\r\n", None),
            ("GET /\u{e9}#x HTTP/1.1\r\n", None),
            ("GET /\u{e9}\u{1b}[2J HTTP/1.1\r\n", None),
            ("GET /plain HTTP/1.1\r\n", None),
            ("GET /\u{e9}", None),
            ("GET", None),
        ] {
            let escaped = escape_target(head.as_bytes());
            let escaped = escaped.map(|bytes| String::from_utf8(bytes).expect("it is ASCII"));
            assert_eq!(escaped.as_deref(), expect, "{head:?}");
        }
    }
}
