//! What is written.

use std::time::Duration;

use carboy_receipt::{
    Batch, Chain, Digest, Direction, Finding, HostCut, LINE_BYTES_MAX, Record, Trust, Verify,
    Withhold,
};
use proptest::prelude::*;

use crate::world::{allowed, audit, blocked, finding, lines, log, opening, signer, time, verify};

#[test]
fn a_log_verifies_and_is_told() {
    let log = log(7);
    let report = audit(&log).expect("an untouched log verifies");
    assert_eq!(
        (report.lines, report.crossings, report.refusals),
        (11, 7, 3)
    );
    assert_eq!((report.first, report.last), (time(0), time(8)));
    assert_eq!((report.closed, report.signed_lines), (true, 11));
    assert_eq!((report.trust, report.previous), (Trust::Pinned, None));
    let unpinned = verify(&log, Verify::default()).expect("an untouched log verifies");
    assert_eq!(unpinned.trust, Trust::OnFile);
    assert_eq!(unpinned.key, signer().public_key());
}

#[test]
fn logs_link_to_one_another() {
    let mut first = Vec::new();
    let head = Chain::open(&opening(), &signer(), &mut first).close(time(1), &signer(), &mut first);
    assert_eq!(audit(&first).expect("it verifies").head, head.hash);
    let mut second = Vec::new();
    let opening = carboy_receipt::Opening {
        previous: Some(head.hash),
        ..opening()
    };
    Chain::open(&opening, &signer(), &mut second).close(time(2), &signer(), &mut second);
    assert_eq!(
        audit(&second).expect("it verifies").previous,
        Some(head.hash)
    );
}

#[test]
fn every_line_is_in_canonical_form() {
    for line in lines(&log(6)) {
        let line = line.strip_suffix(b"\n").expect("each line ends");
        let value: serde_json::Value = serde_json::from_slice(line).expect("each line is JSON");
        let canonical = serde_json_canonicalizer::to_vec(&value).expect("it has a canonical form");
        assert_eq!(
            String::from_utf8_lossy(line),
            String::from_utf8_lossy(&canonical)
        );
    }
}

#[test]
fn the_signer_shows_no_secret() {
    let signer = signer();
    assert_eq!(
        format!("{signer:?}"),
        format!("Signer({})", signer.key_id())
    );
}

#[test]
fn a_seal_counts_what_it_does_not_cover() {
    let (signer, mut out) = (signer(), Vec::new());
    let mut chain = Chain::open(&opening(), &signer, &mut out);
    chain.append(allowed(1), &mut out);
    chain.append(allowed(2), &mut out);
    let signed = signer.sign(chain.head(), time(2));
    assert_eq!(chain.unsigned(), 2);
    chain.append(allowed(3), &mut out);
    chain.seal(signed, &mut out);
    assert_eq!(chain.unsigned(), 1);
    chain.seal(signer.sign(chain.head(), time(3)), &mut out);
    assert_eq!(chain.unsigned(), 0);
}

#[test]
fn batches_are_due_by_number_or_by_age() {
    let batch = Batch::default();
    for (unsigned, waited_ms, due) in [
        (0, 0, false),
        (0, 10_000, false),
        (1, 0, false),
        (1, 99, false),
        (1, 100, true),
        (255, 99, false),
        (256, 0, true),
    ] {
        assert_eq!(
            batch.is_due(unsigned, Duration::from_millis(waited_ms)),
            due,
            "{unsigned}"
        );
    }
}

fn written(record: Record<'_>) -> String {
    let mut out = Vec::new();
    let mut chain = Chain::open(&opening(), &signer(), &mut out);
    out.clear();
    chain.append(record, &mut out);
    String::from_utf8(out).expect("a line is UTF-8")
}

const SECRET: &str = "ghp_0123456789";

#[test]
fn a_path_is_left_out_when_the_url_was_touched() {
    for (surface, shown) in [
        ("url", false),
        ("path", false),
        ("query", false),
        ("body", true),
        ("header", true),
    ] {
        let record = Record {
            findings: vec![finding(surface, "secret")],
            ..allowed(1)
        };
        assert_eq!(written(record).contains("\"path\":"), shown, "{surface}");
    }
}

#[test]
fn a_host_is_cut_as_far_as_a_finding_reaches() {
    let random = "d3adb33f0123.cdn.example.com";
    let leaking = "ghp_0123456789.evil.example";
    for (host, class, offset, shown) in [
        (random, "entropy", 0, "*.example.com"),
        (random, "entropy", 17, "[redacted]"),
        (leaking, "secret", 0, "[redacted]"),
        ("ghp_0123456789.com", "shape", 0, "[redacted]"),
        ("localhost", "shape", 0, "[redacted]"),
    ] {
        let mut record = allowed(1);
        record.target.host = host.into();
        record.findings = vec![Finding {
            offset,
            ..finding("host", class)
        }];
        let line = written(record);
        assert!(
            line.contains(&format!("\"host\":\"{shown}\"")),
            "{host} {class}: {line}"
        );
        assert!(!line.contains(SECRET), "{line}");
    }
}

