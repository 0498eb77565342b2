//! Peers that attack or fail: each leaves a receipt a crossing, and the gate serves on.
//! [`Stand::finish`] compares the counts.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, timeout};

use crate::support::{Client, OPEN, Stand, Upstreams, body, status};
use crate::tls::up_tunnel;

/// Frames of HTTP/2 (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// "Enhance your calm" (RFC 9113, section 7).
const CALM: u32 = 0xb;
const HTTP_1_1_REQUIRED: u32 = 0xd;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of `GET http://up.example:PORT/` (RFC 7541, appendix A), without compression.
fn get_block(port: u16) -> Vec<u8> {
    let authority = format!("up.example:{port}");
    let length = u8::try_from(authority.len()).unwrap();
    [&[0x82, 0x86, 0x84, 0x01, length], authority.as_bytes()].concat()
}

/// A tunnel in which HTTP/2 is spoken by hand.
async fn h2(stand: &Stand, port: u16) -> Client {
    let mut client = stand.client().await;
    client
        .send(format!(
            "CONNECT up.example:{port} HTTP/1.1\r\nHost: up.example:{port}\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&client.response().await), 200);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send(frame(SETTINGS, 0, 0, &[])).await;
    client
}

/// The code with which the gate ends an HTTP/2 connection.
async fn goaway(client: &mut Client) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.0.read_exact(&mut payload).await.ok()?;
        if head[3] == GOAWAY {
            let code = payload.get(4..8)?.first_chunk()?;
            return Some(u32::from_be_bytes(*code));
        }
    }
}

/// Reads until so many heads have come.
async fn heads(client: &mut Client, count: usize) {
    let mut left = count;
    while left > 0 {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.0.read_exact(&mut payload).await.unwrap();
        left -= usize::from(head[3] == HEADERS);
    }
}

/// Sends frames until the gate has had enough; how many went out.
async fn flood(client: &mut Client, frames: impl Iterator<Item = Vec<u8>>) -> usize {
    let mut sent = 0;
    for frame in frames {
        if client.0.write_all(&frame).await.is_err() {
            break;
        }
        sent += 1;
    }
    sent
}

async fn serves_on(stand: &Stand, up: &Upstreams) {
    let response = stand.get(&up.url("/after")).await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_their_connection() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let port = up.port();
    let mut client = h2(&stand, port).await;
    const RESETS: u32 = 20_000;
    let frames = (0..RESETS).map(|nth| {
        let stream = 2 * nth + 1;
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_block(port));
        [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    let flooding = timeout(Duration::from_secs(20), flood(&mut client, frames));
    flooding.await.expect("the gate reads on or closes");
    // A reset may overtake the words; that it ended is told either way.
    let code = timeout(Duration::from_secs(20), goaway(&mut client))
        .await
        .unwrap();
    assert!(matches!(code, Some(CALM) | None), "{code:?}");
    serves_on(&stand, &up).await;
    let crossings = stand.finish_alone().await.report.crossings;
    assert!(crossings < u64::from(RESETS) / 4, "{crossings} crossings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_goes_on_for_ever_in_http2_is_no_crossing() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = h2(&stand, up.port()).await;
    client
        .send(frame(HEADERS, END_STREAM, 1, &get_block(up.port())))
        .await;
    // A field that is never indexed: `x: ` and 8 KiB.
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x3f][..], &[b'a'; 8192]].concat();
    let frames = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &field), 20_000);
    let flooding = timeout(Duration::from_secs(20), flood(&mut client, frames));
    let sent = flooding.await.expect("the gate reads on or closes");
    assert!(sent < 20_000, "160 MiB of a head were taken");
    serves_on(&stand, &up).await;
    let done = stand.finish_alone().await;
    assert_eq!(
        done.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"]
    );
}

/// The code of a stream's reset.
async fn reset(client: &mut Client, stream: u32) -> u32 {
    loop {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        client.0.read_exact(&mut payload).await.unwrap();
        if head[3] == RST_STREAM && head[5..9] == stream.to_be_bytes() {
            return u32::from_be_bytes(payload[..4].try_into().unwrap());
        }
    }
}

