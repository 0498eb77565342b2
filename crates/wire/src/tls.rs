//! A look at the first bytes of a stream: is it TLS, and for which name?
//!
//! The parser is rustls's own [`Acceptor`], so that what is judged here is what is negotiated
//! later. A `ClientHello` that carries an encrypted inner one (ECH, RFC 9849) is judged by its outer
//! name: Carboy hands out no ECH keys (it answers `HTTPS` questions with nothing), so an
//! intercepted handshake can only be completed with the outer name.

use rustls::server::{Accepted, Acceptor};

/// The most bytes read in search of a `ClientHello`.
///
/// A hello is about 2 KiB with post-quantum key shares. One that does not fit into two full
/// TLS records (RFC 8446, section 5.1) is refused.
pub const CLIENT_HELLO_MAX: usize = 32 * 1024;

/// The first byte of a TLS handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// The most content of a TLS record that is not encrypted (RFC 8446, section 5.1).
const RECORD_MAX: usize = 1 << 14;

/// The length of a TLS record's header.
const RECORD_HEADER: usize = 5;

/// What the first bytes of a stream are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peek {
    /// The start of a TLS handshake; more bytes are needed.
    Incomplete,
    /// Something other than TLS. Told from the first byte.
    NotTls,
    /// A whole `ClientHello`.
    Hello(ClientHello),
    /// A TLS record, but not an acceptable `ClientHello`; the text says what is wrong with it.
    Malformed(String),
}

/// What a `ClientHello` says about where it wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The `server_name` (RFC 6066, section 3), lower-case; none when it is absent or an address.
    pub server_name: Option<String>,
    /// The protocols offered (RFC 7301), most wanted first.
    pub alpn: Vec<Vec<u8>>,
}

/// Looks at everything that a client has sent so far.
///
/// The answer depends on the bytes alone, not on how they were cut: once it is not
/// [`Peek::Incomplete`], further bytes of the same handshake do not change it.
pub fn client_hello(sent: &[u8]) -> Peek {
    match sent.first() {
        None => return Peek::Incomplete,
        Some(&HANDSHAKE) => {}
        Some(_) => return Peek::NotTls,
    }
    let mut acceptor = Acceptor::default();
    let mut rest = sent;
    loop {
        let record = match split_record(rest) {
            Ok(Some((record, after))) => {
                rest = after;
                record
            }
            Ok(None) => break,
            Err(why) => return Peek::Malformed(why),
        };
        match offer(&mut acceptor, record) {
            Ok(Some(accepted)) => return Peek::Hello(describe(&accepted)),
            Ok(None) => {}
            Err(why) => return Peek::Malformed(why),
        }
    }
    if sent.len() >= CLIENT_HELLO_MAX {
        return Peek::Malformed(format!("no ClientHello within {CLIENT_HELLO_MAX} bytes"));
    }
    Peek::Incomplete
}

/// A whole record, and what follows it.
type Cut<'a> = (&'a [u8], &'a [u8]);

/// Cuts off the first whole record, if there is one. Records are offered one at a time, so that
/// the verdict cannot depend on what arrived together with the hello.
fn split_record(bytes: &[u8]) -> Result<Option<Cut<'_>>, String> {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if length > RECORD_MAX {
        return Err(format!("a TLS record of {length} bytes"));
    }
    Ok(bytes.split_at_checked(RECORD_HEADER + length))
}

fn offer(acceptor: &mut Acceptor, mut record: &[u8]) -> Result<Option<Accepted>, String> {
    while !record.is_empty() {
        let read = acceptor.read_tls(&mut record);
        if read.map_err(|error| error.to_string())? == 0 {
            return Err("the ClientHello is too long".into());
        }
    }
    acceptor
        .accept()
        .map_err(|(error, _alert)| error.to_string())
}

fn describe(accepted: &Accepted) -> ClientHello {
    let hello = accepted.client_hello();
    ClientHello {
        server_name: hello.server_name().map(str::to_owned),
        alpn: hello
            .alpn()
            .map(|protocols| protocols.map(<[u8]>::to_vec).collect())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
