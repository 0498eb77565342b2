use std::io::Write;

use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;

use super::TOKEN;
use crate::crossing::{Direction, SurfaceKind};
use crate::scan::{Budget, Scanner, Sighting, Stream};

/// What a stream showed, and how much of it had been released when it ended.
struct Flow {
    seen: Vec<(&'static str, u64, Vec<&'static str>)>,
    released: usize,
}

fn flow(coding: Option<&str>, direction: Direction, pieces: &[&[u8]]) -> Flow {
    let scanner = Scanner::new([7; 32]);
    let mut stream = Stream::new(SurfaceKind::Body, direction, coding);
    let (mut budget, mut out, mut released) = (Budget::default(), Vec::new(), 0);
    let holds = |_: &Sighting| true;
    for piece in pieces {
        released += stream
            .push(&scanner, piece, &holds, &mut budget, &mut out)
            .expect("budget");
        released += stream.lull(&scanner, &holds);
    }
    assert!(released <= pieces.iter().map(|piece| piece.len()).sum());
    stream
        .finish(&scanner, &holds, &mut budget, &mut out)
        .expect("budget");
    let seen = out
        .into_iter()
        .map(|s| (s.rule.id, s.offset, s.via))
        .collect();
    Flow { seen, released }
}

fn cut<'a>(content: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (content, Vec::new());
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        pieces.push(piece);
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
    pieces
}

