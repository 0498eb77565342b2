//! Which policy applies, and its text.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use carboy_engine::{Policy, Preset};

use crate::output;
use crate::paths;

/// What a policy file is called.
const FILE_NAME: &str = "carboy.yaml";

/// A policy and where it came from.
pub(crate) struct Chosen {
    pub(crate) policy: Policy,
    pub(crate) source: Source,
}

/// Where a policy came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A built-in one.
    Preset(Preset),
    /// A file.
    File(PathBuf),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Preset(preset) => write!(f, "preset {}", preset.name()),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The policy that applies: the one that `--policy` names, else the user's own file, else the
/// preset `balanced`. A file in the working directory is not read unless it is named: what an
/// agent can write must not decide what the agent may do.
///
/// # Errors
/// When the file cannot be read or is not a policy; the message has a line for each problem.
pub(crate) fn choose(choice: Option<&str>) -> Result<Chosen> {
    let source = match choice {
        Some(name) => named(name),
        None => default_source()?,
    };
    let policy = match &source {
        Source::Preset(preset) => Policy::preset(*preset),
        Source::File(path) => parse(path)?,
    };
    Ok(Chosen { policy, source })
}

/// Prints what is probably not meant, and that a policy in the working directory is not read.
pub(crate) fn advise(chosen: &Chosen, choice: Option<&str>, workspace: &Path) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    for warning in chosen.policy.warnings(now) {
        output::note(format_args!("warning: {warning}"));
    }
    let ignored = workspace.join(FILE_NAME);
    if choice.is_none() && ignored.is_file() {
        output::note(format_args!(
            "{} is not read, since the agent could change it; to use it: --policy {FILE_NAME}",
            ignored.display()
        ));
    }
}

fn named(name: &str) -> Source {
    match Preset::named(name) {
        Some(preset) => Source::Preset(preset),
        None => Source::File(PathBuf::from(name)),
    }
}

fn default_source() -> Result<Source> {
    // Without a home there is no file of the user's.
    if env::var_os("HOME").is_none() && env::var_os("XDG_CONFIG_HOME").is_none() {
        return Ok(Source::Preset(Preset::Balanced));
    }
    let own = paths::user_policy()?;
    match own.try_exists() {
        Ok(true) => Ok(Source::File(own)),
        Ok(false) => Ok(Source::Preset(Preset::Balanced)),
        Err(error) => Err(error).with_context(|| format!("cannot look for {}", own.display())),
    }
}

fn parse(path: &Path) -> Result<Policy> {
    let text = fs::read_to_string(path).with_context(|| {
        let presets = Preset::ALL.map(Preset::name).join(", ");
        format!(
            "cannot read the policy {} (presets: {presets})",
            path.display()
        )
    })?;
    Policy::parse(&text, &path.display().to_string())
        .map_err(|error| anyhow!("the policy is not valid\n{error}"))
}
