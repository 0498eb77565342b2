//! `carboy canary`: decoys that tell of a leak when they are seen.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::canaries::{self, Canary, For, Kind};
use crate::cli::CanaryCommand;
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;

/// Runs a `canary` command.
pub(crate) fn run(command: &CanaryCommand) -> Result<Outcome> {
    match command {
        CanaryCommand::New { kind, out, format } => new(kind, out.as_deref(), *format),
    }
}

fn new(kinds: &[Kind], out: Option<&Path>, format: Format) -> Result<Outcome> {
    let state = paths::state_dir()?;
    let minted = kinds
        .iter()
        .map(|kind| canaries::mint(&state, *kind, For::New));
    let minted = minted.collect::<Result<Vec<_>>>()?;
    let text = match format {
        Format::Text => lines(&minted),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&facts(&minted))?),
    };
    match out {
        None => output::print(text)?,
        Some(path) => write(path, &text)?,
    }
    Ok(Outcome::Clean)
}

/// As a dotenv file has them.
fn lines(minted: &[Canary]) -> String {
    let values = minted.iter().flat_map(|canary| &canary.values);
    values
        .map(|(name, value)| format!("{name}={}\n", **value))
        .collect()
}

fn facts(minted: &[Canary]) -> serde_json::Value {
    let canaries = minted.iter().map(|canary| {
        let values = canary.values.iter();
        let values: serde_json::Map<_, _> = values
            .map(|(name, value)| ((*name).to_owned(), json!(**value)))
            .collect();
        json!({"name": canary.name, "values": values})
    });
    canaries.collect()
}

/// A file that is there already may be someone's own.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
