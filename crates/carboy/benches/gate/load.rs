//! The load generator: keep-alive connections that each ask again as soon as they are answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::door::{Door, Stream};
use crate::origin::text;

/// What one stretch of load gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) answers: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
}

/// The end of a message's head, if it is all there.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The value of a head's `Content-Length`.
pub(crate) fn content_length(head: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\ncontent-length:";
    let at = head
        .windows(NAME.len())
        .position(|name| name.eq_ignore_ascii_case(NAME))?;
    let rest = std::str::from_utf8(&head[at + NAME.len()..]).ok()?;
    rest.split("\r\n").next()?.trim().parse().ok()
}

/// Sends one request and reads its whole answer.
pub(crate) async fn exchange(
    stream: &mut dyn Stream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<()> {
    stream.write_all(request).await?;
    stream.flush().await?;
    read_answer(stream, buffer).await
}

async fn read_answer(stream: &mut dyn Stream, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    let end = loop {
        if let Some(end) = head_end(buffer) {
            break end;
        }
        ensure!(
            stream.read_buf(buffer).await? > 0,
            "the connection ended before an answer"
        );
    };
    let head = &buffer[..end];
    ensure!(
        head.starts_with(b"HTTP/1.1 200"),
        "answered: {}",
        String::from_utf8_lossy(buffer)
    );
    let length = content_length(head).context("an answer has a length")?;
    let mut left = length.saturating_sub((buffer.len() - end) as u64);
    while left > 0 {
        buffer.clear();
        let read = stream.read_buf(buffer).await? as u64;
        ensure!(read > 0, "the answer is cut");
        left = left.saturating_sub(read);
    }
    Ok(())
}

/// Keeps `connections` busy through a door for `length`.
pub(crate) async fn stretch(
    door: &Door,
    connections: usize,
    size: usize,
    length: Duration,
) -> Result<Stretch> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let (mut stream, mut buffer) = (door.open().await?, Vec::with_capacity(64 * 1024));
        exchange(&mut *stream, &door.request(size, None), &mut buffer).await?;
        streams.push((stream, buffer));
    }
    let start = Instant::now();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|(stream, buffer)| {
            let request = door.request(size, None);
            tokio::task::spawn_local(ask_until(stream, buffer, request, start + length))
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = start.elapsed();
    let answers = times.len() as u64;
    Ok(Stretch {
        answers,
        per_second: answers as f64 / elapsed.as_secs_f64(),
        p50: median(&mut times).context("no request was answered")?,
    })
}

async fn ask_until(
    mut stream: Box<dyn Stream>,
    mut buffer: Vec<u8>,
    request: Vec<u8>,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut before = Instant::now();
    while before < end {
        exchange(&mut *stream, &request, &mut buffer).await?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    Ok(times)
}

/// The time that a new connection takes with its first answer.
pub(crate) async fn connect_once(door: &Door) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = door.open().await?;
    exchange(
        &mut *stream,
        &door.request(100, None),
        &mut Vec::with_capacity(4096),
    )
    .await?;
    Ok(start.elapsed())
}

/// The time that a body of `size` bytes takes, down or up.
pub(crate) async fn transfer(door: &Door, size: usize, up: bool) -> Result<Duration> {
    let mut stream = door.open().await?;
    let mut buffer = Vec::with_capacity(256 * 1024);
    let start = Instant::now();
    if up {
        stream.write_all(&door.request(2, Some(size))).await?;
        let mut left = size;
        while left > 0 {
            let piece = left.min(text().len());
            stream.write_all(&text()[..piece]).await?;
            left -= piece;
        }
        stream.flush().await?;
    } else {
        stream.write_all(&door.request(size, None)).await?;
        stream.flush().await?;
    }
    read_answer(&mut *stream, &mut buffer).await?;
    Ok(start.elapsed())
}

/// The middle one.
pub(crate) fn median<T: Ord + Copy>(values: &mut [T]) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
