//! All logs of an installation, verified against its ledger: none is missing, and none was added.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use carboy_proxy::LEDGER_FILE;
use carboy_receipt::{Listed, Verify, read_ledger};
use serde_json::json;

use crate::output::{self, Format, Paint};

/// What the logs of a directory hold, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Audit {
    logs: u64,
    crossings: u64,
    refusals: u64,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Problem {
    /// The file's name.
    file: String,
    what: String,
}

/// Verifies a directory of logs.
///
/// # Errors
/// When the directory or a file in it cannot be read.
pub(super) fn verify(dir: &Path, options: Verify) -> Result<Audit> {
    let mut audit = Audit::default();
    let listed = audit.listed(dir, options)?;
    let mut unlisted = logs(dir)?;
    for own in &listed {
        unlisted.remove(&own.log);
        audit.check(dir, own, options)?;
    }
    for file in unlisted {
        audit.count(dir, &file, options, |_| {
            Some("is not in the ledger: it was added, or is older than the ledger".to_owned())
        })?;
    }
    Ok(audit)
}

/// The names of the logs that there are.
fn logs(dir: &Path) -> Result<BTreeSet<String>> {
    let unreadable = || format!("cannot read {}", dir.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if Path::new(&name)
            .extension()
            .is_some_and(|own| own == "jsonl")
        {
            names.insert(name);
        }
    }
    Ok(names)
}

impl Audit {
    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn find(&mut self, file: &str, what: impl Into<String>) {
        self.problems.push(Problem {
            file: file.to_owned(),
            what: what.into(),
        });
    }

    /// What the ledger lists; nothing if it is not to be believed.
    fn listed(&mut self, dir: &Path, options: Verify) -> Result<Vec<Listed>> {
        let path = dir.join(LEDGER_FILE);
        let ledger = match fs::read(&path) {
            Ok(ledger) => ledger,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.find(
                    LEDGER_FILE,
                    "is missing: nothing shows which logs there were",
                );
                return Ok(Vec::new());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(read_ledger(&ledger, options.key).unwrap_or_else(|fault| {
            self.find(LEDGER_FILE, fault.to_string());
            Vec::new()
        }))
    }

    fn check(&mut self, dir: &Path, listed: &Listed, options: Verify) -> Result<()> {
        let name = &*listed.log;
        // A ledger from elsewhere may name anything.
        let is_plain = Path::new(name).file_name().is_some_and(|own| own == name);
        if !is_plain || !dir.join(name).exists() {
            let at = listed.time;
            self.find(
                name,
                format!("is missing: it was opened at {at}, and removed since"),
            );
            return Ok(());
        }
        self.count(dir, name, options, |report| {
            listed.check(report).err().map(|wrong| wrong.to_string())
        })
    }

    /// Verifies one log, and asks what else is wrong with it.
    fn count(
        &mut self,
        dir: &Path,
        name: &str,
        options: Verify,
        wrong: impl FnOnce(&carboy_receipt::Report) -> Option<String>,
    ) -> Result<()> {
        self.logs += 1;
        match super::verify(&dir.join(name), options)? {
            Err(fault) => self.find(name, fault.to_string()),
            Ok(report) => {
                self.crossings += report.crossings;
                self.refusals += report.refusals;
                if let Some(what) = wrong(&report) {
                    self.find(name, what);
                }
            }
        }
        Ok(())
    }

    pub(super) fn print(&self, dir: &Path, format: Format) -> Result<()> {
        match format {
            Format::Json => output::json(&self.facts(dir)),
            Format::Text => self.tell(dir),
        }
    }

    fn facts(&self, dir: &Path) -> serde_json::Value {
        let problem = |own: &Problem| json!({"file": own.file, "problem": own.what});
        json!({
            "directory": dir,
            "valid": self.is_clean(),
            "logs": self.logs,
            "crossings": self.crossings,
            "refusals": self.refusals,
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }

    fn tell(&self, dir: &Path) -> Result<()> {
        let paint = Paint::on(&std::io::stdout());
        for Problem { file, what } in &self.problems {
            let file = dir.join(file);
            output::line(format_args!(
                "{} {}: {what}",
                paint.red("NOT VALID"),
                file.display()
            ))?;
        }
        if self.is_clean() {
            output::line(format_args!(
                "{} {}: {} logs, none missing; {}",
                paint.green("valid"),
                dir.display(),
                self.logs,
                output::counts(self.crossings, self.refusals)
            ))?;
        }
        Ok(())
    }
}
