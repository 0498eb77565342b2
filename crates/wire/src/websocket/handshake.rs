//! The opening handshake (RFC 6455, section 4; over HTTP/2, RFC 8441).
//!
//! The gate answers the client and asks the server each with a handshake of its own: the client's key
//! does not go further, nor does an extension that the gate cannot read.

use ::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ::http::{Method, StatusCode, Version, request, response};
use carboy_engine::Fault;
use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use super::Deflate;
use crate::http::tokens;

/// The bytes of a key.
pub const KEY_BYTES: usize = 16;

/// What a server proves with that it speaks this protocol (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE_OPTION: HeaderValue = HeaderValue::from_static("Upgrade");

/// Offers of compression that are passed on. Clients make one or two.
const OFFERS_MAX: usize = 8;

/// A client's request for a WebSocket, with what belongs to its connection alone taken out of its head.
#[derive(Debug, Clone)]
pub struct Opening {
    /// None over HTTP/2, which has none.
    key: Option<HeaderValue>,
    protocols: Vec<HeaderValue>,
    offers: Vec<Deflate>,
}

/// What client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How messages may be compressed.
    pub deflate: Option<Deflate>,
}

/// Whether a head asks for a WebSocket on this HTTP/1.1 connection.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE, b"websocket")
}

impl Opening {
    /// Takes the handshake out of an HTTP/1.1 head that [asks for a WebSocket](is_wanted).
    ///
    /// # Errors
    /// [`Fault::Malformed`] where a server would refuse it too.
    pub fn take(head: &mut request::Parts) -> Result<Self, Fault> {
        if head.method != Method::GET || head.version != Version::HTTP_11 {
            return Err(malformed("it is no GET of HTTP/1.1"));
        }
        if !names(&head.headers, CONNECTION, b"upgrade") {
            return Err(malformed("`Connection` does not list `Upgrade`"));
        }
        let key = one(&head.headers, SEC_WEBSOCKET_KEY)?;
        let is_key = |key: &HeaderValue| {
            let bytes = BASE64.decode(key.as_bytes());
            bytes.is_ok_and(|bytes| bytes.len() == KEY_BYTES)
        };
        if !key.as_ref().is_some_and(is_key) {
            return Err(malformed("`Sec-WebSocket-Key` is not 16 bytes in base64"));
        }
        Self::with_key(head, key)
    }

    /// The same of an HTTP/2 head, an extended `CONNECT` (RFC 8441, section 5). It becomes a `GET`.
    ///
    /// # Errors
    /// As [`Opening::take`].
    pub fn take_http2(head: &mut request::Parts) -> Result<Self, Fault> {
        head.method = Method::GET;
        Self::with_key(head, None)
    }

    fn with_key(head: &mut request::Parts, key: Option<HeaderValue>) -> Result<Self, Fault> {
        let headers = &mut head.headers;
        if one(headers, SEC_WEBSOCKET_VERSION)? != Some(VERSION) {
            return Err(malformed("`Sec-WebSocket-Version` is not 13"));
        }
        let offers = deflates(headers).take(OFFERS_MAX).collect();
        let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        let protocols = protocols.iter().cloned().collect();
        for own in [
            SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_VERSION,
            SEC_WEBSOCKET_EXTENSIONS,
            UPGRADE,
        ] {
            headers.remove(own);
        }
        Ok(Self {
            key,
            protocols,
            offers,
        })
    }

    /// A request of the gate's own, for one subprotocol: no client is answered.
    pub fn own(subprotocol: HeaderValue) -> Self {
        Self {
            key: None,
            protocols: vec![subprotocol],
            offers: Vec::new(),
        }
    }

