//! The scanner by size and kind of content, beside one regex at a time over the same content.

use std::sync::LazyLock;

use carboy_engine::{Direction, Probe};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use regex::bytes::{Regex, RegexBuilder};

fn main() {
    divan::main();
}

static PROBE: LazyLock<Probe> = LazyLock::new(Probe::default);

static NAIVE: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let build = |regex| RegexBuilder::new(regex).unicode(false).build();
    Probe::regexes()
        .map(|regex| build(regex).expect("the build script compiled it"))
        .collect()
});

/// Words drawn by a small generator (Knuth's MMIX constants), so that no branch predictor learns
/// the content.
fn words(len: usize, between: &str) -> Vec<u8> {
    const WORDS: [&str; 32] = [
        "the", "river", "of", "market", "and", "people", "in", "a", "great", "number", "came",
        "over", "hills", "with", "old", "songs", "that", "nobody", "knew", "before", "winter",
        "it", "was", "said", "children", "would", "carry", "lamps", "through", "every", "town",
        "house",
    ];
    let (mut out, mut state) = (Vec::with_capacity(len + 16), 1u64);
    while out.len() < len {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        out.extend_from_slice(WORDS[(state >> 59) as usize].as_bytes());
        out.extend_from_slice(between.as_bytes());
    }
    out.truncate(len);
    out
}

const SHAPES: [&str; 8] = [
    "url 120 B",
    "text 90 B",
    "text 1 KB",
    "text 10 KB",
    "html 10 KB",
    "json 10 KB",
    "text 1 MB",
    "binary 1 MB",
];

fn content(shape: &str) -> Vec<u8> {
    match shape {
        "url 120 B" => {
            let query = "https://api.example.com/v2/items/4711/reviews?lang=en&sort=date&page=3";
            [query.as_bytes(), b"&q=", &words(47, "-")].concat()
        }
        "text 90 B" => words(90, " "),
        "text 1 KB" => words(1 << 10, " "),
        "text 10 KB" => words(10 << 10, " "),
        "html 10 KB" => words(10 << 10, "</p>\n<p class=\"t\">"),
        "json 10 KB" => words(10 << 10, "\", \"text\": \""),
        "text 1 MB" => words(1 << 20, " "),
        "binary 1 MB" => {
            let mut state = 7u64;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            };
            (0..1 << 17).flat_map(|_| next()).collect()
        }
        other => panic!("no content {other}"),
    }
}

#[divan::bench(args = SHAPES)]
fn outbound(bencher: Bencher<'_, '_>, shape: &str) {
    let content = content(shape);
    bencher
        .counter(BytesCount::new(content.len()))
        .bench(|| PROBE.scan(Direction::Outbound, black_box(&content)));
}

#[divan::bench(args = SHAPES)]
fn inbound(bencher: Bencher<'_, '_>, shape: &str) {
    let content = content(shape);
    bencher
        .counter(BytesCount::new(content.len()))
        .bench(|| PROBE.scan(Direction::Inbound, black_box(&content)));
}

#[divan::bench(args = ["text 1 MB", "binary 1 MB"], consts = [16_384, 262_144])]
fn streamed<const PIECE: usize>(bencher: Bencher<'_, '_>, shape: &str) {
    let content = content(shape);
    let pieces: Vec<&[u8]> = content.chunks(PIECE).collect();
    bencher
        .counter(BytesCount::new(content.len()))
        .bench(|| PROBE.stream(Direction::Inbound, black_box(&pieces), false));
}

#[divan::bench(args = SHAPES, sample_count = 10)]
fn one_regex_at_a_time(bencher: Bencher<'_, '_>, shape: &str) {
    let content = content(shape);
    bencher.counter(BytesCount::new(content.len())).bench(|| {
        let found = NAIVE
            .iter()
            .map(|regex| regex.find_iter(black_box(&content)).count());
        found.sum::<usize>()
    });
}
