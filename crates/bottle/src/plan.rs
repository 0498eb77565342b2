//! From a spec to a plan: pure, and printable.

use std::fmt;

use carboy_sandbox::Confinement;
use serde::Serialize;

use crate::{Error, HostFacts, Spec};

/// Everything that [`crate::launch`] will do, printable as text (`Display`) or JSON
/// (`Serialize`). It never shows the environment's values.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) confinement: Confinement,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bottle     {}", self.confinement.hostname)
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Plans a bottle.
///
/// # Errors
/// A request that makes no sense, or a workspace that is refused.
pub fn plan(spec: &Spec, _host: &HostFacts) -> Result<Plan, Error> {
    if spec.command.is_empty() {
        return Err(Error::NoCommand);
    }
    Ok(Plan {
        confinement: Confinement {
            hostname: spec.name.clone(),
            mounts: Vec::new(),
            directory: spec.workspace.dir.clone(),
            command: spec.command.clone(),
            env: spec.env.clone().into_iter().collect(),
            writable: Vec::new(),
            best_effort: spec.best_effort,
        },
    })
}
