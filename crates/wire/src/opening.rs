//! What a client's first bytes say it speaks.

use crate::tls::{self, ClientHello, Peek};

/// The longest HTTP method that is recognised; `VERSION-CONTROL` (RFC 3253) has 15 letters.
const METHOD_MAX: usize = 20;

/// The start of HTTP/2's connection preface (RFC 9113, section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// The protocol that a client opens with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Not told yet.
    Undecided,
    /// TLS.
    Tls(ClientHello),
    /// A TLS record without an acceptable `ClientHello`, and what is wrong with it.
    BadTls(String),
    /// HTTP/1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
    /// Anything else.
    Other,
}

/// Looks at everything that a client has sent so far. Like [`tls::client_hello`], the answer
/// does not depend on how the bytes were cut.
pub fn opening(sent: &[u8]) -> Opening {
    match tls::client_hello(sent) {
        Peek::Hello(hello) => Opening::Tls(hello),
        Peek::Malformed(why) => Opening::BadTls(why),
        Peek::Incomplete => Opening::Undecided,
        Peek::NotTls => clear_text(sent),
    }
}

/// A method in capitals, a space, and a byte that can begin a request target (RFC 9112,
/// section 3.2). Protocols with commands in capitals and arguments of another shape, such as SMTP,
/// are something else.
fn clear_text(sent: &[u8]) -> Opening {
    if sent.starts_with(H2_PREFACE) {
        return Opening::Http2;
    }
    if H2_PREFACE.starts_with(sent) {
        return Opening::Undecided;
    }
    let method = sent
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-')
        .count();
    match (method, sent.get(method), sent.get(method + 1)) {
        (0, _, _) | (METHOD_MAX.., _, _) => Opening::Other,
        (_, None, _) | (_, Some(b' '), None) => Opening::Undecided,
        (_, Some(b' '), Some(_)) if sent.starts_with(b"CONNECT ") => Opening::Http1,
        (_, Some(b' '), Some(b'/' | b'*' | b'h' | b'H')) => Opening::Http1,
        (_, Some(_), _) => Opening::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_by_their_first_bytes() {
        for (sent, expect) in [
            (&b"GET / HTTP/1.1\r\n"[..], Opening::Http1),
            (b"OPTIONS * HTTP/1.1\r\n", Opening::Http1),
            (b"M-SEARCH * HTTP/1.1\r\n", Opening::Http1),
            (b"POST http://a.example/ HTTP/1.1\r\n", Opening::Http1),
            (b"CONNECT a.example:443 HTTP/1.1\r\n", Opening::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opening::Http2),
            (b"EHLO a.example\r\n", Opening::Other),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Opening::Other),
            (b"PING\r\n", Opening::Other),
            (b"*1\r\n$4\r\nPING\r\n", Opening::Other),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Opening::Other),
            (b"get / HTTP/1.1\r\n", Opening::Other),
            (b" / HTTP/1.1\r\n", Opening::Other),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAA / ", Opening::Other),
            (b"", Opening::Undecided),
            (b"GE", Opening::Undecided),
            (b"GET ", Opening::Undecided),
            (b"PRI * HT", Opening::Undecided),
        ] {
            let text = String::from_utf8_lossy(sent);
            assert_eq!(opening(sent), expect, "{text:?}");
        }
    }

    #[test]
    fn more_bytes_do_not_change_an_answer() {
        for sent in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\n",
            b"EHLO x",
            b"PRI x",
        ] {
            let whole = opening(sent);
            for end in 0..sent.len() {
                let part = opening(&sent[..end]);
                assert!(
                    part == Opening::Undecided || part == whole,
                    "{sent:?} {end}"
                );
            }
        }
    }
}
