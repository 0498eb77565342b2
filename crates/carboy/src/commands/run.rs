//! `carboy run`: one command in a bottle.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use carboy_bottle::{
    Exit, HostFacts, Loss, Plan, Sockets, Spec, Variable, Workspace, WorkspaceMode,
};
use carboy_proxy::{CertificateAuthority, Gate};

use crate::assemble::{self, Parts};
use crate::cli::{self, RunArgs};
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;
use crate::policies;
use crate::refusals::{Refusals, Screen, Silence};

/// Runs the command in a bottle, or prints the plan of it.
pub(crate) fn run(args: &RunArgs) -> Result<Outcome> {
    let choice = args.policy.policy.as_deref();
    let chosen = policies::choose(choice)?;
    let state = paths::state_dir()?;
    let authority = CertificateAuthority::generate()?;
    let name = bottle_name()?;
    let spec = spec(args, &name, &state, &authority)?;
    let plan = carboy_bottle::plan(&spec, &HostFacts::gather(&host_environment())?)?;
    if args.dry_run {
        return print_plan(&plan, args.format);
    }
    if !args.quiet {
        policies::advise(&chosen, choice, &spec.workspace.dir);
    }
    let refusals = (!args.quiet).then_some(());
    launch(plan, |sockets| {
        todo!()
    })
}