fn planted() -> impl Strategy<Value = Vec<u8>> {
    let secret = prop_oneof![
        Just(TOKEN.to_owned()),
        Just(BASE64.encode(format!("key {TOKEN}").as_bytes())),
        Just(HEXLOWER.encode(TOKEN.as_bytes())),
        Just(TOKEN.bytes().map(|b| format!("%{b:02x}")).collect()),
        Just("legal winner thank year wave sausage worth useful legal winner thank yellow".into()),
        Just("card 4111 1111 1111 1111".into()),
        Just("\u{200b}password: \"tR4x-9pQ7w!zk\"".into()),
    ];
    let filler = prop_oneof![
        "[a-z ]{0,300}",
        "[A-Za-z0-9+/]{0,9000}",
        "[ -~\\n]{0,2000}",
        "\\PC{0,500}",
        Just("x".repeat(33_000)),
        Just("lorem ipsum dolor\n".repeat(1900)),
    ];
    let part = prop_oneof![secret, filler];
    let separator = prop_oneof![Just(" "), Just("\n"), Just("="), Just("")];
    prop::collection::vec((part, separator), 1..8).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(part, separator)| part + separator)
            .collect::<String>()
            .into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn cuts_change_nothing(
        content in planted(),
        sizes in prop::collection::vec(prop_oneof![1usize..300, 1000usize..20_000], 1..6),
    ) {
        let whole = flow(None, Direction::Outbound, &[&content]);
        let pieces = flow(None, Direction::Outbound, &cut(&content, &sizes));
        prop_assert_eq!(&whole.seen, &pieces.seen);
        // The first thing that blocks is never sent in full: its last byte is held.
        let scanner = Scanner::new([7; 32]);
        let (mut out, mut budget) = (Vec::new(), Budget::default());
        scanner
            .scan(SurfaceKind::Body, Direction::Outbound, &content, &mut budget, &mut out)
            .expect("budget");
        for sighting in out {
            prop_assert!((pieces.released as u64) < sighting.offset + sighting.len);
        }
    }

    #[test]
    fn codings_change_nothing(
        content in planted(),
        size in 100usize..5000,
    ) {
        let plain = flow(None, Direction::Inbound, &[&content]);
        for (name, coded) in [("gzip", gzip(&content)), ("deflate", zlib(&content)), ("zstd", zstd(&content))] {
            let flow = flow(Some(name), Direction::Inbound, &cut(&coded, &[size]));
            prop_assert_eq!(&plain.seen, &flow.seen, "{}", name);
        }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn coded_secrets_are_seen() {
    let content = format!("{{\"a\": \"{TOKEN}\"}}");
    for (name, coded) in [
        ("gzip", gzip(content.as_bytes())),
        ("x-gzip", gzip(content.as_bytes())),
        ("deflate", zlib(content.as_bytes())),
        ("zstd", zstd(content.as_bytes())),
    ] {
        let flow = flow(Some(name), Direction::Outbound, &[&coded]);
        assert_eq!(flow.seen, [("github-token", 7, vec![])], "{name}");
        assert!(flow.released < coded.len());
    }
    let flow = flow(
        Some("br"),
        Direction::Outbound,
        &[&brotli(content.as_bytes())],
    );
    assert_eq!(flow.seen, [("github-token", 7, vec![])]);
}

/// One uncompressed meta-block and an empty last one (RFC 7932, section 9.2).
fn brotli(content: &[u8]) -> Vec<u8> {
    let header = (content.len() as u32 - 1) << 4 | 1 << 20;
    let mut coded = header.to_le_bytes()[..3].to_vec();
    coded.extend_from_slice(content);
    coded.push(3);
    coded
}

#[test]
fn what_cannot_be_read_is_told() {
    let rules = |coding, bytes: &[u8]| {
        let flow = flow(Some(coding), Direction::Inbound, &[bytes]);
        flow.seen.iter().map(|seen| seen.0).collect::<Vec<_>>()
    };
    assert_eq!(rules("compress", b"abc"), ["opaque-encoding"]);
    assert_eq!(rules("gzip", b"this is no gzip"), ["opaque-corrupt"]);
    let bomb = gzip(&vec![0; 64 << 20]);
    assert_eq!(rules("gzip", &bomb), ["opaque-ratio"]);
    let whole = gzip(&b"abc".repeat(1000));
    assert_eq!(rules("gzip", &whole[..whole.len() - 9]), ["opaque-corrupt"]);
    assert_eq!(rules("gzip", b""), Vec::<&str>::new());
    assert_eq!(rules("identity", b"abc"), Vec::<&str>::new());
}

#[test]
fn events_are_released_as_they_come() {
    let event = b"data: {\"delta\":\"Hello, here is the next part\"}\n\n".as_slice();
    let scanner = Scanner::new([7; 32]);
    let mut stream = Stream::new(SurfaceKind::Body, Direction::Inbound, None);
    let (mut budget, mut out) = (Budget::default(), Vec::new());
    for _ in 0..2000 {
        let decided = stream.push(&scanner, event, &|_| true, &mut budget, &mut out);
        let released = decided.expect("budget") + stream.lull(&scanner, &|_| true);
        assert_eq!(released, event.len());
    }
}

#[test]
fn what_flows_is_released_by_the_block() {
    let scanner = Scanner::new([7; 32]);
    let mut stream = Stream::new(SurfaceKind::Body, Direction::Inbound, None);
    let (mut budget, mut out, mut held) = (Budget::default(), Vec::new(), 0);
    for piece in [b"All is quiet on the river. ".as_slice(); 10_000] {
        held += piece.len();
        held -= stream
            .push(&scanner, piece, &|_| true, &mut budget, &mut out)
            .expect("budget");
        assert!(held < 70 * 1024, "{held} bytes held");
    }
}

#[test]
fn nothing_goes_from_what_would_block_on() {
    let scanner = Scanner::new([7; 32]);
    let mut stream = Stream::new(SurfaceKind::Body, Direction::Outbound, None);
    let (mut budget, mut out) = (Budget::default(), Vec::new());
    let mut take = |bytes: &[u8]| {
        let decided = stream.push(&scanner, bytes, &|_| true, &mut budget, &mut out);
        decided.expect("budget") + stream.lull(&scanner, &|_| true)
    };
    assert_eq!(take(format!("key {TOKEN} end").as_bytes()), 4);
    let more: usize = [b"more ".as_slice(); 100].into_iter().map(&mut take).sum();
    assert_eq!(more, 0);
}

#[test]
fn a_long_token_is_not_held_whole() {
    let token = "a1B2".repeat(20_000);
    let flow = flow(None, Direction::Outbound, &[token.as_bytes()]);
    assert_eq!(flow.released, token.len() - 4096);
}
