//! What came of the attempts, judged and printed.

use anyhow::Result;
use data_encoding::BASE64;
use serde::Serialize;

use super::Evidence;
use crate::output::{self, Format, Paint};
use crate::probe::{self, Observation, Outcome, Probe};

/// All attempts, judged.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    passed: bool,
    probes: Vec<Row>,
    /// Touches of canaries that no attempt answers for.
    unexplained: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    title: &'static str,
    expected: Outcome,
    got: Outcome,
    detail: String,
    ok: bool,
}

impl Report {
    /// Joins what was seen inside with what was seen outside. Outside counts for more.
    pub(super) fn judge(observations: &[Observation], evidence: &Evidence) -> Self {
        let probes: Vec<Row> = probe::probes()
            .iter()
            .map(|probe| row(probe, observations, evidence))
            .collect();
        let unexplained: Vec<String> = evidence
            .canaries
            .iter()
            .filter(|name| probes.iter().all(|row| row.id != **name))
            .cloned()
            .collect();
        let passed = unexplained.is_empty() && probes.iter().all(|row| row.ok);
        Self {
            passed,
            probes,
            unexplained,
        }
    }

    /// Whether nothing got out and what is allowed did.
    pub(super) fn passed(&self) -> bool {
        self.passed
    }

    pub(super) fn print(&self, format: Format) -> Result<()> {
        match format {
            Format::Json => output::json(self),
            Format::Text => self.print_text(),
        }
    }

    fn print_text(&self) -> Result<()> {
        let paint = Paint::on(&std::io::stdout());
        let width = self
            .probes
            .iter()
            .map(|row| row.title.len())
            .max()
            .unwrap_or_default();
        output::line(format_args!("{:width$}  {:8}  got", "attempt", "expected"))?;
        for row in &self.probes {
            let (expected, got) = (word(row.expected), word(row.got));
            let line = format!("{:width$}  {expected:8}  {got}: {}", row.title, row.detail);
            match (row.ok, row.got) {
                (false, _) => output::line(paint.red(format_args!("{line}  <-- WRONG")))?,
                (true, Outcome::NotTested) => output::line(paint.yellow(line))?,
                (true, Outcome::Blocked | Outcome::Passed) => output::line(line)?,
            }
        }
        for touch in &self.unexplained {
            output::line(paint.red(format_args!("outside, a canary was touched by {touch}")))?;
        }
        output::line(self.summary(paint))?;
        Ok(())
    }

    fn summary(&self, paint: Paint) -> String {
        let count = |outcome| self.probes.iter().filter(|row| row.got == outcome).count();
        let (blocked, skipped) = (count(Outcome::Blocked), count(Outcome::NotTested));
        let wrong = self.probes.iter().filter(|row| !row.ok).count() + self.unexplained.len();
        let skipped = match skipped {
            0 => String::new(),
            some => format!(", {some} not tested on this machine"),
        };
        match wrong {
            0 => format!(
                "{}: {blocked} attempts stopped{skipped}; the allowed requests passed",
                paint.green("nothing got out")
            ),
            wrong => format!(
                "{}: {wrong} wrong{skipped}",
                paint.red("the bottle leaks or is dead")
            ),
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Blocked => "blocked",
        Outcome::Passed => "passed",
        Outcome::NotTested => "not tested",
    }
}

fn row(probe: &Probe, observations: &[Observation], evidence: &Evidence) -> Row {
    let (got, detail) = match outside(probe.id, evidence) {
        Some(detail) => (Outcome::Passed, detail),
        None => inside(probe, observations, evidence),
    };
    // What could not be tried is no failure, but a control that was not tried is.
    let ok =
        got == probe.expected || (got == Outcome::NotTested && probe.expected == Outcome::Blocked);
    Row {
        id: probe.id,
        title: probe.title,
        expected: probe.expected,
        got,
        detail,
        ok,
    }
}

/// What only an escape leaves outside.
fn outside(id: &str, evidence: &Evidence) -> Option<String> {
    if evidence.canaries.iter().any(|touch| touch == id) {
        return Some("a canary on the host was reached".to_owned());
    }
    if id == "write-outside"
        && let Some(file) = evidence.escaped.first()
    {
        return Some(format!("{} appeared on the host", file.display()));
    }
    let received = evidence
        .received
        .get(id)
        .filter(|_| id.starts_with("secret-"))?;
    let secret = evidence.secret.as_str();
    let leaked = received.contains(secret) || base64_holds(received, secret);
    leaked.then(|| "the origin received it".to_owned())
}

/// Whether a line of the text is base64 of something that holds the secret.
fn base64_holds(text: &str, secret: &str) -> bool {
    text.lines().any(|line| {
        BASE64
            .decode(line.trim().as_bytes())
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(secret))
    })
}

fn inside(probe: &Probe, observations: &[Observation], evidence: &Evidence) -> (Outcome, String) {
    let Some(seen) = observations.iter().find(|seen| seen.id == probe.id) else {
        return (
            Outcome::NotTested,
            "the bottle did not report it".to_owned(),
        );
    };
    match (seen.outcome, probe.expected) {
        // Only an origin that was really reached makes a control pass.
        (Outcome::Passed, Outcome::Passed) if !evidence.received.contains_key(probe.id) => (
            Outcome::Blocked,
            "answered, but the origin did not see it".to_owned(),
        ),
        _ if seen.detail.contains(&evidence.bait) => {
            (Outcome::Passed, "the planted file was read".to_owned())
        }
        _ => (seen.outcome, seen.detail.clone()),
    }
}
