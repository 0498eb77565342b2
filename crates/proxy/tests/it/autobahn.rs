//! The cases of the Autobahn test suite, by its sections: what a direct connection to an echo server
//! makes of valid ones is what the gate must make of them; of invalid ones, the gate fails the
//! connection with the code that RFC 6455 asks for.

use flate2::{Compress, Compression, FlushCompress};

use crate::support::{OPEN, Stand, Upstreams};
use crate::ws::{BINARY, CLOSE, PING, PONG, TEXT, Ws, echo, frame};

/// A text frame that is not the last of its message; a last continuation; one that is not.
const FIRST: u8 = 0x01;
const LAST: u8 = 0x80;
const MORE: u8 = 0x00;

/// What a client sends, and how the gate ends it if it must.
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// How many bytes are written at a time.
    chop: usize,
    deflate: bool,
    fails: Option<u16>,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: impl Into<String>, frames: &[(u8, &[u8])]) -> &mut Case {
        let frames = frames
            .iter()
            .map(|(first, payload)| frame(*first, payload, true));
        self.0.push(Case {
            name: name.into(),
            bytes: frames.collect::<Vec<_>>().concat(),
            chop: usize::MAX,
            deflate: false,
            fails: None,
        });
        self.0.last_mut().unwrap()
    }

    fn fails(&mut self, name: impl Into<String>, code: u16, frames: &[(u8, &[u8])]) {
        self.add(name, frames).fails = Some(code);
    }
}

