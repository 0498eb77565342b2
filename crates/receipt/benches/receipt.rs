//! What a receipt costs: to write, to sign and to verify.

use carboy_receipt::{
    Chain, Decision, Digest, Direction, Finding, Fingerprint, Opening, Record, Signer, Target,
    Time, Verifier, Verify,
};

fn main() {
    divan::main();
}

fn signer() -> Signer {
    Signer::new(&[7; 32])
}

fn open(out: &mut Vec<u8>) -> Chain {
    let opening = Opening {
        time: Time::from_unix_micros(1_763_839_200_000_000),
        policy: Digest::new([1; 32]),
        previous: None,
        version: "0.1.0",
    };
    Chain::open(&opening, &signer(), out)
}

fn record() -> Record<'static> {
    Record {
        agent: Some("coder".into()),
        bottle: Some("b-7f3a9c".into()),
        id: "01JD9Z6T5Q8X3V0M4K7N2R1P6S".into(),
        time: Time::from_unix_micros(1_763_839_200_123_456),
        crossing: "http-request".into(),
        direction: Direction::Outbound,
        target: Target {
            host: "api.example.com".into(),
            port: 443,
            scheme: "https".into(),
        },
        method: Some("POST".into()),
        path: Some("/v1/messages".into()),
        decision: Decision::Allow,
        bytes: 4096,
        policy: Digest::new([1; 32]),
        upstream: Some(([192, 0, 2, 7], 443).into()),
        duration_us: 412,
        ..Record::default()
    }
}

fn blocked() -> Record<'static> {
    let finding = Finding {
        action: "block".into(),
        class: "secret".into(),
        fingerprint: Fingerprint::new([9; 8]),
        name: "".into(),
        offset: 812,
        rule: "github-token".into(),
        score: None,
        severity: "critical".into(),
        signals: Vec::new(),
        surface: "body".into(),
        via: vec!["percent".into(), "base64".into()],
    };
    Record {
        decision: Decision::Block,
        reason: Some("secret".into()),
        rule: Some("github-token".into()),
        findings: vec![finding],
        ..record()
    }
}

#[divan::bench]
fn append_allowed(bencher: divan::Bencher<'_, '_>) {
    append(bencher, record);
}

#[divan::bench]
fn append_blocked(bencher: divan::Bencher<'_, '_>) {
    append(bencher, blocked);
}

/// The baseline: the same bytes by way of a generic canonicalizer.
#[divan::bench]
fn baseline_canonicalizer(bencher: divan::Bencher<'_, '_>) {
    let mut out = Vec::new();
    let mut chain = open(&mut out);
    out.clear();
    chain.append(record(), &mut out);
    let value: serde_json::Value = serde_json::from_slice(&out).expect("a line is JSON");
    bencher.bench(|| serde_json_canonicalizer::to_vec(&value));
}

fn append(bencher: divan::Bencher<'_, '_>, record: fn() -> Record<'static>) {
    let mut out = Vec::with_capacity(4096);
    let mut chain = open(&mut out);
    bencher.with_inputs(record).bench_local_values(|record| {
        out.clear();
        chain.append(record, &mut out)
    });
}

#[divan::bench]
fn sign_head(bencher: divan::Bencher<'_, '_>) {
    let signer = signer();
    let chain = open(&mut Vec::new());
    let time = Time::from_unix_micros(1);
    bencher.bench(|| signer.sign(chain.head(), time));
}

#[divan::bench]
fn verify_256_lines(bencher: divan::Bencher<'_, '_>) {
    let mut log = Vec::new();
    let mut chain = open(&mut log);
    for _ in 0..256 {
        chain.append(record(), &mut log);
    }
    chain.close(Time::from_unix_micros(2), &signer(), &mut log);
    bencher.bench(|| {
        let mut verifier = Verifier::new(Verify::default());
        verifier.push(&log).and_then(|()| verifier.finish())
    });
}