    /// The same without its offers of compression.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.offers.clear();
        self
    }

    /// Whether it offers a subprotocol.
    pub fn offers(&self, subprotocol: &str) -> bool {
        let mut offered = self.protocols.iter().flat_map(tokens);
        offered.any(|own| own == subprotocol.as_bytes())
    }

    /// Makes an otherwise finished HTTP/1.1 head one that asks the server, with a key of the gate's own.
    pub fn ask(&self, headers: &mut HeaderMap, key: [u8; KEY_BYTES]) {
        headers.insert(CONNECTION, UPGRADE_OPTION);
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(SEC_WEBSOCKET_KEY, ascii(&BASE64.encode(&key)));
        let offers: Vec<_> = self.offers.iter().map(Deflate::to_string).collect();
        if !offers.is_empty() {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, ascii(&offers.join(", ")));
        }
    }

    /// Checks the server's 101, and takes out of it what belongs to its connection alone.
    ///
    /// # Errors
    /// [`Fault::Upstream`] where a client would refuse it too.
    pub fn agree(
        &self,
        head: &mut response::Parts,
        key: [u8; KEY_BYTES],
    ) -> Result<Agreement, Fault> {
        let headers = &mut head.headers;
        if !names(headers, UPGRADE, b"websocket") || !names(headers, CONNECTION, b"upgrade") {
            return Err(broken("the answer switches to another protocol"));
        }
        let expected = accept(BASE64.encode(&key).as_bytes());
        if one_answered(headers, SEC_WEBSOCKET_ACCEPT)? != Some(expected) {
            return Err(broken("the answer's `Sec-WebSocket-Accept` is wrong"));
        }
        self.check_protocol(headers)?;
        let deflate = self.agreed_deflate(headers)?;
        for own in [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, UPGRADE] {
            headers.remove(own);
        }
        Ok(Agreement { deflate })
    }

    /// Makes an otherwise finished head the answer to the client: 101, or 200 over HTTP/2.
    pub fn answer(&self, head: &mut response::Parts, agreement: Agreement) {
        let headers = &mut head.headers;
        match &self.key {
            Some(key) => {
                headers.insert(CONNECTION, UPGRADE_OPTION);
                headers.insert(UPGRADE, WEBSOCKET);
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key.as_bytes()));
            }
            None => head.status = StatusCode::OK,
        }
        if let Some(deflate) = agreement.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, ascii(&deflate.to_string()));
        }
    }

    fn check_protocol(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(chosen) = one_answered(headers, SEC_WEBSOCKET_PROTOCOL)? else {
            return Ok(());
        };
        let mut offered = self.protocols.iter().flat_map(tokens);
        match offered.any(|own| own == chosen.as_bytes()) {
            true => Ok(()),
            false => Err(broken("the answer's subprotocol was not offered")),
        }
    }

    fn agreed_deflate(&self, headers: &HeaderMap) -> Result<Option<Deflate>, Fault> {
        let count: usize = headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .map(|value| tokens(value).count())
            .sum();
        let agreed = deflates(headers).next();
        match (count, agreed) {
            (0, _) => Ok(None),
            (1, Some(deflate)) if deflate.may_answer(&self.offers) => Ok(Some(deflate)),
            _ => Err(broken("the answer's extensions were not offered")),
        }
    }
}

/// What a key is accepted with.
fn accept(key: &[u8]) -> HeaderValue {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    ascii(&BASE64.encode(&hash))
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64 and tokens are visible ASCII")
}

fn deflates(headers: &HeaderMap) -> impl Iterator<Item = Deflate> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let items = values.flat_map(tokens);
    items.filter_map(|item| Deflate::parse(std::str::from_utf8(item).ok()?))
}

fn names(headers: &HeaderMap, field: HeaderName, token: &[u8]) -> bool {
    let values = headers.get_all(field);
    values
        .iter()
        .flat_map(tokens)
        .any(|own| own.eq_ignore_ascii_case(token))
}

/// The field's value; none where there is no such field.
fn one(headers: &HeaderMap, field: HeaderName) -> Result<Option<HeaderValue>, Fault> {
    let mut values = headers.get_all(&field).iter();
    let first = values.next().cloned();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(malformed("a field of the handshake is there twice")),
    }
}

/// The same of an answer's: what is wrong with that is the server's fault.
fn one_answered(headers: &HeaderMap, field: HeaderName) -> Result<Option<HeaderValue>, Fault> {
    one(headers, field).map_err(|_| broken("a field of the handshake is there twice"))
}

fn broken(how: &str) -> Fault {
    Fault::Upstream(format!("no WebSocket handshake: {how}"))
}

fn malformed(how: &str) -> Fault {
    Fault::Malformed(format!("no WebSocket handshake: {how}"))
}