#[test]
fn a_response_leaves_out_what_its_request_did() {
    let mut request = allowed(1);
    request.target.host = "ghp_0123456789.evil.example".into();
    request.findings = vec![finding("host", "secret"), finding("query", "secret")];
    let withhold = request.withhold();
    assert_eq!(
        withhold,
        Withhold {
            host: HostCut::Whole,
            path: true
        }
    );
    let response = Record {
        findings: Vec::new(),
        withhold,
        ..request
    };
    let line = written(response);
    assert!(
        !line.contains(SECRET) && !line.contains("\"path\":"),
        "{line}"
    );
    let inbound = Record {
        direction: Direction::Inbound,
        ..allowed(2)
    };
    assert!(!written(inbound).contains("\"path\":"));
}

#[test]
fn names_that_may_hold_content_are_not_shown() {
    for (surface, name, shown) in [
        ("header", "x-amz-content-sha256", true),
        (
            "header",
            "x-a-name-that-is-much-longer-than-any-that-is-in-use",
            false,
        ),
        ("query", "api_key", true),
        ("query", "filter[name]", true),
        ("query", SECRET, false),
        ("query", "abandon ability able", false),
    ] {
        let found = Finding {
            name: name.into(),
            ..finding(surface, "secret")
        };
        let line = written(Record {
            findings: vec![found],
            ..allowed(1)
        });
        assert_eq!(line.contains(name), shown, "{name}: {line}");
    }
}

#[test]
fn a_score_is_told_with_its_signals_only_where_there_is_one() {
    let found = Finding {
        score: Some(54),
        signals: vec!["act-as".into(), "from-now-reply".into()],
        ..finding("body", "injection")
    };
    let record = |found| Record {
        findings: vec![found],
        ..allowed(1)
    };
    let told =
        r#""score":54,"severity":"critical","signals":["act-as","from-now-reply"],"surface""#;
    let line = written(record(found));
    assert!(line.contains(told), "{line}");
    let line = written(record(finding("body", "secret")));
    assert!(
        !line.contains("score") && !line.contains("signals"),
        "{line}"
    );
}

#[test]
fn the_longest_record_makes_a_line_that_can_be_read() {
    let long = "\u{1}".repeat(10_000);
    let found = Finding {
        action: long.as_str().into(),
        class: long.as_str().into(),
        name: long.as_str().into(),
        rule: long.as_str().into(),
        severity: long.as_str().into(),
        surface: long.as_str().into(),
        via: vec![long.as_str().into(); 100],
        score: Some(u32::MAX),
        signals: vec![long.as_str().into(); 100],
        offset: u64::MAX,
        ..finding("body", "secret")
    };
    let mut record = Record {
        agent: Some(long.as_str().into()),
        bottle: Some(long.as_str().into()),
        id: long.as_str().into(),
        answers: Some(long.as_str().into()),
        crossing: long.as_str().into(),
        method: Some(long.as_str().into()),
        path: Some(long.as_str().into()),
        reason: Some(long.as_str().into()),
        rule: Some(long.as_str().into()),
        findings: vec![found; 1000],
        bytes: u64::MAX,
        duration_us: u64::MAX,
        ..blocked(1)
    };
    record.target.host = long.as_str().into();
    record.target.scheme = long.as_str().into();
    let mut out = Vec::new();
    let mut chain = Chain::open(&opening(), &signer(), &mut out);
    chain.append(record, &mut out);
    chain.close(time(2), &signer(), &mut out);
    assert!(
        lines(&out)[1].len() <= LINE_BYTES_MAX,
        "{}",
        lines(&out)[1].len()
    );
    audit(&out).expect("it verifies");
}

proptest! {
    #[test]
    fn any_text_is_written_canonically_and_read_back(
        host in "\\PC{0,40}", path in any::<String>(), method in any::<String>(),
        bytes in any::<u64>(), policy in any::<[u8; 32]>(),
    ) {
        let mut record = allowed(1);
        record.target.host = host.into();
        record.path = Some(path.into());
        record.method = Some(method.into());
        record.bytes = bytes;
        record.policy = Digest::new(policy);
        let mut out = Vec::new();
        let mut chain = Chain::open(&opening(), &signer(), &mut out);
        chain.append(record, &mut out);
        chain.close(time(2), &signer(), &mut out);
        prop_assert!(audit(&out).is_ok());
        let line = lines(&out)[1].clone();
        let value: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
        let canonical = serde_json_canonicalizer::to_vec(&value).expect("it has a canonical form");
        prop_assert_eq!(&line[..line.len() - 1], &canonical[..]);
    }
}
