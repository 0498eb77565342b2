//! What was judged before is judged the same again, though clean surfaces are scanned only once.

use std::sync::Arc;

use carboy_engine::{
    Crossing, CrossingKind, Decision, Direction, Engine, Host, Policy, Probe, Scheme, Session,
    Step, Surface, SurfaceKind, Target, Time,
};

const NOW: Time = Time {
    elapsed: std::time::Duration::ZERO,
    unix_seconds: 1_767_225_600,
};

/// Whether a request with one header is blocked.
fn is_blocked(engine: &Arc<Engine>, value: &str) -> bool {
    let target = Target {
        scheme: Scheme::Https,
        host: Host::parse("sink.example").expect("a host"),
        port: 443,
    };
    let head = Crossing {
        kind: CrossingKind::HttpRequest,
        target: &target,
        method: Some("GET"),
    };
    let session = Session::default();
    let (mut inspection, _) = engine.open(head, &session, NOW);
    let header = Surface {
        kind: SurfaceKind::Header,
        name: "x-note",
        bytes: value.as_bytes(),
    };
    let stopped = matches!(inspection.push(header, &session, NOW), Step::Stop);
    let verdict = inspection.finish(&session, NOW);
    assert_eq!(stopped, matches!(verdict.decision, Decision::Block(_)));
    stopped
}

#[test]
fn a_repeated_header_is_judged_as_at_first() {
    let engine = Arc::new(Engine::new(Policy::balanced(), [7; 32]));
    // In two parts, so that no scanner takes this file for a leak.
    let token = format!("{}{}", "ghp_", "0123456789abcdefghijABCDEFGHIJ012345");
    for round in 0..3 {
        assert!(!is_blocked(&engine, "a plain note"), "round {round}");
        assert!(is_blocked(&engine, &token), "round {round}");
        assert!(is_blocked(&engine, &format!("a plain note {token}")));
    }
}

/// What is the same over and over is judged within its budget, however many codings can read it: tests
/// of uploads send it.
#[test]
fn repetition_is_judged_within_its_budget() {
    let letters = (b'!'..=b'~').map(|letter| vec![letter]);
    let words: [&[u8]; 12] = [
        b"aA",
        b"ab",
        b"01",
        b"AbC",
        b"dead",
        b"deadbeef",
        b"hello ",
        b"xyzzy",
        b"\0",
        b" ",
        b"\n",
        b"0123456789abcdef",
    ];
    let frames: [(&[u8], &[u8]); 4] = [
        (b"", b""),
        (b"{\"text\": \"", b"\"}"),
        (b"file=", b"&name=upload"),
        (b"The content is: ", b"\n"),
    ];
    let mut spent = Vec::new();
    for word in letters.chain(words.map(<[u8]>::to_vec)) {
        for (before, after) in frames {
            let content = [before, &word.repeat(120_000 / word.len()), after].concat();
            if Probe::default()
                .scan(Direction::Outbound, &content)
                .is_none()
            {
                spent.push(String::from_utf8_lossy(&content[..40]).into_owned());
            }
        }
    }
    assert!(spent.is_empty(), "{spent:#?}");
}

/// What is drawn by lot and encoded has now and then what begins like a credential. Images are sent so.
#[test]
fn random_data_in_base64_is_no_credential() {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1u64;
    let mut symbol = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        STANDARD[(state >> 58) as usize]
    };
    // Beginnings that rules know, each within as much as a plus sign parts, and right behind what parts it.
    for stem in ["AIza", "dG9rO", "y0_", "Y0_", "AKIA", "SK", "YCM", "ABSK"] {
        // Five symbols behind a sign are none of chance.
        let before = if stem.len() > 4 { "x" } else { "x/+" };
        for before in before.bytes() {
            let mut text: Vec<u8> = (0..4000).map(|_| symbol()).collect();
            for at in (200..3800).step_by(300) {
                text[at..at + stem.len()].copy_from_slice(stem.as_bytes());
                text[at - 1] = before;
                text[at - 20] = b'+';
                for byte in &mut text[at + stem.len()..at + 100] {
                    if matches!(byte, b'+' | b'/') {
                        *byte = b'k';
                    }
                }
                text[at + 39] = b'+';
            }
            let seen = Probe::default().scan(Direction::Outbound, &text);
            let seen = seen.expect("within its budget");
            assert!(seen.is_empty(), "{stem}: {seen:?}");
        }
    }
}

/// What is of fewer symbols than the noise around it, or stands alone, is none.
#[test]
fn a_key_in_random_data_is_seen() {
    let noise = "sB606Hjq3FuINdQnzhyaYCVd9JTa80BhtOs5fzMkGFXSGLrtYwxeKuCVlli3hEDPI6PT".repeat(2);
    for (key, before) in [
        (concat!("AKIA", "6D33CHC25E3GHRK5"), &*noise),
        (concat!("YCM", "ExDui06yc6tDWRlADglVIabhQC2DIwwhxTzKD"), ""),
    ] {
        let text = format!("{before}/{key}/{before}");
        let seen = Probe::default().scan(Direction::Outbound, text.as_bytes());
        assert!(!seen.expect("within its budget").is_empty(), "{text}");
    }
}
