//! Findings that are known, so that a scan fails for new ones only.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::report::{Report, Status};
use super::search::Found;

/// The form of the file.
const VERSION: u32 = 1;

/// The largest file that is read: a hundred times the findings that are kept of one scan.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A set of known findings. Lines and commits are not part of it: what is known stays known when
/// lines are added above it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    version: u32,
    findings: BTreeSet<Known>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    path: String,
    rule: String,
    fingerprint: String,
}

impl Known {
    fn of(found: &Found) -> Self {
        Self {
            path: found.source.path.clone(),
            rule: found.sight.finding.rule.id.into(),
            fingerprint: found.sight.finding.fingerprint.to_string(),
        }
    }
}

impl Baseline {
    /// # Errors
    /// When the file cannot be read, or is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path);
        let file = file.with_context(|| {
            format!(
                "cannot read the baseline {0} (--write-baseline {0} makes it)",
                path.display()
            )
        })?;
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.with_context(|| format!("cannot read the baseline {}", path.display()))?;
        let baseline: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no baseline", path.display()))?;
        if baseline.version != VERSION {
            bail!(
                "{} is a baseline of version {}; this is version {VERSION}",
                path.display(),
                baseline.version
            );
        }
        Ok(baseline)
    }

    /// All findings of a report that no comment allows.
    pub(crate) fn of(report: &Report) -> Self {
        let kept = report.findings.iter().filter(|judged| match judged.status {
            Status::New | Status::Known => true,
            Status::Allowed => false,
        });
        Self {
            version: VERSION,
            findings: kept.map(|judged| Known::of(&judged.found)).collect(),
        }
    }

    /// Whether a finding is known.
    pub(crate) fn has(&self, found: &Found) -> bool {
        !self.findings.is_empty() && self.findings.contains(&Known::of(found))
    }

    /// Writes it whole, or leaves the old one. Returns how many findings it has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<u64> {
        let write = || -> Result<()> {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            let mut file = NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(self.findings.len() as u64)
    }
}
