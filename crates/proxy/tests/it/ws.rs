//! A WebSocket client and an echo server that know no more of the protocol than the bytes: neither
//! checks anything.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Stand, Upstreams};

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A frame as it is on the wire, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub first: u8,
    pub payload: Vec<u8>,
}

/// The client's end.
pub struct Ws<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Ws<TcpStream> {
    /// Past the gate.
    pub async fn direct(up: &Upstreams, headers: &str) -> Self {
        let stream = TcpStream::connect(up.address).await.unwrap();
        Self::open(stream, "/", &host(up), headers).await
    }

    /// Through the gate as a forward proxy.
    pub async fn forward(stand: &Stand, up: &Upstreams, headers: &str) -> Self {
        let stream = stand.client().await.0;
        let host = host(up);
        Self::open(stream, &format!("http://{host}/"), &host, headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Asks for a WebSocket, which must be granted.
    pub async fn open(mut stream: S, target: &str, host: &str, headers: &str) -> Self {
        stream
            .write_all(request(target, host, headers).as_bytes())
            .await
            .unwrap();
        let (head, buffer) = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // RFC 6455, section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self { stream, buffer }
    }

    /// One that was opened in another way.
    pub fn over(stream: S) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    pub async fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.raw(&frame(first, payload.as_ref(), true)).await;
    }

    /// Bytes as they are. A server that has closed may not take them.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next frame; none at the end.
    pub async fn frame(&mut self) -> Option<Raw> {
        next(&mut self.stream, &mut self.buffer).await
    }

    /// All that comes until the end, message by message.
    pub async fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut message: Option<(u8, Vec<u8>)> = None;
        while let Some(Raw { first, payload }) = self.frame().await {
            match first & 0x0f {
                0 => {
                    let open = message.as_mut().expect("a message is open");
                    open.1.extend_from_slice(&payload);
                }
                8 => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let code = code.map_or_else(String::new, |code| format!(" {code}"));
                    heard.push(format!("close{code}"));
                    return heard;
                }
                9 => heard.push(format!("ping {}", shown(&payload))),
                10 => heard.push(format!("pong {}", shown(&payload))),
                _ => message = Some((first & 0x4f, payload)),
            }
            if first & 0x80 != 0 && first & 0x08 == 0 {
                let (kind, whole) = message.take().expect("a message is open");
                heard.push(format!("{kind:x} {}", shown(&whole)));
            }
        }
        heard.push("end".into());
        heard
    }

    /// Closes, and tells the reason that comes back.
    pub async fn reason(&mut self) -> String {
        self.send(CLOSE, [3, 232]).await;
        while let Some(Raw { first, payload }) = self.frame().await {
            if first == CLOSE {
                let reason = payload.get(2..).unwrap_or_default();
                return String::from_utf8_lossy(reason).into_owned();
            }
        }
        "no close frame".into()
    }

    /// Closes, and hears the rest.
    pub async fn close(&mut self) -> Vec<String> {
        self.send(CLOSE, [3, 232]).await;
        self.heard().await
    }
}

/// Short content as it is, long content by its hash.
pub fn shown(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=200 => bytes.escape_ascii().to_string(),
        length => format!(
            "{length} bytes {}",
            data_encoding::HEXLOWER.encode(&Sha1::digest(bytes))
        ),
    }
}

pub fn host(up: &Upstreams) -> String {
    format!("up.example:{}", up.port())
}

pub fn request(target: &str, host: &str, headers: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// A head, and what came after it.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8_lossy(&bytes).into_owned(), rest);
        }
        let reading = stream.read_buf(&mut bytes);
        let read = timeout(Duration::from_secs(20), reading).await;
        assert!(read.expect("a head comes").unwrap() > 0, "no whole head");
    }
}

/// A frame in bytes.
pub fn frame(first: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    let bit = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(bit | length as u8),
        length @ 126..=0xffff => {
            bytes.push(bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    if is_masked {
        bytes.extend_from_slice(&mask);
        let masked = payload.iter().zip(mask.iter().cycle());
        bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

async fn next(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Raw> {
    loop {
        if let Some(raw) = take(buffer) {
            return Some(raw);
        }
        let reading = stream.read_buf(buffer);
        let read = timeout(Duration::from_secs(60), reading).await;
        if read.expect("something comes").unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn take(buffer: &mut Vec<u8>) -> Option<Raw> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    let (length, mut start) = match second & 0x7f {
        126 => (u16::from_be_bytes(*buffer[2..].first_chunk()?).into(), 4),
        127 => (u64::from_be_bytes(*buffer[2..].first_chunk()?), 10),
        length => (length.into(), 2),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        mask = *buffer.get(start..)?.first_chunk()?;
        start += 4;
    }
    let end = start + length as usize;
    let payload = buffer.get(start..end)?;
    let payload = payload.iter().zip(mask.iter().cycle());
    let payload = payload.map(|(byte, mask)| byte ^ mask).collect();
    buffer.drain(..end);
    Some(Raw { first, payload })
}

/// What a server answers a request for a WebSocket with; compression is agreed on as it is offered.
pub fn switch(request: &str) -> String {
    let field = |name: &str| {
        let lines = request.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    };
    let key = field("sec-websocket-key").expect("a key");
    let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = data_encoding::BASE64.encode(&Sha1::digest(format!("{key}{guid}")));
    let deflate = match field("sec-websocket-extensions") {
        Some(_) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        None => "",
    };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{deflate}\r\n"
    )
}

/// Sends every frame back as it came, compressed ones too.
pub async fn echo() -> Upstreams {
    Upstreams::run(|far| {
        let log = far.log();
        serve_echo(far.stream, log)
    })
    .await
}

/// Says these bytes once the connection is open, and answers nothing but a close frame.
pub async fn saying(bytes: Vec<u8>) -> Upstreams {
    Upstreams::run(move |far| {
        let (log, bytes) = (far.log(), bytes.clone());
        async move {
            let mut stream = far.stream;
            let (request, mut buffer) = head(&mut stream).await;
            let answer = [switch(&request).as_bytes(), &bytes].concat();
            let _ = stream.write_all(&answer).await;
            while let Some(Raw { first, payload }) = next(&mut stream, &mut buffer).await {
                log.lock().extend_from_slice(&payload);
                if first == CLOSE {
                    let _ = stream.write_all(&frame(CLOSE, &payload, false)).await;
                    return;
                }
            }
        }
    })
    .await
}

/// The same on a stream of any kind. What comes is noted.
pub async fn serve_echo<S>(mut stream: S, log: Arc<Mutex<Vec<u8>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (request, mut buffer) = head(&mut stream).await;
    log.lock().extend_from_slice(request.as_bytes());
    let _ = stream.write_all(switch(&request).as_bytes()).await;
    while let Some(Raw { first, payload }) = next(&mut stream, &mut buffer).await {
        log.lock().extend_from_slice(&payload);
        let answer = match first & 0x0f {
            9 => frame(PONG, &payload, false),
            10 => continue,
            _ => frame(first, &payload, false),
        };
        let _ = stream.write_all(&answer).await;
        let _ = stream.flush().await;
        if first & 0x0f == 8 {
            let _ = stream.shutdown().await;
            return;
        }
    }
}
