//! The report as one JSON document. Its form is described in `docs/scan.md`.

use serde_json::{Value, json};

use super::report::{Judged, Report, Status};
use super::search::{Commit, Unread};
use super::words;

/// The form of the document.
const VERSION: u32 = 1;

/// The document.
pub(crate) fn document(report: &Report) -> Value {
    json!({
        "version": VERSION,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "unread": report.unread.iter().map(unread).collect::<Vec<_>>(),
        "summary": {
            "files": report.totals.contents,
            "bytes": report.totals.bytes,
            "findings": report.findings.len() as u64 + report.totals.findings_more,
            "failing": report.failing().count(),
            "known": report.count(Status::Known),
            "allowed": report.count(Status::Allowed),
            "unread": report.unread.len() as u64 + report.totals.unread_more,
            "excluded": report.totals.excluded,
            "links": report.totals.links,
            "special_files": report.totals.specials,
        },
    })
}

fn finding(judged: &Judged) -> Value {
    let (source, sight) = (&judged.found.source, &judged.found.sight);
    let (finding, region) = (&sight.finding, sight.region);
    json!({
        "rule": finding.rule.id,
        "title": finding.rule.title,
        "class": finding.rule.class.as_str(),
        "severity": finding.severity.as_str(),
        "path": source.path,
        "line": region.start.line,
        "column": region.start.column,
        "end_line": region.end.line,
        "end_column": region.end.column,
        "offset": finding.offset,
        "length": finding.len,
        "via": finding.via,
        "fingerprint": finding.fingerprint.to_string(),
        "commit": source.commit.as_deref().map(commit),
        "status": judged.status.as_str(),
        "fails": judged.fails,
    })
}

fn commit(commit: &Commit) -> Value {
    json!({ "id": commit.id, "date": commit.date, "author": commit.author })
}

fn unread(unread: &Unread) -> Value {
    json!({
        "path": unread.path,
        "why": words::why(unread.why),
        "fault": unread.why.is_fault(),
    })
}