async fn judge(cases: Cases) {
    let up = echo().await;
    let stand = Stand::open(OPEN).await;
    let mut wrong = Vec::new();
    let count = cases.0.len();
    for case in cases.0 {
        let through = case.run(Some(&stand), &up).await;
        let right = match case.fails {
            Some(code) => through.last() == Some(&format!("close {code}")),
            None => through == case.run(None, &up).await,
        };
        if !right {
            wrong.push(format!("{}: {through:?}", case.name));
        }
    }
    stand.finish().await;
    assert!(
        wrong.is_empty(),
        "{} wrong of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

impl Case {
    async fn run(&self, stand: Option<&Stand>, up: &Upstreams) -> Vec<String> {
        let headers = match self.deflate {
            true => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
            false => "",
        };
        let mut ws = match stand {
            Some(stand) => Ws::forward(stand, up, headers).await,
            None => Ws::direct(up, headers).await,
        };
        for piece in self.bytes.chunks(self.chop) {
            ws.raw(piece).await;
        }
        match self.fails {
            Some(_) => ws.heard().await,
            None => ws.close().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sections_1_to_4_framing_pings_reserved_bits_opcodes() {
    let mut cases = Cases::default();
    for (kind, first) in [(1, TEXT), (2, BINARY)] {
        for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let payload = vec![b'*'; length];
            cases.add(format!("1.{kind} {length}"), &[(first, &payload)]);
        }
        cases
            .add(format!("1.{kind}.8"), &[(first, &[b'*'; 65_536])])
            .chop = 997;
    }
    cases.add("2.1", &[(PING, b"")]);
    cases.add("2.2", &[(PING, b"Hello, world!")]);
    cases.add("2.3", &[(PING, b"\x00\xff\xfe\xfd")]);
    cases.add("2.4", &[(PING, &[0xfe; 125])]);
    cases.fails("2.5", 1002, &[(PING, &[0xfe; 126])]);
    cases.add("2.6", &[(PING, &[0xfe; 125])]).chop = 1;
    cases.add("2.7", &[(PONG, b"")]);
    cases.add("2.8", &[(PONG, b"unsolicited pong payload")]);
    cases.add("2.9", &[(PONG, b"unsolicited"), (PING, b"ping payload")]);
    let pings: Vec<_> = (b'0'..=b'9').map(|digit| [digit]).collect();
    let pings: Vec<_> = pings.iter().map(|digit| (PING, &digit[..])).collect();
    cases.add("2.10", &pings);
    cases.add("2.11", &pings).chop = 1;
    for reserved in 1..=7_u8 {
        let first = TEXT | reserved << 4;
        let frames = [(TEXT, &b"Hello"[..]), (first, b"Hello"), (PING, b"")];
        cases.fails(format!("3.{reserved}"), 1002, &frames);
        let control = PING | reserved << 4;
        cases.fails(format!("3.{reserved} ping"), 1002, &[(control, b"")]);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let frames = [(TEXT, &b"Hello"[..]), (0x80 | opcode, b"x"), (PING, b"")];
        cases.fails(format!("4 opcode {opcode}"), 1002, &frames);
    }
    judge(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_5_fragmentation() {
    let mut cases = Cases::default();
    let whole = [(FIRST, &b"fragment1"[..]), (LAST, b"fragment2")];
    let with_ping = [whole[0], (PING, b"ping payload"), whole[1]];
    cases.fails("5.1", 1002, &[(0x09, b"fragment1"), (LAST, b"fragment2")]);
    cases.fails("5.2", 1002, &[(0x0a, b"fragment1"), (LAST, b"fragment2")]);
    for chop in [usize::MAX, 7, 1] {
        cases.add("5.3", &whole).chop = chop;
        cases.add("5.6", &with_ping).chop = chop;
    }
    cases.fails(
        "5.9",
        1002,
        &[(LAST, b"non-continuation"), (TEXT, b"Hello")],
    );
    cases.fails(
        "5.12",
        1002,
        &[(MORE, b"non-continuation"), (TEXT, b"Hello")],
    );
    cases.fails(
        "5.15",
        1002,
        &[whole[0], whole[1], (MORE, b"x"), (TEXT, b"y")],
    );
    cases.fails("5.18", 1002, &[(FIRST, b"fragment1"), (TEXT, b"fragment2")]);
    let long = [
        (FIRST, &b"fragment1"[..]),
        (MORE, b"fragment2"),
        (PING, b"pongme 1!"),
        (MORE, b"fragment3"),
        (MORE, b""),
        (PING, b"pongme 2!"),
        (LAST, b"fragment5"),
    ];
    cases.add("5.19", &long);
    cases.add("5.20", &long).chop = 3;
    judge(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_6_utf_8() {
    let mut cases = Cases::default();
    let kosme = "Hello-µ@ßöäüàá-UTF-8!! κόσμε".as_bytes();
    let valid: &[&[u8]] = &[
        b"",
        kosme,
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
        "\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}".as_bytes(),
        b"\x00",
    ];
    for (index, text) in valid.iter().enumerate() {
        cases.add(format!("6 valid {index}"), &[(TEXT, text)]);
        let bytes: Vec<_> = text.iter().map(|byte| [*byte]).collect();
        let mut frames = vec![(FIRST, &b""[..])];
        frames.extend(bytes.iter().map(|byte| (MORE, &byte[..])));
        frames.push((LAST, b""));
        cases.add(format!("6 valid {index} by bytes"), &frames).chop = 1;
    }
    let broken: &[&[u8]] = &[
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf\x80",
        b"\xc0 \xc1 ",
        b"\xe0\x80",
        b"\xf0\x80\x80\xaf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xfe",
        b"\xff",
        b"\xce",
    ];
    for (index, text) in broken.iter().enumerate() {
        cases.fails(format!("6 broken {index}"), 1007, &[(TEXT, text)]);
        let (head, tail) = text.split_at(text.len() / 2);
        let frames = [(FIRST, head), (MORE, tail), (LAST, b"")];
        cases.fails(format!("6 broken {index} in fragments"), 1007, &frames);
    }
    // What cannot become UTF-8 any more is told before the message is whole.
    cases.fails(
        "6.4.1",
        1007,
        &[(FIRST, kosme), (MORE, b"\xf4\x90\x80\x80")],
    );
    let mut cut = frame(TEXT, b"\xf4\x90\x80\x80 and more", true);
    cut.truncate(10);
    cases.add("6.4.3", &[]).bytes = cut;
    cases.0.last_mut().unwrap().fails = Some(1007);
    judge(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_7_close() {
    let mut cases = Cases::default();
    cases.add("7.1.1", &[(TEXT, b"Hello World!")]);
    cases.add("7.1.2", &[(CLOSE, b"\x03\xe8"), (CLOSE, b"\x03\xe8")]);
    cases.add("7.1.3", &[(CLOSE, b"\x03\xe8"), (PING, b"")]);
    cases.add("7.1.4", &[(CLOSE, b"\x03\xe8"), (TEXT, b"Hello World!")]);
    cases.add("7.3.1", &[(CLOSE, b"")]);
    cases.fails("7.3.2", 1002, &[(CLOSE, b"\x03")]);
    cases.add("7.3.3", &[(CLOSE, b"\x03\xe8")]);
    cases.add("7.3.4", &[(CLOSE, b"\x03\xe8Hello World!")]);
    let longest = [&b"\x03\xe8"[..], &[b'*'; 123]].concat();
    cases.add("7.3.5", &[(CLOSE, &longest)]);
    let longer = [&longest[..], b"*"].concat();
    cases.fails("7.3.6", 1002, &[(CLOSE, &longer)]);
    cases.fails(
        "7.5.1",
        1007,
        &[(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80")],
    );
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16,
    ] {
        cases.add(format!("7.7 {code}"), &[(CLOSE, &code.to_be_bytes())]);
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535_u16,
    ] {
        cases.fails(format!("7.9 {code}"), 1002, &[(CLOSE, &code.to_be_bytes())]);
    }
    judge(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sections_9_and_10_limits() {
    let mut cases = Cases::default();
    let long = vec![b'*'; 5 << 20];
    for length in [64 << 10, 256 << 10, 1 << 20, 5 << 20] {
        cases.add(format!("9.2 {length}"), &[(BINARY, &long[..length])]);
    }
    cases.add("9.1 text", &[(TEXT, &long[..1 << 20])]);
    for size in [64, 1024, 65_536] {
        let length = size * 16;
        let mut pieces = long[..length].chunks(size).map(|piece| (MORE, piece));
        let mut frames = vec![(FIRST, pieces.next().unwrap().1)];
        frames.extend(pieces);
        frames.push((LAST, b""));
        cases.add(format!("9.3 {size}"), &frames);
    }
    for chop in [64, 1024] {
        cases
            .add(format!("9.5 {chop}"), &[(TEXT, &long[..65_536])])
            .chop = chop;
    }
    for (length, count) in [(0, 300), (16, 300), (1024, 100)] {
        let frames = vec![(TEXT, &long[..length]); count];
        cases.add(format!("9.7 {length}"), &frames);
    }
    let ten: Vec<_> = long[..65_536].chunks(1300).collect();
    let mut frames: Vec<_> = ten.iter().map(|piece| (MORE, *piece)).collect();
    frames[0].0 = FIRST;
    frames.last_mut().unwrap().0 = LAST;
    cases.add("10.1.1", &frames);
    judge(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sections_12_and_13_compression() {
    let mut cases = Cases::default();
    for (size, count) in [(16, 200), (64, 100), (1024, 100), (65_536, 20)] {
        for forgets in [false, true] {
            let mut stream = Compress::new(Compression::default(), false);
            let mut bytes = Vec::new();
            for number in 0..count {
                if forgets {
                    stream.reset();
                }
                let text =
                    format!("{number} the quick brown fox jumps over ").repeat(size / 32 + 1);
                let payload = compressed(&mut stream, &text.as_bytes()[..size]);
                bytes.extend(frame(TEXT | 0x40, &payload, true));
            }
            let case = cases.add(format!("12 {size} {forgets}"), &[]);
            case.bytes = bytes;
            case.deflate = true;
        }
    }
    let payload = compressed(
        &mut Compress::new(Compression::best(), false),
        &[b'x'; 300_000],
    );
    let (head, tail) = payload.split_at(payload.len() / 2);
    cases
        .add(
            "13 fragments",
            &[(FIRST | 0x40, head), (PING, b"p"), (LAST, tail)],
        )
        .deflate = true;
    cases.add("13 plain", &[(TEXT, b"not compressed")]).deflate = true;
    cases.add("13 empty", &[(TEXT | 0x40, b"\0")]).deflate = true;
    for (name, code, frames) in [
        (
            "a continuation with RSV1",
            1002,
            &[(FIRST, &b"a"[..]), (LAST | 0x40, b"b")][..],
        ),
        ("a ping with RSV1", 1002, &[(PING | 0x40, b"a")]),
        ("no deflate", 1007, &[(TEXT | 0x40, b"\xff\xff\xff")]),
    ] {
        cases.fails(name, code, frames);
        cases.0.last_mut().unwrap().deflate = true;
    }
    judge(cases).await;
}

fn compressed(stream: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1024);
    stream
        .compress_vec(text, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    out
}
