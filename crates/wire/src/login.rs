//! A user name and a password, as a client gives them to a proxy (RFC 7617; RFC 1929).

use std::fmt;

use ::http::HeaderValue;
use data_encoding::BASE64;

/// `user:password`, as it was given. Its `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Given(Vec<u8>);

impl Given {
    /// Of a `Proxy-Authorization` of the scheme `Basic`.
    pub fn of_header(value: &HeaderValue) -> Option<Self> {
        let (scheme, rest) = value.as_bytes().split_at_checked("Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        BASE64.decode(rest.trim_ascii()).ok().map(Self)
    }

    /// Of a name and a password.
    pub fn of_parts(name: &[u8], password: &[u8]) -> Self {
        Self([name, b":", password].concat())
    }

    /// `user:password`.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_a_login() {
        for (text, expect) in [
            ("Basic dXNlcjpwYXNz", Some("user:pass")),
            ("basic  dXNlcjpwYXNz ", Some("user:pass")),
            ("Bearer dXNlcjpwYXNz", None),
            ("Basic not base64", None),
            ("Basic", None),
        ] {
            let given = Given::of_header(&HeaderValue::from_static(text));
            let bytes = given.as_ref().map(Given::bytes);
            assert_eq!(bytes, expect.map(str::as_bytes), "{text}");
        }
        let given = Given::of_parts(b"user", b"hunter2");
        assert_eq!(given.bytes(), b"user:hunter2");
        assert_eq!(format!("{given:?}"), "Given(..)");
    }
}
