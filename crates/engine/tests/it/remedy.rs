//! Each refusal that proposes lines of a policy: those lines, as they stand, let the crossing pass.

use std::sync::Arc;

use carboy_engine::{Decision, Engine, Policy, Preset, Refusal};
use serde_json::{Map, Value};

use crate::reader::{Case, all};

/// A crossing may be refused for as many reasons, one after the other.
const REASONS_MAX: usize = 6;

/// The lines that a remedy proposes last: those that allow just this.
fn proposed(refusal: &Refusal) -> Option<&str> {
    let starts = ["\ninspect:\n", "\negress:\n"];
    let at = starts
        .iter()
        .filter_map(|start| refusal.remedy.rfind(start))
        .max()?;
    Some(&refusal.remedy[at + 1..])
}

/// Lines added to a policy as a person would add them.
fn merged(own: Value, more: Value) -> Value {
    match (own, more) {
        (Value::Object(mut own), Value::Object(more)) => {
            for (key, value) in more {
                let before = own.remove(&key).unwrap_or(Value::Null);
                own.insert(key, merged(before, value));
            }
            Value::Object(own)
        }
        (Value::Array(mut own), Value::Array(more)) => {
            own.extend(more);
            Value::Array(own)
        }
        (_, more) => more,
    }
}

/// As a policy is read: `off` is a word.
fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn judge(case: &Case, policy: &Value) -> Option<Refusal> {
    let policy = Policy::parse(&policy.to_string(), &case.name)
        .unwrap_or_else(|error| panic!("{}: {error}\n{policy}", case.name));
    let engine = Arc::new(Engine::new(policy, [7; 32]));
    match case.run(&engine, &[&case.body()]).verdict.decision {
        Decision::Allow => None,
        Decision::Block(refusal) => Some(refusal),
    }
}

/// What is wrong with what a case's refusals propose; and how many proposals there were.
fn faults(case: &Case) -> (Option<String>, usize) {
    let text = Preset::named(&case.policy).map_or(&*case.policy, |preset| preset.text());
    let mut policy = merged(Value::Object(Map::new()), yaml(text));
    for proposals in 0..REASONS_MAX {
        let Some(refusal) = judge(case, &policy) else {
            return (None, proposals);
        };
        let Some(lines) = proposed(&refusal) else {
            return (None, proposals);
        };
        let after = merged(policy.clone(), yaml(lines));
        if after == policy {
            return (Some(format!("refused again\n{refusal:?}")), proposals);
        }
        policy = after;
    }
    (Some("refused over and over".to_owned()), REASONS_MAX)
}

#[test]
fn what_a_refusal_proposes_lets_the_crossing_pass() {
    let (mut wrong, mut proposals) = (Vec::new(), 0);
    for case in all().iter().filter(|case| case.expect != "allow") {
        let (fault, count) = faults(case);
        wrong.extend(fault.map(|fault| format!("{}: {fault}", case.name)));
        proposals += count;
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(proposals >= 100, "only {proposals} proposals");
}

#[test]
fn an_exemption_names_the_path_as_far_as_it_is_words() {
    for (url, path) in [
        ("https://a.example/old/../b?x=1", "/old/*"),
        ("https://a.example/api/v1/users/../9f3c", "/api/v1/users/*"),
        ("https://a.example/q7x2Kd9vZ1p4W8j3Nf6bT5y0/../b", "/*"),
        ("https://a.example/%2e%2e/b", "/*"),
        ("https://a.example/card/4111111111111111/../b", "/card/*"),
    ] {
        let case: Case = serde_saphyr::from_str(&format!(
            "{{name: path, url: \"{url}\", expect: shape, rule: url-traversal}}"
        ))
        .expect("a case");
        let refusal = judge(&case, &yaml("version: 1")).expect("a refusal");
        let wanted = format!("path: \"{path}\", surface: url");
        assert!(
            refusal.remedy.contains(&wanted),
            "{url}: {}",
            refusal.remedy
        );
    }
}
