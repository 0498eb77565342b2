//! Logs to test with.

use carboy_receipt::{
    Chain, Decision, Digest, Direction, Fault, Finding, Fingerprint, Opening, Record, Report,
    Shadow, Signer, Target, Time, Verifier, Verify,
};

pub(crate) const START: u64 = 1_763_839_200_000_000;

/// The fixed key of tests and conformance vectors.
pub(crate) fn signer() -> Signer {
    Signer::new(b"carboy conformance test key, 32b")
}

pub(crate) fn time(step: u64) -> Time {
    Time::from_unix_micros(START + step * 1500)
}

pub(crate) fn opening() -> Opening<'static> {
    Opening {
        time: time(0),
        policy: Digest::new([0xab; 32]),
        previous: None,
        version: "0.1.0",
    }
}

pub(crate) fn allowed(step: u64) -> Record<'static> {
    Record {
        agent: Some("coder".into()),
        bottle: Some("b-7f3a".into()),
        id: format!("c-{step}").into(),
        time: time(step),
        crossing: "http-request".into(),
        direction: Direction::Outbound,
        target: Target {
            host: "api.example.com".into(),
            port: 443,
            scheme: "https".into(),
        },
        method: Some("GET".into()),
        path: Some("/caf\u{e9}/\"quoted\"\t\u{1}".into()),
        decision: Decision::Allow,
        bytes: 100 * step,
        policy: Digest::new([0xab; 32]),
        upstream: Some(([192, 0, 2, 7], 443).into()),
        duration_us: 77,
        ..Record::default()
    }
}

pub(crate) fn finding(surface: &'static str, class: &'static str) -> Finding<'static> {
    Finding {
        action: "block".into(),
        class: class.into(),
        fingerprint: Fingerprint::new([9; 8]),
        name: "".into(),
        offset: 12,
        rule: "github-token".into(),
        score: None,
        severity: "critical".into(),
        signals: Vec::new(),
        surface: surface.into(),
        via: vec!["percent".into(), "base64".into()],
    }
}

pub(crate) fn blocked(step: u64) -> Record<'static> {
    Record {
        decision: Decision::Block,
        reason: Some("secret".into()),
        rule: Some("github-token".into()),
        findings: vec![finding("body", "secret")],
        shadow: Some(Shadow {
            reason: "secret".into(),
            rule: "github-token".into(),
        }),
        upstream: Some("[2001:db8::7]:443".parse().expect("an address")),
        ..allowed(step)
    }
}

/// A closed log of every kind of line: a signed head after every third crossing, one line late.
pub(crate) fn log(crossings: u64) -> Vec<u8> {
    let (signer, mut log) = (signer(), Vec::new());
    let mut chain = Chain::open(&opening(), &signer, &mut log);
    for step in 1..=crossings {
        let head = chain.head();
        let record = if step % 2 == 0 {
            blocked(step)
        } else {
            allowed(step)
        };
        chain.append(record, &mut log);
        if step % 3 == 0 {
            chain.seal(signer.sign(head, time(step)), &mut log);
        }
    }
    chain.close(time(crossings + 1), &signer, &mut log);
    log
}

pub(crate) fn lines(log: &[u8]) -> Vec<Vec<u8>> {
    log.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

pub(crate) fn verify(log: &[u8], options: Verify) -> Result<Report, Fault> {
    let mut verifier = Verifier::new(options);
    verifier.push(log)?;
    verifier.finish()
}

/// Verifies as an auditor does: with the key known, and a closed log wanted.
pub(crate) fn audit(log: &[u8]) -> Result<Report, Fault> {
    let key = Some(signer().public_key());
    verify(
        log,
        Verify {
            key,
            allow_open: false,
        },
    )
}
