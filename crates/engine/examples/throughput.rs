//! Scans a file over and over: `throughput FILE out|in|stream TIMES [KNOWN]`, with so many known
//! secrets. Under an instruction counter, the difference between two numbers of times is the cost of
//! one.
#![allow(clippy::print_stdout)]

use carboy_engine::{Asked, Direction, Known, Probe};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (path, how, times, count) = match &arguments[..] {
        [_, path, how, times] => (path, how, times, 0),
        [_, path, how, times, known] => (path, how, times, known.parse().expect("a number")),
        _ => panic!("usage: throughput FILE out|in|stream TIMES [KNOWN]"),
    };
    let content = std::fs::read(path).expect("the file can be read");
    let pieces: Vec<&[u8]> = content.chunks(16 * 1024).collect();
    let probe = Probe::knowing(known(count));
    let mut seen = 0;
    let mut run = |times: usize| {
        for _ in 0..times {
            seen += match how.as_str() {
                "out" => probe
                    .scan(Direction::Outbound, &content)
                    .map_or(0, |s| s.len()),
                "in" => probe
                    .scan(Direction::Inbound, &content)
                    .map_or(0, |s| s.len()),
                _ => probe
                    .stream(Direction::Inbound, &pieces, false)
                    .unwrap_or(0),
            };
        }
    };
    run(times.parse().expect("a number"));
    println!("{how} {seen} seen {path}");
}

/// As many values of forty letters and digits.
fn known(count: u64) -> Known {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let (mut known, mut state) = (Known::default(), 1u64);
    for number in 0..count {
        let letter = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            LETTERS[(state >> 33) as usize % LETTERS.len()]
        };
        let value: Vec<u8> = (0..40).map(letter).collect();
        known.add(&number.to_string(), &value, Asked::ByName);
    }
    known
}
