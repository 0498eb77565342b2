//! What people read of a scan.

use std::fmt::Write as _;

use carboy_engine::Severity;

use super::allowance::Allowance;
use super::report::{Judged, Report, Status};
use super::search::{Unread, Why};
use crate::cli::FailOn;
use crate::output::Paint;

/// What of a commit's id tells it from others.
const COMMIT_DIGITS: usize = 12;

/// A line for each finding that fails, or for all where none can.
pub(crate) fn lines(report: &Report, paint: Paint) -> String {
    let is_shown = |judged: &&Judged| judged.fails || report.fail_on == FailOn::Never;
    let shown = report.findings.iter().filter(is_shown);
    shown.map(|judged| line(judged, paint)).collect()
}

fn line(judged: &Judged, paint: Paint) -> String {
    let (source, sight) = (&judged.found.source, &judged.found.sight);
    let finding = &sight.finding;
    let start = sight.region.start;
    let mut line = format!(
        "{}:{}:{}: ",
        printable(&source.path),
        start.line,
        start.column
    );
    let severity = finding.severity.as_str();
    // Writing to memory does not fail.
    let _ = match finding.severity {
        Severity::High | Severity::Critical => write!(line, "{}", paint.red(severity)),
        Severity::Low | Severity::Medium => write!(line, "{}", paint.yellow(severity)),
    };
    let _ = write!(line, " {}: {}", finding.rule.id, finding.rule.title);
    let bytes = count(finding.len, "byte");
    let _ = write!(line, " ({bytes}, fingerprint {}", finding.fingerprint);
    if !finding.via.is_empty() {
        let _ = write!(line, ", in {}", finding.via.join(" in "));
    }
    line.push(')');
    if let Some(commit) = &source.commit {
        let id = commit.id.get(..COMMIT_DIGITS).unwrap_or(&commit.id);
        let day = commit.date.split('T').next().unwrap_or_default();
        let author = printable(&commit.author);
        let _ = write!(line, "; commit {id}, {day}, {author}");
    }
    match (judged.status, sight.allowance) {
        (Status::New, Allowance::Unreasoned) => {
            line.push_str("; its carboy:allow gives no reason, so it allows nothing");
        }
        (Status::Known, _) => line.push_str("; known"),
        (Status::Allowed, _) => line.push_str("; allowed by a comment"),
        (Status::New, Allowance::Absent | Allowance::Given) => {}
    }
    line.push('\n');
    line
}

/// What failed, and how to go on.
pub(crate) fn summary(report: &Report) -> String {
    let mut failing = report.failing();
    let number = failing.by_ref().count() as u64 + report.totals.findings_more;
    let mut text = format!(
        "{} in {}",
        count(number, "finding"),
        count(report.totals.contents, "file")
    );
    let minor = |judged: &&Judged| judged.status == Status::New && !judged.fails;
    let minor = report.findings.iter().filter(minor).count();
    for (number, what) in [
        (report.count(Status::Known), "known"),
        (report.count(Status::Allowed), "allowed"),
        (minor, "of lower severity"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text.push_str(
        "\n        Revoke what was shared. For what is no leak, write carboy:allow RULE: REASON in a comment\n        \
         on its line or the one above, or add all to a baseline: --write-baseline FILE",
    );
    text
}

/// What was not scanned, and why.
pub(crate) fn unread(unread: &Unread) -> String {
    let (path, why) = (printable(&unread.path), why(unread.why));
    let what = match unread.why.is_fault() {
        true => "not scanned",
        false => "not opened",
    };
    format!("{what}: {path}: {why}")
}

/// Why something was not scanned.
pub(crate) fn why(why: Why) -> String {
    match why {
        Why::Unreadable(kind) => kind.to_string(),
        Why::Work => "judging it would cost more work than its size allows".into(),
        Why::Depth => "too many archives within each other".into(),
        Why::Size => "it unpacks to more than 4 GiB".into(),
        Why::Ratio => "it unpacks to more than 256 times its size".into(),
        Why::Memory => "opening it would take too much memory".into(),
        Why::Corrupt => "its archive is broken off, or is none".into(),
        Why::Encrypted => "it is encrypted".into(),
        Why::Format => "an archive of a form that is not known here".into(),
        Why::Binary => "the patch does not have its content".into(),
    }
}

/// A number of things.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A name without what would command a terminal.
fn printable(name: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    name.chars().map(escape).collect()
}
