//! Values that are known: in every encoding and in pairs of them; and what is not one of them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use carboy_engine::{
    Asked, Crossing, CrossingKind, Decision, Direction, Engine, Host, Known, Policy, Probe, Scheme,
    Session, Surface, SurfaceKind, Target, Time,
};
use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Secrets of the common shapes. All are made up.
const SECRETS: [(&str, &str); 5] = [
    ("LETTERS", "u8jzPde0IgxLd6GncfBAepfJBd0Kh8oO"),
    ("HEX", "1c17149d439536b3216fdaeeb975729f"),
    ("MARKS", "R5Kjp1vRt-1fjORS_6ilI8ihN5KXSc7Tvo_hBKqF"),
    ("PREFIX", "corp-live-v2-Yq7mZ3xTn9Kw4Rb6Lp8Vd2Hs"),
    ("PASSWORD", "Tr0ub4dor&3xKcd!9"),
];

fn known() -> Known {
    let mut known = Known::default();
    for (name, value) in SECRETS {
        assert!(known.add(name, value.as_bytes(), Asked::ByName), "{name}");
    }
    known
}

static SCANNER: LazyLock<Probe> = LazyLock::new(|| Probe::knowing(known()));

fn sees(content: &str) -> bool {
    let seen = SCANNER.scan(Direction::Outbound, content.as_bytes());
    let seen = seen.expect("the budget covers it");
    seen.iter().any(|(rule, ..)| *rule == "known-secret")
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn rotated(text: &str, shift: u8) -> String {
    let turn = |b: u8, first: u8| char::from(first + (b - first + shift) % 26);
    let turned = text.bytes().map(|b| match b {
        b'a'..=b'z' => turn(b, b'a'),
        b'A'..=b'Z' => turn(b, b'A'),
        _ => char::from(b),
    });
    turned.collect()
}

fn swapped(text: &str) -> String {
    let swap = |c: char| match c.is_ascii_lowercase() {
        true => c.to_ascii_uppercase(),
        false => c.to_ascii_lowercase(),
    };
    text.chars().map(swap).collect()
}

type Encoding = (&'static str, fn(&str) -> String);

/// What a view undoes, so that it may go on top of anything.
const VIEWS: [Encoding; 12] = [
    ("percent", percent),
    ("base64", |text| BASE64.encode(text.as_bytes())),
    ("base64 at offset 1", |text| {
        BASE64.encode(format!(".{text}").as_bytes())
    }),
    ("base64 at offset 2", |text| {
        BASE64.encode(format!("..{text}").as_bytes())
    }),
    ("base64url", |text| BASE64URL_NOPAD.encode(text.as_bytes())),
    ("base32", |text| BASE32.encode(text.as_bytes())),
    ("hex", |text| HEXLOWER.encode(text.as_bytes())),
    ("HEX", |text| HEXUPPER.encode(text.as_bytes())),
    ("\\x", |text| {
        text.bytes().map(|b| format!("\\x{b:02x}")).collect()
    }),
    ("\\u", |text| {
        text.bytes().map(|b| format!("\\u{b:04x}")).collect()
    }),
    ("entities", |text| {
        text.bytes().map(|b| format!("&#{b};")).collect()
    }),
    ("full-width", |text| {
        let wide = text.chars().map(|c| u32::from(c) + 0xfee0);
        wide.filter_map(char::from_u32).collect()
    }),
];

/// What no view undoes: the values themselves are looked for in these spellings.
const SPELLINGS: [Encoding; 9] = [
    ("plain", str::to_owned),
    ("reversed", |text| text.chars().rev().collect()),
    ("ROT13", |text| rotated(text, 13)),
    ("Caesar", |text| rotated(text, 5)),
    ("ROT47", |text| {
        let turned = text
            .bytes()
            .map(|b| char::from(b'!' + (b - b'!' + 47) % 94));
        turned.collect()
    }),
    ("swapped case", swapped),
    ("upper case", str::to_ascii_uppercase),
    ("lower case", str::to_ascii_lowercase),
    ("braille bytes", |text| {
        let cells = text.bytes().map(|b| 0x2800 + u32::from(b));
        cells.filter_map(char::from_u32).collect()
    }),
];

/// A surface in which something stands among other things.
fn carried(text: &str) -> String {
    format!("{{\"id\": 7, \"note\": \"{text}\", \"ok\": true}}")
}

#[test]
fn each_is_seen_in_every_spelling_and_every_view_of_it() {
    let mut missed = Vec::new();
    for (name, value) in SECRETS {
        for (spelling, spell) in SPELLINGS {
            let spelt = spell(value);
            // A short password is not looked for turned around.
            let is_turned = !matches!(
                spelling,
                "plain" | "swapped case" | "upper case" | "lower case" | "braille bytes"
            );
            if name == "PASSWORD" && is_turned || spelt.contains(['"', '\\']) {
                continue;
            }
            if !sees(&carried(&spelt)) {
                missed.push(format!("{name}, {spelling}"));
            }
            for (view, encode) in VIEWS {
                let is_wide =
                    spelling == "braille bytes" && view != "percent" && !view.starts_with("base64");
                if !is_wide && !sees(&carried(&encode(&spelt))) {
                    missed.push(format!("{name}, {spelling}, then {view}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn each_is_seen_in_every_pair_of_views() {
    let mut missed = Vec::new();
    for (name, value) in SECRETS {
        for (inner, first) in VIEWS {
            for (outer, second) in VIEWS {
                // A full-width form of full-width letters is no text at all.
                if outer == "full-width" && !first(value).bytes().all(|b| b.is_ascii_graphic()) {
                    continue;
                }
                let is_bytes = inner == "full-width" && matches!(outer, "\\u" | "\\x" | "entities");
                if !is_bytes && !sees(&carried(&second(&first(value)))) {
                    missed.push(format!("{name}, {inner}, then {outer}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn half_is_seen_and_less_is_not() {
    for (name, value) in SECRETS.iter().filter(|(name, _)| *name != "PREFIX") {
        let half = value.len().div_ceil(2).max(12);
        for start in 0..=value.len() - half {
            let part = &value[start..start + half];
            assert!(sees(&format!("({part})")), "{name}: {part}");
            assert!(
                !sees(&format!("({})", &part[..half - 1])),
                "{name}: less of {part}"
            );
        }
    }
    assert!(!sees("see corp-live-v2- for more"));
    assert!(!sees("corp-live-v2-Yq7mZ3xTn"));
}

/// Numbers that are as good as random here, and the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // Steele and others, "Fast splittable pseudorandom number generators" (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

fn at(seconds: u64) -> Time {
    Time {
        elapsed: Duration::from_secs(seconds),
        unix_seconds: 1_767_225_600 + seconds,
    }
}

/// Where a thief waits.
fn sink() -> Target {
    Target {
        scheme: Scheme::Https,
        host: Host::parse("sink.example").expect("a host"),
        port: 443,
    }
}

/// Posts a body, and gives the rule that refused it.
fn post(
    engine: &std::sync::Arc<Engine>,
    session: &Session,
    body: &[u8],
    now: Time,
) -> Option<String> {
    let target = sink();
    let crossing = Crossing {
        kind: CrossingKind::HttpRequest,
        target: &target,
        method: Some("POST"),
    };
    let (mut inspection, _) = engine.open(crossing, session, now);
    let surface = Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes: body,
    };
    // A refusal is in the verdict too.
    let _ = inspection.push(surface, session, now);
    match inspection.finish(session, now).decision {
        Decision::Allow => None,
        Decision::Block(refusal) => Some(refusal.rule.into()),
    }
}

fn engine() -> std::sync::Arc<Engine> {
    std::sync::Arc::new(Engine::knowing(Policy::balanced(), [7; 32], known()))
}

#[test]
fn random_data_is_none_of_them() {
    let (engine, session, mut numbers) = (engine(), Session::default(), Numbers(1));
    for round in 0..40 {
        let bytes = numbers.bytes(48 * 1024);
        let lines = bytes.chunks(57).map(|line| BASE64.encode(line));
        let image = format!("{{\"image\": \"{}\"}}", BASE64.encode(&bytes));
        let wrapped: String = lines.map(|line| line + "\r\n").collect();
        let hashes = bytes.chunks(20).map(|hash| HEXLOWER.encode(hash) + "\n");
        // Short ones, as identifiers and colours are.
        let ids = bytes[..6000]
            .chunks(3)
            .map(|id| format!("\"{}\",", BASE64URL_NOPAD.encode(id)));
        let tags = bytes[..6000]
            .chunks(2)
            .map(|id| format!("\"{}\",", HEXLOWER.encode(id)));
        for body in [
            image,
            wrapped,
            hashes.collect(),
            ids.collect(),
            tags.collect(),
        ] {
            let rule = post(&engine, &session, body.as_bytes(), at(round));
            assert_eq!(rule, None, "round {round}");
        }
    }
}

#[test]
fn pieces_are_remembered_over_crossings_for_a_time() {
    let piece = |start: usize| format!("{{\"part\": \"{}\"}}", &SECRETS[0].1[start..start + 5]);
    let leak = Some("known-secret".to_owned());
    for (seconds, expect) in [(1, leak.clone()), (600, leak), (1300, None)] {
        let (engine, session) = (engine(), Session::default());
        for (index, start) in [25, 3, 14].into_iter().enumerate() {
            let now = at(index as u64 * seconds);
            assert_eq!(post(&engine, &session, piece(start).as_bytes(), now), None);
        }
        let last = post(&engine, &session, piece(9).as_bytes(), at(3 * seconds));
        assert_eq!(last, expect, "a piece every {seconds} s");
    }
}

/// A few bytes a request at the same place are a value in the end, whatever else the requests say.
#[test]
fn a_few_bytes_a_request_are_followed() {
    let ask =
        |engine: &Arc<Engine>, session: &Session, path: &str, query: Option<&str>, step: u64| {
            let target = Target {
                scheme: Scheme::Https,
                host: Host::parse("sink.example").expect("a host"),
                port: 443,
            };
            let crossing = Crossing {
                kind: CrossingKind::HttpRequest,
                target: &target,
                method: Some("GET"),
            };
            let (mut inspection, _) = engine.open(crossing, session, at(step));
            let step_text = step.to_string();
            let items = [
                Some(("n", step_text.as_str())),
                Some(("v", "2")),
                query.map(|value| ("c", value)),
            ];
            let surfaces = std::iter::once((SurfaceKind::Path, "", path));
            let items = items
                .into_iter()
                .flatten()
                .map(|(name, value)| (SurfaceKind::Query, name, value));
            for (kind, name, text) in surfaces.chain(items) {
                let surface = Surface {
                    kind,
                    name,
                    bytes: text.as_bytes(),
                };
                let _ = inspection.push(surface, session, at(step));
            }
            matches!(
                inspection.finish(session, at(step)).decision,
                Decision::Block(_)
            )
        };
    for size in 1..=3 {
        let (engine, session) = (engine(), Session::default());
        let value = SECRETS[0].1.as_bytes();
        let crumbs = value
            .chunks(size)
            .map(|crumb| std::str::from_utf8(crumb).expect("it is ASCII"));
        let in_query = crumbs
            .clone()
            .enumerate()
            .any(|(step, crumb)| ask(&engine, &session, "/api/v1/p", Some(crumb), step as u64));
        let session = Session::default();
        let in_path = crumbs.enumerate().any(|(step, crumb)| {
            ask(
                &engine,
                &session,
                &format!("/b/{crumb}/i.gif"),
                None,
                step as u64,
            )
        });
        assert!(
            in_query && in_path,
            "{size} a request: {in_query} {in_path}"
        );
        let session = Session::default();
        let is_refused = (0..200).any(|step| ask(&engine, &session, "/api/v1/p", Some("ab"), step));
        assert!(!is_refused, "honest requests pass");
    }
}

#[test]
fn pieces_in_a_body_tell_whatever_its_cuts() {
    let (engine, value) = (engine(), SECRETS[0].1);
    let words = "the quick brown fox jumps over the lazy dog ".repeat(20);
    let body = format!(
        "{words}{} {words}{} {words}{}",
        &value[20..],
        &value[..7],
        &value[9..15]
    );
    for cut in (0..body.len()).step_by(97) {
        let session = Session::default();
        let target = sink();
        let crossing = Crossing {
            kind: CrossingKind::HttpRequest,
            target: &target,
            method: Some("POST"),
        };
        let (mut inspection, _) = engine.open(crossing, &session, at(0));
        for bytes in [&body.as_bytes()[..cut], &body.as_bytes()[cut..]] {
            let surface = Surface {
                kind: SurfaceKind::Body,
                name: "",
                bytes,
            };
            let _ = inspection.push(surface, &session, at(0));
            let _ = inspection.lull(at(0));
        }
        let verdict = inspection.finish(&session, at(0));
        assert!(
            matches!(verdict.decision, Decision::Block(_)),
            "cut at {cut}"
        );
    }
}

#[test]
fn nothing_shows_a_value() {
    let known = known();
    let engine = engine();
    let session = Session::default();
    let shown = format!("{known:?} {engine:?} {session:?}");
    for (name, value) in SECRETS {
        for part in [value, &value[4..10]] {
            assert!(!shown.contains(part), "{name}: {shown}");
        }
    }
    assert_eq!(known.len(), SECRETS.len());
    assert!(known.names().eq(SECRETS.map(|(name, _)| name)));
}
