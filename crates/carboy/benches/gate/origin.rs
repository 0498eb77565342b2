//! An origin that does as little as it can: HTTP/1.1, keep-alive, in clear or over TLS.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::live;
use crate::load::{content_length, head_end};

/// One piece of a long body.
const PIECE_BYTES: usize = 256 * 1024;

/// Starts an origin on a thread of its own. `/N` answers with N bytes, `/gzip` with [`gzip`]; a request's body is read
/// to its end. It lives as long as the process.
pub(crate) fn start(tls: Option<Arc<ServerConfig>>) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        let served = tokio::task::LocalSet::new().block_on(&runtime, accept(listener, tls));
        eprintln!("the origin ended: {served:?}");
    });
    Ok(address)
}

async fn accept(listener: std::net::TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        // A client that goes away ends its connection with an error, which is of no interest.
        tokio::task::spawn_local(async move {
            match acceptor {
                None => serve(stream).await,
                Some(acceptor) => serve(acceptor.accept(stream).await?).await,
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<()> {
    let mut buffer = Vec::with_capacity(PIECE_BYTES);
    loop {
        let end = loop {
            if let Some(end) = head_end(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        if let Some((count, pause)) = asked_events(&buffer[..end]) {
            buffer.drain(..end);
            live::say_events(&mut stream, count, pause).await?;
            continue;
        }
        if buffer[..end].windows(8).any(|word| word == b"/socket ") {
            let head = buffer[..end].to_vec();
            return live::echo(&mut stream, &head, buffer).await;
        }
        let asked = Asked::of(&buffer[..end])?;
        let mut body = content_length(&buffer[..end]).unwrap_or(0);
        let held = (buffer.len() - end) as u64;
        buffer.drain(..end + held.min(body) as usize);
        body -= held.min(body);
        while body > 0 {
            let read = stream.read_buf(&mut buffer).await? as u64;
            anyhow::ensure!(read > 0, "the body is cut");
            buffer.drain(..read.min(body) as usize);
            body -= read.min(body);
        }
        match asked {
            Asked::Bytes(size) => answer(&mut stream, size).await?,
            Asked::Gzip => answer_gzip(&mut stream).await?,
        }
    }
}

enum Asked {
    Bytes(usize),
    Gzip,
}

impl Asked {
    fn of(head: &[u8]) -> Result<Self> {
        let line = std::str::from_utf8(head)?
            .split(' ')
            .nth(1)
            .context("a target")?;
        match line.rsplit('/').next().unwrap_or_default() {
            "gzip" => Ok(Self::Gzip),
            size => Ok(Self::Bytes(size.parse()?)),
        }
    }
}

async fn answer_gzip<S: AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    let packed = gzip();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        packed.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(packed).await?;
    stream.flush().await?;
    Ok(())
}

/// How many events a path `/events/COUNT/MILLISECONDS` asks for, and the pause before each.
fn asked_events(head: &[u8]) -> Option<(usize, Duration)> {
    let path = std::str::from_utf8(head).ok()?.split(' ').nth(1)?;
    let (_, rest) = path.split_once("/events/")?;
    let (count, pause) = rest.split_once('/')?;
    Some((
        count.parse().ok()?,
        Duration::from_millis(pause.parse().ok()?),
    ))
}

async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, size: usize) -> Result<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n");
    let mut first = head.into_bytes();
    let mut left = size;
    first.extend_from_slice(&text()[..left.min(4096)]);
    left -= left.min(4096);
    stream.write_all(&first).await?;
    while left > 0 {
        let piece = left.min(PIECE_BYTES);
        stream.write_all(&text()[..piece]).await?;
        left -= piece;
    }
    stream.flush().await?;
    Ok(())
}

/// The text that [`gzip`] unpacks to.
pub(crate) const GZIP_BYTES: usize = 16 * PIECE_BYTES;

/// Ordinary text in gzip.
fn gzip() -> &'static [u8] {
    static GZIP: OnceLock<Vec<u8>> = OnceLock::new();
    GZIP.get_or_init(|| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        for _ in 0..GZIP_BYTES / PIECE_BYTES {
            packer.write_all(text()).expect("memory takes all");
        }
        packer.finish().expect("memory takes all")
    })
}

/// Ordinary text, one piece long: words of a page that an agent might read or send.
pub(crate) fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let words = include_str!("../../../../ARCHITECTURE.md").as_bytes();
        words.iter().copied().cycle().take(PIECE_BYTES).collect()
    })
}
