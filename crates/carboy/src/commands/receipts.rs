//! `carboy receipts`: verify what was decided, and the key to verify it with.

mod directory;

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use carboy_receipt::{Fault, Report, Trust, Verifier, Verify};
use serde_json::json;

use crate::cli::ReceiptsCommand;
use crate::keys;
use crate::outcome::Outcome;
use crate::output::{self, Format, Paint};
use crate::paths;

/// How much of a log is read at once.
const READ_BYTES: usize = 256 * 1024;

/// Runs a `receipts` command.
pub(crate) fn run(command: &ReceiptsCommand) -> Result<Outcome> {
    match command {
        ReceiptsCommand::Key => {
            let key = keys::own(&paths::state_dir()?)?;
            output::line(key.context("this installation has signed nothing yet, so has no key")?)?;
            Ok(Outcome::Clean)
        }
        ReceiptsCommand::Verify {
            file,
            key,
            allow_open,
            format,
        } => {
            let state = paths::state_dir()?;
            let key = match key {
                Some(text) => Some(keys::named(text)?),
                None => keys::own(&state)?,
            };
            let file = match file {
                Some(file) => file.clone(),
                None => newest(&state)?,
            };
            let options = Verify {
                key,
                allow_open: *allow_open,
            };
            let is_valid = tell(&file, options, *format)?;
            Ok(if is_valid {
                Outcome::Clean
            } else {
                Outcome::Found
            })
        }
    }
}

/// Verifies a log or a directory of logs, and says whether it is whole.
fn tell(path: &Path, options: Verify, format: Format) -> Result<bool> {
    if path.is_dir() {
        let audit = directory::verify(path, options)?;
        audit.print(path, format)?;
        return Ok(audit.is_clean());
    }
    let verdict = verify(path, options)?;
    print(path, &verdict, format)?;
    Ok(verdict.is_ok())
}

/// Verifies the newest log below a state directory and says in a line what it holds.
///
/// # Errors
/// When there is none, or it is not what was written.
pub(crate) fn verify_newest(state: &Path) -> Result<String> {
    let file = newest(state)?;
    let key = keys::own(state)?;
    match verify(
        &file,
        Verify {
            key,
            allow_open: false,
        },
    )? {
        Ok(report) => Ok(Summary(&report).to_string()),
        Err(fault) => bail!("{}: {fault}", file.display()),
    }
}

fn verify(file: &Path, options: Verify) -> Result<Result<Report, Fault>> {
    let mut log = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut verifier = Verifier::new(options);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = log
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", file.display()))?;
        if length == 0 {
            return Ok(verifier.finish());
        }
        if let Err(fault) = verifier.push(&buffer[..length]) {
            return Ok(Err(fault));
        }
    }
}

/// The log that was written to last.
fn newest(state: &Path) -> Result<PathBuf> {
    let dir = paths::receipts_dir(state);
    let logs = fs::read_dir(&dir)
        .with_context(|| format!("no receipts yet: cannot read {}", dir.display()))?;
    logs.filter_map(|entry| {
        let entry = entry.ok()?;
        let path = entry.path();
        let is_log = path
            .extension()
            .is_some_and(|extension| extension == "jsonl");
        is_log.then_some((entry.metadata().ok()?.modified().ok()?, path))
    })
    .max()
    .map(|(_, path)| path)
    .with_context(|| format!("no receipts yet in {}", dir.display()))
}

fn print(file: &Path, verdict: &Result<Report, Fault>, format: Format) -> Result<()> {
    let paint = Paint::on(&std::io::stdout());
    match (format, verdict) {
        (Format::Json, Ok(report)) => output::json(&facts(file, report)),
        (Format::Json, Err(fault)) => output::json(&json!({
            "file": file, "valid": false, "line": fault.line, "problem": fault.what.to_string(),
        })),
        (Format::Text, Ok(report)) => {
            let file = file.display();
            Ok(output::line(format_args!(
                "{} {file}: {}",
                paint.green("valid"),
                Summary(report)
            ))?)
        }
        (Format::Text, Err(fault)) => {
            let file = file.display();
            Ok(output::line(format_args!(
                "{} {file}: {fault}",
                paint.red("NOT VALID")
            ))?)
        }
    }
}

fn facts(file: &Path, report: &Report) -> serde_json::Value {
    json!({
        "file": file,
        "valid": true,
        "lines": report.lines,
        "crossings": report.crossings,
        "refusals": report.refusals,
        "signed_lines": report.signed_lines,
        "closed": report.closed,
        "key": report.key.to_string(),
        "key_pinned": report.trust == Trust::Pinned,
        "head": report.head.to_string(),
    })
}

/// What a valid log holds, in a line.
struct Summary<'a>(&'a Report);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(
            f,
            "{}; chain of {} lines whole, {} of them under signature",
            output::counts(report.crossings, report.refusals),
            report.lines,
            report.signed_lines
        )?;
        match report.trust {
            Trust::Pinned => f.write_str(" by the expected key")?,
            Trust::OnFile => {
                f.write_str(" by the key in the file itself (give --key to pin it)")?
            }
        }
        match report.closed {
            true => Ok(()),
            false => f.write_str("; not closed, so later lines may be missing"),
        }
    }
}
