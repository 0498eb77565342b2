//! What comes in, as the policy has it: bombs of every coding, content that is not what it says, drawings
//! that would run, types and lengths. Each ends in one receipt, and nothing of what is refused comes through.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::support::{OPEN, Stand, Upstreams, body, status};

const MIB: usize = 1 << 20;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// 16 MiB of zeros, in blocks of one byte each (RFC 8878, section 3.1.1.2).
fn zstd() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    let blocks = 16 * MIB / (128 << 10);
    for block in 1..=blocks {
        let header = (128u32 << 10) << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// 16 MiB of zeros by a compressor of brotli.
const BROTLI: [u8; 27] = [
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff,
    0x7f, 0xf0, 0x4f, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0xdf,
];

fn answer(fields: &str, content: &[u8], is_chunked: bool) -> Vec<u8> {
    let (framing, content) = match is_chunked {
        true => {
            let size = format!("{:x}\r\n", content.len());
            let framed = [size.as_bytes(), content, b"\r\n0\r\n\r\n"].concat();
            ("Transfer-Encoding: chunked".to_owned(), framed)
        }
        false => {
            let length = format!("Content-Length: {}", content.len());
            (length, content.to_vec())
        }
    };
    let head = format!("HTTP/1.1 200 OK\r\n{fields}{framing}\r\n\r\n");
    [head.as_bytes(), &content].concat()
}

/// What a client has of an answer, and the receipts.
async fn receive(policy: &str, answer: Vec<u8>) -> (String, Vec<String>, String) {
    let up = Upstreams::saying(answer).await;
    let stand = Stand::open(policy).await;
    let response = stand.get(&up.url("/thing")).await;
    let done = stand.finish().await;
    (response, done.lines(), done.text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_of_every_coding_are_refused_in_words() {
    let zeros = vec![0; 16 * MIB];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd()),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("br, gzip", gzip(&BROTLI)),
    ];
    for (coding, bomb) in bombs {
        for is_chunked in [false, true] {
            let fields = format!("Content-Encoding: {coding}\r\n");
            let (response, lines, _) = receive(OPEN, answer(&fields, &bomb, is_chunked)).await;
            assert_eq!(status(&response), 403, "{coding}: {response:.200}");
            let expect = ["http-request allow", "http-response block opaque"];
            assert_eq!(lines, expect, "{coding}");
            for word in ["opaque-ratio", "decompresses out of bounds", "opaque: warn"] {
                assert!(response.contains(word), "{coding}: {response}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_bursts_is_recorded_and_comes_as_it_is() {
    let archive = gzip(&vec![0; 16 * MIB]);
    let came = answer("Content-Type: application/gzip\r\n", &archive, false);
    let (response, lines, receipts) = receive(OPEN, came).await;
    assert_eq!(status(&response), 200, "{response:.200}");
    assert_eq!(lines, ["http-request allow", "http-response allow"]);
    assert!(receipts.contains("opaque-archive"), "{receipts}");
    let strict = format!("{OPEN}inspect: {{opaque: block}}\n");
    let came = answer("Content-Type: application/gzip\r\n", &archive, false);
    let (response, lines, _) = receive(&strict, came).await;
    assert!(!response.contains('\x1f'), "{response:.200}");
    assert_eq!(lines[1], "http-response block opaque");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_what_it_says_or_is_refused() {
    let svg =
        "<svg xmlns='http://www.w3.org/2000/svg'><script>steal()</script><path d='M0 0'/></svg>";
    let left = "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>";
    let media = |setting: &str| {
        format!("{OPEN}inspect: {{at: [{{host: up.example, media: {setting}}}]}}\n")
    };
    let page = "<!doctype html><script>steal()</script>";
    let cases = [
        (OPEN.to_owned(), "image/svg+xml", svg, Ok(svg)),
        (media("strip"), "image/svg+xml", svg, Ok(left)),
        (media("block"), "image/svg+xml", svg, Err("svg-script")),
        (OPEN.to_owned(), "image/png", page, Err("disguised-page")),
        (media("warn"), "image/png", page, Ok(page)),
        (OPEN.to_owned(), "text/html", page, Ok(page)),
    ];
    for (policy, kind, content, expect) in cases {
        for coding in ["", "Content-Encoding: gzip\r\n"] {
            let fields = format!("Content-Type: {kind}\r\n{coding}");
            let coded = match coding {
                "" => content.as_bytes().to_vec(),
                _ => gzip(content.as_bytes()),
            };
            let came = answer(&fields, &coded, true);
            let (response, lines, _) = receive(&policy, came).await;
            match expect {
                Ok(left) => {
                    assert_eq!(status(&response), 200, "{kind}: {response}");
                    let is_as_it_came = left == content && !coding.is_empty();
                    assert!(
                        is_as_it_came || response.contains(left),
                        "{kind}: {response}"
                    );
                    assert_eq!(lines, ["http-request allow", "http-response allow"]);
                }
                Err(rule) => {
                    assert_eq!(status(&response), 403, "{kind}: {response}");
                    assert!(
                        response.contains(rule) && !response.contains("steal"),
                        "{response}"
                    );
                    assert_eq!(lines, ["http-request allow", "http-response block media"]);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_and_lengths_are_as_the_policy_has_them() {
    let policy = format!("{OPEN}inspect: {{response: {{deny: ['video/*'], bytes: 1000}}}}\n");
    for (fields, length, is_chunked, expect) in [
        ("Content-Type: text/plain\r\n", 1000, false, 200),
        ("Content-Type: text/plain\r\n", 1000, true, 200),
        ("Content-Type: text/plain\r\n", 1001, false, 403),
        ("Content-Type: text/plain\r\n", 1001, true, 403),
        ("Content-Type: video/mp4\r\n", 10, false, 403),
    ] {
        let came = answer(fields, &vec![b' '; length], is_chunked);
        let (response, lines, _) = receive(&policy, came).await;
        assert_eq!(status(&response), expect, "{fields} {length}: {response}");
        let is_refused = expect == 403;
        assert_eq!(lines[1].ends_with("block media"), is_refused, "{lines:?}");
        assert_eq!(
            body(&response).contains("inspect.response."),
            is_refused,
            "{response}"
        );
    }
}
