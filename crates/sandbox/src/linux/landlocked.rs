//! Landlock: a second wall that keeps the command from writing anywhere but where it may, and
//! from signalling or reaching abstract sockets of anything outside.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};

use crate::{Error, Layer};

/// The first version that can allow moving files between directories, without which package
/// managers and git fail.
const REQUIRED: ABI = ABI::V2;

/// The newest version whose rights this module knows what to do with.
const WANTED: ABI = ABI::V6;

const REMEDY: &str = "Landlock needs Linux 5.19 or newer with `landlock` among the active LSMs \
    (boot parameter `lsm=landlock,...`); or use `--best-effort` to go without it";

/// # Errors
/// When the kernel has no Landlock, or one that is too old.
pub(super) fn available() -> Result<(), Error> {
    let probe = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))
        .and_then(Ruleset::create);
    match probe {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::new(Layer::Landlock, cause.to_string()).remedy(REMEDY)),
    }
}

/// Restricts this process, and all that it will start, for good.
pub(super) fn restrict(writable: &[PathBuf]) -> Result<(), Error> {
    rules(writable).map_err(|cause| {
        Error::new(Layer::Landlock, format!("restrict the command: {cause}")).remedy(REMEDY)
    })
}

fn rules(writable: &[PathBuf]) -> Result<(), Box<dyn std::error::Error>> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rule(PathBeneath::new(
            PathFd::new("/")?,
            AccessFs::from_read(WANTED),
        ))?;
    for path in writable {
        rules = rules.add_rule(PathBeneath::new(
            PathFd::new(path)?,
            AccessFs::from_all(WANTED),
        ))?;
    }
    rules.restrict_self()?;
    Ok(())
}
