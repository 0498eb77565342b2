//! Scans a file over and over: `throughput FILE out|in|stream TIMES`. Under an instruction counter,
//! the difference between two numbers of times is the cost of one.
#![allow(clippy::print_stdout)]

use carboy_engine::{Direction, Probe};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, how, times] = &arguments[..] else {
        panic!("usage: throughput FILE out|in|stream TIMES");
    };
    let content = std::fs::read(path).expect("the file can be read");
    let pieces: Vec<&[u8]> = content.chunks(16 * 1024).collect();
    let probe = Probe::default();
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
