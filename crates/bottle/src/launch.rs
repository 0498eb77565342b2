//! From a plan to an ended command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use carboy_sandbox::{Exit, Loss, Sockets};

use crate::plan::Kept;
use crate::{Error, Plan};

/// What became of a bottle.
#[derive(Debug)]
pub struct Outcome<G> {
    /// How the command ended.
    pub exit: Exit,
    /// Layers that were given up under best effort.
    pub lost: Vec<Loss>,
    /// Where an overlay workspace's changes are, if there are any.
    pub workspace_upper: Option<PathBuf>,
    /// What `start_gate` returned, alive until the bottle was gone.
    pub gate: G,
}

/// Builds the bottle, starts the gate on its sockets, runs the command and waits for its end.
///
/// Blocks; call it on the main thread, before other threads start: the bottle dies with the
/// thread that made it, and while it runs this process relays the terminal and passes SIGINT,
/// SIGTERM, SIGHUP and SIGQUIT on to the command. The command starts only after `start_gate`
/// has returned. Its threads may be started there.
///
/// # Errors
/// A layer that could not be built, a gate that did not start, a command that is not there.
pub fn launch<G, E>(
    plan: Plan,
    start_gate: impl FnOnce(Sockets) -> Result<G, E>,
) -> Result<Outcome<G>, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Installed before the first resource exists; it goes last.
    let changes = plan.workspace.kept.map(Changes::prepare).transpose()?;
    let mut prepared = carboy_sandbox::spawn(&plan.confinement)?;
    // It holds whole trust stores, and may run for days.
    drop(plan.confinement);
    let gate = start_gate(prepared.take_sockets()).map_err(|cause| Error::Gate(cause.into()))?;
    let ended = prepared.run()?;
    let workspace_upper = changes.and_then(Changes::keep);
    Ok(Outcome {
        exit: ended.exit,
        lost: ended.lost,
        workspace_upper,
        gate,
    })
}

/// The directories of an overlay on the host. Dropped, it removes whatever is empty.
struct Changes(Kept);

impl Changes {
    fn prepare(kept: Kept) -> Result<Changes, Error> {
        let changes = Changes(kept);
        for dir in [&changes.0.upper, &changes.0.work] {
            make_private(dir).map_err(|cause| Error::Io {
                step: "cannot make",
                path: dir.clone(),
                cause,
            })?;
        }
        Ok(changes)
    }

    /// The directory of changes, if there are any.
    fn keep(self) -> Option<PathBuf> {
        let changed = fs::read_dir(&self.0.upper).is_ok_and(|mut dir| dir.next().is_some());
        changed.then(|| self.0.upper.clone())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // The overlay leaves an empty `work` of mode 0 in its scratch directory. Each of these
        // fails, as it should, on a directory that is not empty.
        let place = self.0.upper.parent().unwrap_or(Path::new("/"));
        for dir in [
            &self.0.work.join("work"),
            &self.0.work,
            &self.0.upper,
            place,
        ] {
            drop(fs::remove_dir(dir));
        }
    }
}

fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}