/// The library takes no such target; over HTTP/1.1 it is mended and served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_as_it_was_typed_is_sent_to_http1() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = h2(&stand, up.port()).await;
    for (stream, path) in [(1, "/?q={\"a\":1}"), (3, "/a<b>"), (5, "/?<b>")] {
        let length = u8::try_from(path.len()).unwrap();
        // All of the block but its `:path`, which is one byte.
        let mut block = get_block(up.port());
        block.splice(2..3, [&[0x04, length], path.as_bytes()].concat());
        let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
        client.send(head).await;
        let code = timeout(Duration::from_secs(20), reset(&mut client, stream)).await;
        assert_eq!(code.expect("it is reset"), HTTP_1_1_REQUIRED, "{path}");
    }
    // The connection is as good as before.
    let head = frame(HEADERS, END_STREAM | END_HEADERS, 7, &get_block(up.port()));
    client.send(head).await;
    timeout(Duration::from_secs(20), heads(&mut client, 1))
        .await
        .expect("it is answered");
    drop(client);
    let lines = stand.finish_alone().await.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
}

/// One long field, named again and again by one byte each (RFC 7541, section 7.3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_block_that_grows_large_is_no_crossing() {
    const LONG: usize = 4000;
    const TIMES: usize = 15_000;
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = h2(&stand, up.port()).await;
    // `x: ` and the field, with indexing: it has the first index of the table that grows.
    let field = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'a'; LONG]].concat();
    let block = [get_block(up.port()), field, vec![0xbe; TIMES]].concat();
    let mut parts = block.chunks(16_000);
    let first = parts.next().unwrap();
    client.send(frame(HEADERS, END_STREAM, 1, first)).await;
    for part in parts {
        let is_last = part.len() < 16_000;
        let flags = if is_last { END_HEADERS } else { 0 };
        if client
            .0
            .write_all(&frame(CONTINUATION, flags, 1, part))
            .await
            .is_err()
        {
            break;
        }
    }
    serves_on(&stand, &up).await;
    drop(client);
    let done = stand.finish_alone().await;
    assert_eq!(
        done.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"]
    );
}

/// Frames that cost their sender nothing, and want an answer or a moment each, from a client that reads
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_small_frames_hold_nobody_up() {
    let up = Upstreams::echo().await;
    for (kind, stream, payload) in [
        (PING, 0, &[0; 8][..]),
        (SETTINGS, 0, &[]),
        (SETTINGS, 0, &[0, 3, 0, 0, 0, 100]),
        (WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
    ] {
        let stand = Stand::open(OPEN).await;
        let mut client = h2(&stand, up.port()).await;
        let frames = std::iter::repeat_n(frame(kind, 0, stream, payload), 100_000);
        let flooding = timeout(Duration::from_secs(2), flood(&mut client, frames));
        // It is cut off, taken whole, or no longer read; others are served meanwhile.
        let (_, ()) = tokio::join!(flooding, serves_on(&stand, &up));
        serves_on(&stand, &up).await;
        drop(client);
        let lines = stand.finish_alone().await.lines();
        assert_eq!(lines.len(), 5, "{kind}: {lines:?}");
    }
}

/// A response that a client opens no window for, and one that it opens little by little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_never_opens_ends_with_its_connection() {
    const INITIAL_WINDOW_OF_NOTHING: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = h2(&stand, up.port()).await;
    client
        .send(frame(SETTINGS, 0, 0, &INITIAL_WINDOW_OF_NOTHING))
        .await;
    for stream in [1, 3, 5] {
        let flags = END_STREAM | END_HEADERS;
        client
            .send(frame(HEADERS, flags, stream, &get_block(up.port())))
            .await;
    }
    client.send(frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0, 1])).await;
    for _ in 0..5 {
        serves_on(&stand, &up).await;
    }
    // Heads need no window.
    let heads = timeout(Duration::from_secs(20), heads(&mut client, 3));
    heads.await.expect("each is answered");
    drop(client);
    let done = stand.finish_alone().await;
    let lines = done.lines();
    // What was asked is answered and judged, whether or not it is read.
    let asked = lines.iter().filter(|line| *line == "http-request allow");
    assert_eq!(asked.count(), 8, "{lines:?}");
    assert_eq!(lines.len(), 17, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_fields_are_refused_on_either_side() {
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: v\r\n"))
            .collect::<String>()
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        fields(5000)
    );
    let up = Upstreams::saying(answer).await;
    let stand = Stand::open(OPEN).await;
    for count in [120, 300, 5000] {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: up.example:{}\r\n",
            up.url("/"),
            up.port()
        );
        let response = stand.ask(format!("{request}{}\r\n", fields(count))).await;
        assert_eq!(status(&response), 400, "{count}: {response}");
    }
    assert_eq!(status(&stand.get(&up.url("/")).await), 502);
    let expect = [
        "http-request block malformed",
        "http-request block malformed",
        "http-request block malformed",
        "http-request allow",
        "http-response block upstream",
    ];
    assert_eq!(stand.finish_alone().await.lines(), expect);
}

fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..megabytes {
        encoder.write_all(&[b' '; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_do_not_go_off() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let deep = [&[b'['; 1 << 20][..], &[b']'; 1 << 20]].concat();
    for (coding, content, code) in [("gzip", bomb(200), 403), ("identity", deep, 200)] {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: up.example:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            up.url("/"),
            up.port(),
            content.len()
        );
        let response = stand.ask([head.as_bytes(), &content].concat()).await;
        assert_eq!(status(&response), code, "{coding}: {response:.300}");
    }
    let expect = [
        "http-request block opaque",
        "http-request allow",
        "http-response allow",
    ];
    assert_eq!(stand.finish_alone().await.lines(), expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_that_reset_are_told_and_forgotten() {
    let up = Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            if request.starts_with("GET /at-once ") {
                return far.stream.set_zero_linger().unwrap();
            }
            if request.starts_with("GET /half ") {
                far.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                    .await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                return far.stream.set_zero_linger().unwrap();
            }
            far.answer("whole").await;
        }
    })
    .await;
    let stand = Stand::open(OPEN).await;
    for _ in 0..3 {
        let at_once = stand.get(&up.url("/at-once")).await;
        assert_eq!(status(&at_once), 502, "{at_once}");
        let half = stand.get(&up.url("/half")).await;
        assert!(body(&half).len() < 10 || status(&half) == 502, "{half}");
        assert_eq!(body(&stand.get(&up.url("/whole")).await), "whole");
    }
    let lines = stand.finish_alone().await.lines();
    let upstream = lines
        .iter()
        .filter(|line| *line == "http-response block upstream");
    assert_eq!((lines.len(), upstream.count()), (18, 6), "{lines:?}");
}

/// An answer whose framing breaks: at its head, in a chunk, in what follows the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_with_broken_framing_are_told_as_such() {
    let chunked =
        |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    let long = "a".repeat(200_000);
    for (answer, is_words) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            true,
        ),
        ("HTTP/1.1 200 OK\r\nBroken\r\n\r\n".to_owned(), true),
        ("SSH-2.0-server\r\n".to_owned(), true),
        (chunked("zz\r\nabc\r\n0\r\n\r\n"), false),
        (chunked("3\r\nabcXX\r\n0\r\n\r\n"), false),
        (chunked(&format!("30d40\r\n{long}\r\nzz\r\n")), false),
    ] {
        let up = Upstreams::saying(answer.clone()).await;
        let stand = Stand::open(OPEN).await;
        let response = stand.get(&up.url("/")).await;
        // What breaks late may show before or after the head has gone.
        let is_told = response.starts_with("HTTP/1.1 502 ");
        assert!(is_told || !is_words, "{answer:.60}: {response:.300}");
        assert_eq!(is_told, response.contains("carboy-reason: upstream"));
        assert!(is_told || !response.ends_with("0\r\n\r\n"), "{answer:.60}");
        assert_eq!(
            stand.finish_alone().await.lines(),
            ["http-request allow", "http-response block upstream"],
            "{answer:.60}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_that_has_said_all_still_hears_the_other() {
    let up = Upstreams::run(|mut far| async move {
        while far.read().await.is_some() {}
        far.say("all heard").await;
    })
    .await;
    let stand = Stand::open(&format!("{OPEN}  tcp: ['up.example:{}']\n", up.port())).await;
    let mut client = Client(up_tunnel(&stand, up.port()).await);
    client.send("all said").await;
    client.end().await;
    assert_eq!(client.rest().await, "all heard");
    assert_eq!(up.seen(), "all said");
    assert_eq!(
        stand.finish_alone().await.lines(),
        ["tunnel allow", "tcp allow", "tcp-response allow"]
    );
}
