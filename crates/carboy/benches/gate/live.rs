//! Connections that stay: a WebSocket that echoes, and a stream of server-sent events.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::door::{Door, Stream};
use crate::load::{Stretch, head_end, median};

/// What a message of a chat is like.
const MESSAGE: &[u8] =
    br#"{"type":"message","text":"a few words, as one says them in a chat room"}"#;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What this process's clock says since it was first asked.
fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The origin's side of a WebSocket: short frames go back as they came.
pub(crate) async fn echo<S>(stream: &mut S, head: &[u8], mut buffer: Vec<u8>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let at = head.find("sec-websocket-key: ").context("a key")? + "sec-websocket-key: ".len();
    // The key's letters matter, so it is taken from the head as it came.
    let key = String::from_utf8_lossy(&buffer[..head.len()]).into_owned();
    let key = key[at..].lines().next().unwrap_or_default().trim();
    let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = BASE64.encode(&Sha1::digest(format!("{key}{guid}")));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    buffer.drain(..head.len());
    loop {
        while let Some(payload) = take_frame(&mut buffer) {
            let mut frame = vec![0x81, payload.len() as u8];
            frame.extend_from_slice(&payload);
            stream.write_all(&frame).await?;
        }
        stream.flush().await?;
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The origin's side of a stream: so many events, a pause before each, and its time in each.
pub(crate) async fn say_events<S>(stream: &mut S, count: usize, pause: Duration) -> Result<()>
where
    S: AsyncWrite + Unpin,
{
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for number in 0..count {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let event = format!(
            "data: {{\"id\":\"answer-0123456789\",\"delta\":{{\"text\":\"word {number} \"}},\"at\":{}}}\n\n",
            now().as_nanos()
        );
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        stream.write_all(chunk.as_bytes()).await?;
        stream.flush().await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(stream.flush().await?)
}

/// The payload of a short frame.
fn take_frame(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let second = *buffer.get(1)?;
    let (length, is_masked) = (usize::from(second & 0x7f), second & 0x80 != 0);
    let start = if is_masked { 6 } else { 2 };
    let payload = buffer.get(start..start + length)?;
    let payload = match is_masked {
        true => {
            let mask = buffer[2..6].iter().cycle();
            payload
                .iter()
                .zip(mask)
                .map(|(byte, mask)| byte ^ mask)
                .collect()
        }
        false => payload.to_vec(),
    };
    buffer.drain(..start + length);
    Some(payload)
}

async fn open(door: &Door, path: &str, fields: &str) -> Result<(Box<dyn Stream>, Vec<u8>)> {
    let mut stream = door.open().await?;
    let Door { prefix, host, .. } = door;
    let request = format!("GET {prefix}{path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        if let Some(end) = head_end(&buffer) {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let is_good = head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200");
            ensure!(is_good, "answered: {}", String::from_utf8_lossy(&buffer));
            buffer.drain(..end);
            return Ok((stream, buffer));
        }
        let read = stream.read_buf(&mut buffer).await?;
        ensure!(read > 0, "the connection ended before an answer");
    }
}

/// Opens a WebSocket; what came after its head is with it.
pub(crate) async fn open_socket(door: &Door) -> Result<(Box<dyn Stream>, Vec<u8>)> {
    let fields = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    open(door, "/socket", &fields).await
}

/// Keeps `connections` WebSockets busy for `length`: each says the next word when it has heard the last.
pub(crate) async fn talk(door: &Door, connections: usize, length: Duration) -> Result<Stretch> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(open_socket(door).await?);
    }
    let start = Instant::now();
    let talks = streams.into_iter().map(|(stream, buffer)| {
        tokio::task::spawn_local(talk_until(stream, buffer, start + length))
    });
    let mut times = Vec::new();
    for talk in talks.collect::<Vec<_>>() {
        times.extend(talk.await??);
    }
    let answers = times.len() as u64;
    Ok(Stretch {
        answers,
        per_second: answers as f64 / start.elapsed().as_secs_f64(),
        p50: median(&mut times).context("no message was echoed")?,
    })
}

async fn talk_until(
    mut stream: Box<dyn Stream>,
    mut buffer: Vec<u8>,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | MESSAGE.len() as u8];
    frame.extend_from_slice(&mask);
    frame.extend(
        MESSAGE
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    let mut times = Vec::new();
    let mut before = Instant::now();
    while before < end {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        let heard = loop {
            if let Some(heard) = take_frame(&mut buffer) {
                break heard;
            }
            ensure!(
                stream.read_buf(&mut buffer).await? > 0,
                "the WebSocket ended"
            );
        };
        ensure!(heard == MESSAGE, "another message came back");
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    Ok(times)
}

/// Reads a stream of events to its end: how long each took to come.
pub(crate) async fn listen(door: &Door, count: usize, pause: Duration) -> Result<Stretch> {
    let path = format!("/events/{count}/{}", pause.as_millis());
    let (mut stream, mut buffer) = open(door, &path, "").await?;
    let (mut chunks, mut content) = (Chunks::default(), Vec::new());
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < count {
        chunks.take(&mut buffer, &mut content)?;
        while let Some(at) = take_event(&mut content) {
            times.push(now().saturating_sub(Duration::from_nanos(at?)));
        }
        if times.len() < count {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "the stream is cut");
        }
    }
    let answers = times.len() as u64;
    Ok(Stretch {
        answers,
        per_second: answers as f64 / start.elapsed().as_secs_f64(),
        p50: median(&mut times).context("no event came")?,
    })
}

/// The framing of a chunked body (RFC 9112, section 7.1), without extensions and trailers: a gate may cut
/// events as it likes.
#[derive(Default)]
struct Chunks {
    /// Bytes of the chunk at hand that are to come, its end with them.
    left: usize,
}

impl Chunks {
    /// Moves what came of the content over.
    fn take(&mut self, buffer: &mut Vec<u8>, content: &mut Vec<u8>) -> Result<()> {
        const END: usize = 2;
        loop {
            if self.left == 0 {
                let Some(end) = buffer.windows(END).position(|two| two == b"\r\n") else {
                    return Ok(());
                };
                let size = std::str::from_utf8(&buffer[..end])?;
                let size = usize::from_str_radix(size, 16).context("a chunk has its size")?;
                buffer.drain(..end + END);
                self.left = size + END;
            }
            let taken = self.left.min(buffer.len());
            let of_content = taken.min(self.left.saturating_sub(END));
            content.extend_from_slice(&buffer[..of_content]);
            buffer.drain(..taken);
            self.left -= taken;
            if self.left > 0 {
                return Ok(());
            }
        }
    }
}

/// When the next event was sent.
fn take_event(buffer: &mut Vec<u8>) -> Option<Result<u64>> {
    let end = buffer.windows(2).position(|two| two == b"\n\n")? + 2;
    let event: Vec<u8> = buffer.drain(..end).collect();
    let text = String::from_utf8_lossy(&event);
    let at = text
        .split("\"at\":")
        .nth(1)
        .and_then(|rest| rest.split('}').next());
    Some(
        at.context("an event has its time")
            .and_then(|at| Ok(at.parse()?)),
    )
}
