//! Invariants of verdicts and of policy files.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use carboy_engine::{
    Crossing, CrossingKind, Decision, Engine, Host, Policy, Reason, Scheme, Session, Step, Surface,
    SurfaceKind, Target, Time,
};

static ENGINE: LazyLock<Arc<Engine>> =
    LazyLock::new(|| Arc::new(Engine::new(Policy::balanced(), [7; 32])));

const NOW: Time = Time {
    elapsed: Duration::from_secs(1),
    unix_seconds: 1_800_000_000,
};

/// A body gets the same verdict however it is cut, and what is released of a refused body would
/// have been allowed alone. (Of an allowed one, a cut may end in what looks like a whole number.) The first byte of the input gives the size of the pieces.
pub fn views(data: &[u8]) {
    let Some((size, content)) = data.split_first() else {
        return;
    };
    // Each piece looks at what is held again, so that many pieces would take seconds.
    let size = (1 + usize::from(*size)).max(content.len() / 128);
    for kind in [CrossingKind::HttpRequest, CrossingKind::HttpResponse] {
        let whole = judge(kind, content, content.len().max(1));
        let pieces = judge(kind, content, size);
        assert_eq!(
            pieces.refused, whole.refused,
            "{kind:?} in pieces of {size}"
        );
        for judged in [whole, pieces]
            .into_iter()
            .filter(|judged| judged.refused.is_some())
        {
            let released = &content[..judged.released];
            let alone = judge(kind, released, released.len().max(1));
            assert_eq!(alone.refused, None, "{kind:?}: a refused part was released");
        }
    }
}

/// How a body fared.
struct Judged {
    refused: Option<Reason>,
    /// The bytes that might go on before the verdict.
    released: usize,
}

fn judge(kind: CrossingKind, content: &[u8], size: usize) -> Judged {
    let session = Session::default();
    let target = Target {
        scheme: Scheme::Https,
        host: Host::parse("a.example").expect("a name"),
        port: 443,
    };
    let crossing = Crossing {
        kind,
        target: &target,
        method: Some("POST"),
    };
    let (mut inspection, step) = ENGINE.open(crossing, &session, NOW);
    assert!(!matches!(step, Step::Stop), "an empty crossing is refused");
    let (mut pushed, mut released) = (0, 0);
    for piece in content.chunks(size) {
        let surface = Surface {
            kind: SurfaceKind::Body,
            name: "",
            bytes: piece,
        };
        pushed += piece.len();
        for step in [
            inspection.push(surface, &session, NOW),
            inspection.lull(NOW),
        ] {
            match step {
                Step::Release(count) => released += count,
                Step::Hold | Step::Stop => {}
                Step::Ask(_) | Step::Connect(_) => panic!("a body asks for nothing"),
            }
        }
        assert!(
            released <= pushed,
            "{released} of {pushed} bytes are released"
        );
    }
    match inspection.finish(&session, NOW).decision {
        Decision::Allow => Judged {
            refused: None,
            released,
        },
        Decision::Block(refusal) => Judged {
            refused: Some(refusal.reason),
            released,
        },
    }
}

/// An accepted policy, printed with all its defaults, is the same policy; a refused one says
/// where and why, inside the file.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Policy::parse(text, "carboy.yaml") {
        Ok(policy) => {
            let printed = policy.to_yaml();
            let again = Policy::parse(&printed, "printed.yaml");
            let again = again.unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again.digest(), policy.digest(), "{printed}");
            assert_eq!(again.to_yaml(), printed);
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            // Each of CR, LF and CR LF ends a line (YAML 1.2.2, section 5.4).
            let lines = text.matches(['\r', '\n']).count() as u64 + 1;
            for problem in error.problems() {
                assert!(problem.line <= lines, "{problem:?} is outside of the file");
                assert!(!problem.what.is_empty());
            }
        }
    }
}
