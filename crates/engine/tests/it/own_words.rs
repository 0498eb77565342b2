//! What Carboy says of its refusals is read by agents too: none of it may read as an attack on them.

use std::sync::Arc;

use carboy_engine::{Class, Decision, Engine, FileScanner, Probe};

use crate::prose::refusing;
use crate::reader::{Case, all};

/// As a person reads it, and as a program does.
fn told(message: &str, rule: &str, remedy: &str) -> [String; 2] {
    let object = serde_json::json!({"message": message, "rule": rule, "remedy": remedy});
    [
        format!("refused: {message} ({rule})\nTo allow it: {remedy}\n"),
        object.to_string(),
    ]
}

fn refusal(case: &Case) -> Option<[String; 2]> {
    let engine = Arc::new(Engine::new(case.parsed_policy(), [7; 32]));
    match case.run(&engine, &[&case.body()]).verdict.decision {
        Decision::Allow => None,
        Decision::Block(refusal) => Some(told(&refusal.message, &refusal.rule, &refusal.remedy)),
    }
}

#[test]
fn no_title_of_a_rule_reads_as_an_attack() {
    let probe = Probe::default();
    let scanner = FileScanner::new(&[Class::Secret, Class::Personal, Class::Injection]);
    let rules: Vec<_> = scanner.rules().collect();
    assert!(rules.len() > 300, "only {} rules", rules.len());
    for rule in rules {
        for text in told(
            rule.title,
            rule.id,
            "exempt the rule for this host and path",
        ) {
            assert_eq!(refusing(&probe, &text), Vec::<&str>::new(), "{text}");
        }
    }
}

#[test]
fn no_refusal_reads_as_an_attack() {
    let probe = Probe::default();
    let cases = all();
    let refused = cases.iter().filter(|case| case.expect != "allow");
    let texts: Vec<_> = refused.filter_map(refusal).flatten().collect();
    assert!(texts.len() > 400, "only {} texts", texts.len());
    for text in texts {
        assert_eq!(refusing(&probe, &text), Vec::<&str>::new(), "{text}");
    }
}
