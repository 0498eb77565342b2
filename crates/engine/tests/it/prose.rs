//! The injection rules on whole texts: what this project says of attacks passes, and of the prompts
//! written for it enough are refused.

use std::fs;
use std::path::{Path, PathBuf};

use carboy_engine::{Direction, Probe};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The injection rules that would refuse a text on its way in.
pub(crate) fn refusing(probe: &Probe, text: &str) -> Vec<&'static str> {
    let seen = probe.scan(Direction::Inbound, text.as_bytes());
    let seen = seen.expect("the work budget covers it").into_iter();
    let refuses = |rule: &str, severity: &str| {
        Probe::is_injection(rule) && matches!(severity, "high" | "critical")
    };
    seen.filter(|(rule, severity, ..)| refuses(rule, severity))
        .map(|(rule, ..)| rule)
        .collect()
}

fn prompts(name: &str) -> Vec<String> {
    let path = root().join("cases/prompts").join(name);
    let text = fs::read_to_string(&path).expect("the prompts are there");
    let prompt = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
        value["text"].as_str().expect("with a text").to_owned()
    };
    text.lines().map(prompt).collect()
}

#[test]
fn what_this_project_says_of_attacks_passes() {
    let probe = Probe::default();
    let entries = [root(), root().join("docs")].map(|dir| fs::read_dir(dir).expect("a directory"));
    let paths = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path());
    let mut read = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&path).expect("a text");
        let refusing = refusing(&probe, &text);
        assert!(refusing.is_empty(), "{}: {refusing:?}", path.display());
        read += 1;
    }
    assert!(read > 8, "{read} documents");
}

#[test]
fn honest_prompts_pass() {
    let probe = Probe::default();
    for text in prompts("benign-words.jsonl") {
        let refusing = refusing(&probe, &text);
        assert!(refusing.is_empty(), "{refusing:?}: {text}");
    }
}

/// A change of rules or weights that loses much shows here; `docs/detection.md` has the figures.
#[test]
fn enough_attacks_are_refused() {
    let probe = Probe::default();
    for (name, percent_min) in [
        ("attack-hijack.jsonl", 68),
        ("attack-user.jsonl", 52),
        ("attack-translated.jsonl", 75),
        ("attack-indirect.jsonl", 60),
    ] {
        let texts = prompts(name);
        let refused = texts
            .iter()
            .filter(|text| !refusing(&probe, text).is_empty());
        let percent = refused.count() * 100 / texts.len();
        assert!(percent >= percent_min, "{name}: {percent} %");
    }
}
