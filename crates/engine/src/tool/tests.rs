//! Each rule's examples, and honest work that breaks none.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::chain::CHAINS;
use super::rule::{Example, TOOLS};
use super::{acts, judge, material};

/// The rules that an example breaks.
fn broken(example: &Example) -> Vec<&'static str> {
    let (tool, arguments) = match example {
        Example::Command(command) => ("bash".to_owned(), json!({ "command": command })),
        Example::Call(call) => {
            assert!(call.contains_key("tool"), "quote {call:?}");
            let tool = call["tool"].as_str().expect("a name").to_owned();
            (tool, call["arguments"].clone())
        }
    };
    call(&tool, &arguments)
}

fn call(tool: &str, arguments: &Value) -> Vec<&'static str> {
    let acts = acts(&material(tool, &Default::default(), arguments));
    assert!(!acts.is_cut, "{arguments}");
    judge(&acts).iter().map(|own| &*own.rule.id).collect()
}

#[test]
fn every_example_of_every_rule() {
    let mut wrong = Vec::new();
    for rule in &TOOLS.rules {
        assert!(
            rule.matches.len() >= 2 && rule.rejects.len() >= 2,
            "{}",
            rule.id
        );
        for example in &rule.matches {
            if !broken(example).contains(&&*rule.id) {
                wrong.push(format!("{} misses {example:?}", rule.id));
            }
        }
        for example in &rule.rejects {
            if broken(example).contains(&&*rule.id) {
                wrong.push(format!("{} takes {example:?}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_class_that_a_rule_names_is_there() {
    for rule in &TOOLS.rules {
        for clause in &rule.any {
            let classes = [
                &clause.reads,
                &clause.writes,
                &clause.deletes,
                &clause.operands,
            ];
            for class in classes.into_iter().flatten() {
                assert!(TOOLS.paths.contains_key(class), "{} names {class}", rule.id);
            }
        }
    }
}

#[test]
fn honest_commands_break_no_rule() {
    let text = include_str!("../../../../cases/calls/honest-commands.txt");
    let commands = text.lines().filter(|line| !line.starts_with('#'));
    let broken = commands.filter_map(|command| {
        let broken = call("bash", &json!({ "command": command }));
        (!broken.is_empty()).then(|| format!("{command}: {broken:?}"))
    });
    let broken: Vec<_> = broken.collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn honest_calls_break_no_rule() {
    let text = include_str!("../../../../cases/calls/honest-calls.txt");
    let calls = text.lines().filter(|line| !line.starts_with('#'));
    let broken = calls.filter_map(|line| {
        let (tool, arguments) = line.split_once(' ').expect("a tool and its arguments");
        let broken = call(tool, &serde_json::from_str(arguments).expect("arguments"));
        (!broken.is_empty()).then(|| format!("{line}: {broken:?}"))
    });
    let broken: Vec<_> = broken.collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn hostile_commands_break_a_rule() {
    let text = include_str!("../../../../cases/calls/hostile-commands.txt");
    let commands = text.lines().filter(|line| !line.starts_with('#'));
    let missed = commands.filter(|command| call("bash", &json!({ "command": command })).is_empty());
    let missed: Vec<_> = missed.collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The tables of `docs/tools.md`.
fn tables() -> String {
    let mut out =
        "## Rules\n\n| rule | what | severity | default |\n|---|---|---|---|\n".to_owned();
    let word = |own: &dyn std::fmt::Debug| format!("{own:?}").to_lowercase();
    for rule in &TOOLS.rules {
        let (severity, action) = (word(&rule.severity), word(&rule.action));
        out += &format!(
            "| `{}` | {} | {severity} | {action} |\n",
            rule.id, rule.title
        );
    }
    out += "\n## Chains, one by one\n\n| chain | what | steps | order alone | with bytes that flow |\n|---|---|---|---|---|\n";
    for chain in &CHAINS.chains {
        let (order, flow) = (word(&chain.order), word(&chain.flow));
        let steps = chain.steps.join(", ");
        out += &format!(
            "| `{}` | {} | {steps} | {order} | {flow} |\n",
            chain.id, chain.title
        );
    }
    out
}

#[test]
fn the_tables_of_the_docs_are_true() {
    const MARKS: [&str; 2] = ["<!-- rules -->\n", "<!-- end -->\n"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools.md");
    let text = fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once(MARKS[0]).expect("a mark");
    let (_, after) = rest.split_once(MARKS[1]).expect("a mark");
    let wanted = format!("{before}{}{}{}{after}", MARKS[0], tables(), MARKS[1]);
    if std::env::var("CARBOY_DOCS").as_deref() == Ok("write") {
        fs::write(&path, &wanted).expect("docs are writable");
        return;
    }
    assert!(
        text == wanted,
        "docs/tools.md is old: run CARBOY_DOCS=write cargo test -p carboy-engine docs"
    );
}
