//! What was found, judged: what fails, what is known, what is allowed.

use carboy_engine::Severity;

use super::allowance::Allowance;
use super::baseline::Baseline;
use super::search::{Counts, Found, Search, Unread};
use crate::cli::FailOn;

/// The outcome of a search, in the order of the places.
pub(crate) struct Report {
    pub(crate) findings: Vec<Judged>,
    pub(crate) unread: Vec<Unread>,
    pub(crate) fail_on: FailOn,
    pub(crate) totals: Totals,
    faults_more: u64,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) contents: u64,
    pub(crate) bytes: u64,
    pub(crate) excluded: u64,
    pub(crate) links: u64,
    pub(crate) specials: u64,
    /// Findings and unread contents that were counted only.
    pub(crate) findings_more: u64,
    pub(crate) unread_more: u64,
}

/// A finding and what is made of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) found: Found,
    pub(crate) status: Status,
    pub(crate) fails: bool,
}

/// What is known about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing.
    New,
    /// The baseline has it.
    Known,
    /// A comment at its place allows it.
    Allowed,
}

impl Status {
    /// The stable lower-case name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Allowed => "allowed",
        }
    }
}

impl FailOn {
    fn covers(self, severity: Severity) -> bool {
        match self {
            Self::Low => severity >= Severity::Low,
            Self::Medium => severity >= Severity::Medium,
            Self::High => severity >= Severity::High,
            Self::Critical => severity >= Severity::Critical,
            Self::Never => false,
        }
    }
}

impl Report {
    /// Takes what a search has found, and judges it.
    pub(crate) fn new(search: &Search, baseline: &Baseline, fail_on: FailOn) -> Self {
        let shelf = search.take();
        let mut found = shelf.found;
        found.sort_by(|a, b| place(a).cmp(&place(b)));
        // Paths that were named twice.
        found.dedup_by(|a, b| place(a) == place(b));
        let mut unread = shelf.unread;
        unread.sort_by(|a, b| a.path.cmp(&b.path));
        unread.dedup_by(|a, b| (&a.path, a.why) == (&b.path, b.why));
        let judge = |found: Found| {
            let status = status(&found, baseline);
            let severity = found.sight.finding.severity;
            Judged {
                fails: status == Status::New && fail_on.covers(severity),
                status,
                found,
            }
        };
        let counts = &search.counts;
        Self {
            findings: found.into_iter().map(judge).collect(),
            unread,
            fail_on,
            totals: Totals {
                contents: Counts::of(&counts.contents),
                bytes: Counts::of(&counts.bytes),
                excluded: search.exclusion.excluded(),
                links: Counts::of(&counts.links),
                specials: Counts::of(&counts.specials),
                findings_more: shelf.found_more,
                unread_more: shelf.unread_more,
            },
            faults_more: shelf.faults_more,
        }
    }

    /// The findings for which the scan fails.
    pub(crate) fn failing(&self) -> impl Iterator<Item = &Judged> {
        self.findings.iter().filter(|judged| judged.fails)
    }

    /// How many findings are of a status.
    pub(crate) fn count(&self, status: Status) -> usize {
        let of_status = |judged: &&Judged| judged.status == status;
        self.findings.iter().filter(of_status).count()
    }

    /// How many contents could not be scanned, though they should have been.
    pub(crate) fn faults(&self) -> u64 {
        let faults = self.unread.iter().filter(|unread| unread.why.is_fault());
        faults.count() as u64 + self.faults_more
    }
}

fn status(found: &Found, baseline: &Baseline) -> Status {
    match found.sight.allowance {
        Allowance::Given => Status::Allowed,
        Allowance::Absent | Allowance::Unreasoned if baseline.has(found) => Status::Known,
        Allowance::Absent | Allowance::Unreasoned => Status::New,
    }
}

type Place<'a> = (u64, &'a str, u64, &'a str, u64);

fn place(found: &Found) -> Place<'_> {
    let finding = &found.sight.finding;
    let source = &found.source;
    (
        source.order,
        &source.path,
        finding.offset,
        finding.rule.id,
        finding.len,
    )
}
