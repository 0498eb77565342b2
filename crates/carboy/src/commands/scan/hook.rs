//! The pre-commit hook.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use super::git::Repository;
use crate::outcome::Outcome;
use crate::output;

/// The line by which a hook is known as ours.
const MARK: &str = "# Made by `carboy scan --install-hook`.";

/// Refuses also where `carboy` is missing: a commit that was not scanned is not clean.
const SCRIPT: &str = "\
#!/bin/sh
# Refuses commits that hold credentials or personal data.
# Made by `carboy scan --install-hook`.
if ! command -v carboy >/dev/null 2>&1; then
    echo 'pre-commit: carboy is not on PATH, so nothing was scanned (git commit --no-verify skips this)' >&2
    exit 1
fi
exec carboy scan --staged
";

/// Writes the hook where git looks for it.
///
/// # Errors
/// When another hook is there, or it cannot be written.
pub(crate) fn install(repository: &Repository, force: bool) -> Result<Outcome> {
    let dir = repository.git_path("hooks")?;
    let hook = dir.join("pre-commit");
    match fs::read_to_string(&hook) {
        Err(error) if error.kind() == ErrorKind::NotFound && !hook.is_symlink() => {}
        Ok(text) if text.contains(MARK) && !hook.is_symlink() => {}
        Ok(_) | Err(_) if force => {}
        Ok(_) | Err(_) => bail!(
            "there is another hook, {}: add this line to it, or replace it with --force:\n    \
             carboy scan --staged || exit 1",
            hook.display()
        ),
    }
    write(&dir, &hook).with_context(|| format!("cannot write {}", hook.display()))?;
    output::line(format_args!("{} scans each commit", hook.display()))?;
    Ok(Outcome::Clean)
}

fn write(dir: &Path, hook: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(SCRIPT.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o755))?;
    file.persist(hook)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MARK, SCRIPT};

    #[test]
    fn the_hook_knows_itself() {
        assert!(SCRIPT.contains(MARK));
    }
}
