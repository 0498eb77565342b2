//! From a plan to an ended command.

use std::path::PathBuf;

use carboy_sandbox::{Exit, Loss, Sockets};

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
/// Blocks; call it on the main thread, because the bottle dies with the thread that made it.
/// While it runs, this process relays the terminal and passes on SIGINT, SIGTERM, SIGHUP and
/// SIGQUIT to the command. The command starts only after `start_gate` has returned.
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
    let mut prepared = carboy_sandbox::spawn(&plan.confinement)?;
    let gate = start_gate(prepared.take_sockets()).map_err(|cause| Error::Gate(cause.into()))?;
    let ended = prepared.run()?;
    Ok(Outcome {
        exit: ended.exit,
        lost: ended.lost,
        workspace_upper: None,
        gate,
    })
}
