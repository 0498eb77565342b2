//! Every case of the corpus: straight, and with its body cut in every way that matters.

use std::collections::{BTreeSet, HashSet};

use carboy_engine::{Action, Decision};

use crate::case::Outcome;
use crate::reader::{Case, all};

/// Bodies up to this length are cut at every byte; longer ones at as many places, evenly.
const CUTS_MAX: usize = 100;
/// Bodies up to this length also come byte by byte.
const BYTEWISE_MAX: usize = 600;

/// What two runs of one case must share.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    decision: String,
    shadow: String,
    findings: BTreeSet<(String, String, String)>,
}

fn summary(outcome: &Outcome) -> Summary {
    let verdict = &outcome.verdict;
    let decision = match &verdict.decision {
        Decision::Allow => "allow".to_owned(),
        Decision::Block(refusal) => format!("{} {}", refusal.reason.as_str(), refusal.rule),
    };
    let findings = verdict.findings.iter().map(|finding| {
        (
            finding.rule.to_string(),
            finding.fingerprint.to_string(),
            finding.locus.to_string(),
        )
    });
    Summary {
        decision,
        shadow: verdict
            .shadow
            .as_ref()
            .map_or("", |own| own.reason.as_str())
            .to_owned(),
        findings: findings.collect(),
    }
}

/// What is wrong with an outcome; empty when it is as expected.
fn faults(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    let mut want = |what: &str, is: &str, expected: &str| {
        if is != expected {
            faults.push(format!("{what} is `{is}`, expected `{expected}`"));
        }
    };
    let verdict = &outcome.verdict;
    match &verdict.decision {
        Decision::Allow => want("verdict", "allow", &case.expect),
        Decision::Block(refusal) => {
            want("verdict", refusal.reason.as_str(), &case.expect);
            if let Some(rule) = &case.rule {
                want("rule", &refusal.rule, rule);
            }
            if let Some(surface) = &case.surface {
                let locus = refusal
                    .locus
                    .as_ref()
                    .map_or("none", |locus| locus.surface.as_str());
                want("surface", locus, surface);
            }
            let part = case.remedy.as_deref().unwrap_or_default();
            if refusal.remedy.is_empty() || !refusal.remedy.contains(part) {
                want("remedy", &refusal.remedy, part);
            }
        }
    }
    let shadow = verdict
        .shadow
        .as_ref()
        .map_or("none", |own| own.reason.as_str());
    want("shadow", shadow, case.shadow.as_deref().unwrap_or("none"));
    let warned = verdict
        .findings
        .iter()
        .filter(|finding| finding.action == Action::Warn);
    let warned: BTreeSet<_> = warned.map(|finding| finding.rule.to_string()).collect();
    let expected: BTreeSet<_> = case.findings.iter().cloned().collect();
    want("findings", &format!("{warned:?}"), &format!("{expected:?}"));
    if let Some(resolves) = case.resolves {
        want(
            "resolves",
            &outcome.resolved.to_string(),
            &resolves.to_string(),
        );
    }
    faults
}

#[test]
fn each_case_has_its_verdict() {
    let cases = all();
    let mut wrong = Vec::new();
    for case in &cases {
        let body = case.body();
        let outcome = case.run(&case.engine(), &[&body]);
        for fault in faults(case, &outcome) {
            wrong.push(format!("{}: {fault}\n    {:?}", case.name, outcome.verdict));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_two_cases_share_a_name() {
    let mut names = HashSet::new();
    for case in all() {
        assert!(
            names.insert(case.name.clone()),
            "{} stands twice",
            case.name
        );
    }
    assert!(names.len() >= 120, "only {} cases", names.len());
}

#[test]
fn honest_work_is_many_crossings_and_none_is_refused() {
    let mut benign = all();
    benign.retain(|case| case.name.starts_with("benign: "));
    for case in &benign {
        let (policy, expect) = (&*case.policy, &*case.expect);
        assert_eq!((policy, expect), ("balanced", "allow"), "{}", case.name);
    }
    assert!(benign.len() >= 400, "only {} cases", benign.len());
}

#[test]
fn cuts_do_not_change_a_verdict() {
    for case in all().iter().filter(|case| !case.body().is_empty()) {
        let (body, engine) = (case.body(), case.engine());
        let straight = summary(&case.run(&engine, &[&body]));
        let stride = (body.len() / CUTS_MAX).max(1);
        for cut in (1..body.len()).step_by(stride) {
            let (head, tail) = body.split_at(cut);
            assert_eq!(
                summary(&case.run(&engine, &[head, tail])),
                straight,
                "{}: cut at {cut}",
                case.name
            );
        }
        if body.len() <= BYTEWISE_MAX {
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(
                summary(&case.run(&engine, &bytes)),
                straight,
                "{}: byte by byte",
                case.name
            );
        }
    }
}

#[test]
fn what_is_refused_neither_leaves_nor_is_repeated() {
    const SECRETS: [&str; 2] = ["ghp_", "0123456789abcdefghijABCDEFGHIJ012345"];
    for case in all() {
        let body = case.body();
        let outcome = case.run(&case.engine(), &[&body]);
        let shown = format!("{:?}", outcome.verdict).to_lowercase();
        let left = String::from_utf8_lossy(&body[..outcome.released]);
        let refused = matches!(outcome.verdict.decision, Decision::Block(_));
        for secret in SECRETS {
            let told = shown.contains(&secret.to_lowercase());
            assert!(!told, "{}: {shown}", case.name);
            let leaked = refused && left.contains(secret);
            assert!(!leaked, "{}: some of it left", case.name);
        }
    }
}
