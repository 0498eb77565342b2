//! The report in SARIF 2.1.0 (OASIS), in the part of it that code scanning services read.

use std::collections::BTreeMap;

use carboy_engine::{FileScanner, Rule, Severity};
use serde_json::{Value, json};

use super::report::{Judged, Report, Status};
use super::search::Unread;
use super::words;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The document.
pub(crate) fn document(scanner: &FileScanner, report: &Report) -> Value {
    let rules: Vec<&Rule> = scanner.rules().collect();
    let mut seen = BTreeMap::new();
    let result = |judged: &Judged| {
        let id = judged.found.sight.finding.rule.id;
        let index = rules.iter().position(|rule| rule.id == id);
        result(judged, index, &mut seen)
    };
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Carboy",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.faults() == 0,
                "toolExecutionNotifications": report.unread.iter().map(notification).collect::<Vec<_>>(),
            }],
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let help = format!(
        "{}. If it was shared, revoke it and issue a new one; removing the text does not take it back. If it is \
         none, write `carboy:allow {}: REASON` in a comment on its line.",
        rule.title, rule.id
    );
    json!({
        "id": rule.id,
        "name": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.title },
        "help": { "text": help, "markdown": help },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": {
            "tags": ["security", rule.class.as_str()],
            "security-severity": score(rule.severity),
        },
    })
}

fn result(judged: &Judged, rule_index: Option<usize>, seen: &mut BTreeMap<String, u64>) -> Value {
    let (source, sight) = (&judged.found.source, &judged.found.sight);
    let finding = &sight.finding;
    let (file, member) = match source.path.split_once('!') {
        Some((file, member)) => (file, Some(member)),
        None => (source.path.as_str(), None),
    };
    let mut message = format!(
        "{} ({})",
        finding.rule.title,
        words::count(finding.len, "byte")
    );
    if let Some(member) = member {
        message.push_str(&format!(" in the member {member}"));
    }
    let key = format!(
        "{} {} {}",
        source.path, finding.rule.id, finding.fingerprint
    );
    let times = seen.entry(key).and_modify(|times| *times += 1).or_insert(1);
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(file), "uriBaseId": "%SRCROOT%" },
            "region": region(judged, member.is_some()),
        }}],
        // The second name is the one that GitHub follows an alert by.
        "partialFingerprints": {
            "carboy/v1": finding.fingerprint.to_string(),
            "primaryLocationLineHash": format!("{}:{times}", finding.fingerprint),
        },
        "baselineState": match judged.status {
            Status::New | Status::Allowed => "new",
            Status::Known => "unchanged",
        },
        "suppressions": match judged.status {
            Status::New => json!([]),
            Status::Known => json!([{ "kind": "external", "status": "accepted" }]),
            Status::Allowed => json!([{ "kind": "inSource", "status": "accepted" }]),
        },
        "properties": {
            "severity": finding.severity.as_str(),
            "security-severity": score(finding.severity),
            "via": finding.via,
            "commit": source.commit.as_ref().map(|commit| &commit.id),
        },
    })
}

/// The place in the file; a member of an archive has none in it.
fn region(judged: &Judged, is_member: bool) -> Value {
    let region = judged.found.sight.region;
    match is_member {
        true => json!({ "startLine": 1 }),
        false => json!({
            "startLine": region.start.line,
            "startColumn": region.start.column,
            "endLine": region.end.line,
            "endColumn": region.end.column,
        }),
    }
}

fn notification(unread: &Unread) -> Value {
    json!({
        "level": if unread.why.is_fault() { "error" } else { "note" },
        "message": { "text": words::unread(unread) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// A score as of CVSS, by which GitHub sorts: over 9 critical, from 7 high, from 4 medium.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

/// A path as a URI reference (RFC 3986, section 4.2).
fn uri(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    let encode = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}
