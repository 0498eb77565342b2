//! However a body is cut, the verdict is the same, and nothing of what is refused has left.

use std::sync::{Arc, LazyLock};

use carboy_engine::{
    Crossing, CrossingKind, Decision, Engine, Host, Policy, Scheme, Session, Step, Surface,
    SurfaceKind, Target, Time, Verdict,
};
use proptest::prelude::*;

const NOW: Time = Time {
    elapsed: std::time::Duration::ZERO,
    unix_seconds: 1_767_225_600,
};

static ENGINE: LazyLock<Arc<Engine>> =
    LazyLock::new(|| Arc::new(Engine::new(Policy::balanced(), [7; 32])));

fn token() -> String {
    // In two parts, so that no scanner takes this file for a leak.
    format!("{}{}", "ghp_", "0123456789abcdefghijABCDEFGHIJ012345")
}

/// Judges a body in pieces; also tells what had left before the verdict.
fn judge(engine: &Arc<Engine>, pieces: &[&[u8]]) -> (Verdict, Vec<u8>) {
    let host = Host::parse("sink.example").expect("a host");
    let target = Target {
        scheme: Scheme::Https,
        host,
        port: 443,
    };
    let session = Session::default();
    let head = Crossing {
        kind: CrossingKind::HttpRequest,
        target: &target,
        method: Some("POST"),
    };
    let (mut inspection, _) = engine.open(head, &session, NOW);
    let (mut sent, mut released) = (Vec::new(), 0);
    for piece in pieces {
        sent.extend_from_slice(piece);
        let surface = Surface {
            kind: SurfaceKind::Body,
            name: "",
            bytes: piece,
        };
        for step in [
            inspection.push(surface, &session, NOW),
            inspection.lull(NOW),
        ] {
            match step {
                Step::Release(bytes) => released += bytes,
                Step::Stop => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(released <= sent.len(), "more was released than came");
    }
    sent.truncate(released);
    (inspection.finish(&session, NOW), sent)
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ,.\n]{0,80}",
        "[A-Za-z0-9+/=]{0,60}",
        Just(token()),
        Just(format!("{{\"key\": \"{}\"}}", token())),
        Just(data_encoding::BASE64.encode(format!("token={}", token()).as_bytes())),
        Just(token().chars().take(20).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(
        pieces in prop::collection::vec(piece(), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = pieces.join(" ").into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut rest = &body[..];
        let mut chunks = Vec::new();
        let mut taken = 0;
        for cut in cuts {
            let (head, tail) = rest.split_at(cut - taken);
            chunks.push(head);
            rest = tail;
            taken = cut;
        }
        chunks.push(rest);
        let (whole, _) = judge(&ENGINE, &[&body]);
        let (cut, left) = judge(&ENGINE, &chunks);
        let reason = |verdict: &Verdict| match &verdict.decision {
            Decision::Allow => None,
            Decision::Block(refusal) => Some((refusal.reason, refusal.rule.clone())),
        };
        prop_assert_eq!(reason(&whole), reason(&cut));
        let secret = token().into_bytes();
        prop_assert!(!left.windows(secret.len()).any(|window| window == secret));
        let leaks = body.windows(secret.len()).any(|window| window == secret);
        prop_assert!(!leaks || reason(&cut).is_some());
    }
}

/// Speaks raw TCP in turns: a pause after each piece. Tells what left, and whether it was refused.
fn talk(turns: &[&str]) -> (usize, bool) {
    let target = Target {
        scheme: Scheme::Tcp,
        host: Host::parse("db.example").expect("a host"),
        port: 5432,
    };
    let text = "version: 1\negress:\n  tcp: ['db.example:5432']\n";
    let policy = Policy::parse(text, "test.yaml").expect("a policy");
    let engine = Arc::new(Engine::new(policy, [7; 32]));
    let session = Session::default();
    let head = Crossing {
        kind: CrossingKind::TcpConnection,
        target: &target,
        method: None,
    };
    let (mut inspection, _) = engine.open(head, &session, NOW);
    let mut left = 0;
    for turn in turns {
        let surface = Surface {
            kind: SurfaceKind::Stream,
            name: "",
            bytes: turn.as_bytes(),
        };
        let pushed = inspection.push(surface, &session, NOW);
        for step in [pushed, inspection.pause(&session, NOW)] {
            match step {
                Step::Release(bytes) => left += bytes,
                Step::Stop => break,
                other => panic!("{other:?}"),
            }
        }
    }
    let verdict = inspection.finish(&session, NOW);
    (left, matches!(verdict.decision, Decision::Block(_)))
}

#[test]
fn a_pause_lets_go_what_may_go() {
    let turns = ["SELECT 1", "and a word without an end", "\0\0\0"];
    let whole: usize = turns.iter().map(|turn| turn.len()).sum();
    assert_eq!(talk(&turns), (whole, false));
}

#[test]
fn a_pause_after_a_credential_refuses_it() {
    let (left, refused) = talk(&["SET key ", &token(), "never said"]);
    assert!(refused);
    assert!(left <= "SET key ".len(), "{left} bytes left");
}

#[test]
fn a_credential_cut_by_a_pause_is_still_seen() {
    let token = token();
    let (left, refused) = talk(&[&token[..30], &token[30..], " and more"]);
    assert!(refused);
    assert_eq!(left, 30);
}
