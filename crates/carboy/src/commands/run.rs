//! `carboy run`: one command in a bottle.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use carboy_bottle::{
    HostFacts, Plan, Spec, Variable, Workspace, WorkspaceMode, environment, launch, plan,
};
use carboy_engine::{Known, Policy};
use carboy_proxy::{CertificateAuthority, Totals};

use crate::assemble::{self, Parts};
use crate::canaries::{self, For};
use crate::cli::{self, RunArgs};
use crate::known;
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;
use crate::policies;
use crate::refusals::{Refusals, Screen, Silence};
use crate::serving::Serving;

/// Runs the command in a bottle, or prints the plan of it.
pub(crate) fn run(args: &RunArgs) -> Result<Outcome> {
    let choice = args.policy.policy.as_deref();
    let mut chosen = policies::choose(choice)?;
    chosen.policy = assemble::behind(chosen.policy, &args.upstream)?;
    let state = paths::state_dir()?;
    let authority = CertificateAuthority::generate()?;
    let mut gathered = known::gather(&chosen.policy, &args.env)?;
    let mut spec = spec(args, &state, &authority)?;
    if args.canary || chosen.policy.plants_canaries() {
        plant(&mut spec, &mut gathered.known, args.dry_run)?;
    }
    keep_keys_outside(&chosen.policy, &spec)?;
    let workspace = spec.workspace.dir.clone();
    let plan = plan(&spec, &HostFacts::gather(&spec_environment())?)?;
    if args.dry_run {
        return print_plan(&plan, args.format);
    }
    if !args.quiet {
        policies::advise(&chosen, choice, &workspace);
        gathered.advise();
    }
    open(
        args,
        plan,
        chosen.policy,
        Bottle {
            name: &spec.name,
            state: &state,
            known: gathered.known,
            authority,
        },
    )
}

/// What a bottle's gate needs beside the policy.
struct Bottle<'a> {
    name: &'a str,
    state: &'a Path,
    known: Known,
    authority: CertificateAuthority,
}

fn open(args: &RunArgs, plan: Plan, policy: Policy, bottle: Bottle<'_>) -> Result<Outcome> {
    // The threads of the gate start with the sockets, after the bottle's process: the signals
    // that are the command's must be blocked in them too.
    let ended = launch(plan, |sockets| {
        let refusals = (!args.quiet).then(|| Refusals::start(BottleScreen));
        let observer = refusals
            .as_ref()
            .map_or_else(|| Arc::new(Silence) as _, Refusals::observer);
        let parts = Parts {
            policy,
            known: bottle.known,
            name: bottle.name,
            bottle: true,
            state: bottle.state,
            upstream: &args.upstream,
            authority: bottle.authority,
            observer,
        };
        Serving::start(parts, sockets).map(|serving| (serving, refusals))
    });
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return command_failure(error),
    };
    let (serving, refusals) = ended.gate;
    let receipts = serving.receipts();
    let totals = serving.stop();
    if let Some(refusals) = refusals {
        refusals.finish();
        for loss in &ended.lost {
            output::note(format_args!(
                "warning: ran without {}: {}",
                loss.layer, loss.reason
            ));
        }
        if let Some(upper) = &ended.workspace_upper {
            output::note(format_args!(
                "the workspace's changes are in {}",
                upper.display()
            ));
        }
        close(&totals?, receipts.as_deref(), args.format);
    }
    Ok(Outcome::Command(ended.exit.code()))
}

/// A command that is not there is told as a shell tells it.
fn command_failure(error: carboy_bottle::Error) -> Result<Outcome> {
    match error.exit_code() {
        code @ (126 | 127) => {
            output::error(&error.into());
            Ok(Outcome::Command(code))
        }
        _ => Err(error.into()),
    }
}

/// Says what came of it, in one line on standard error: the command's own output stays its own.
fn close(totals: &Totals, receipts: Option<&Path>, format: Format) {
    let Totals {
        crossings,
        refusals,
    } = totals;
    if format == Format::Json {
        let closing = serde_json::json!({
            "crossings": crossings,
            "refusals": refusals,
            "receipts": receipts.map(|path| path.display().to_string()),
        });
        output::side_document(&closing);
        return;
    }
    let receipts = receipts.map_or_else(
        || "no receipts".to_owned(),
        |path| format!("receipts in {}", path.display()),
    );
    output::note(format_args!(
        "{}; {receipts}",
        output::counts(*crossings, *refusals)
    ));
}

fn print_plan(plan: &Plan, format: Format) -> Result<Outcome> {
    match format {
        Format::Text => output::print(plan)?,
        Format::Json => output::json(plan)?,
    }
    Ok(Outcome::Clean)
}

fn spec(args: &RunArgs, state: &Path, authority: &CertificateAuthority) -> Result<Spec> {
    let asked: Vec<Variable> = args
        .env
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    Ok(Spec {
        name: bottle_name()?,
        command: args.command.clone(),
        workspace: workspace(args)?,
        env: environment(&spec_environment(), &asked)?,
        ca_certificate_pem: authority.certificate_pem().into(),
        state_dir: state.to_owned(),
        read_only: args.read_only.clone(),
        read_write: args.read_write.clone(),
        best_effort: args.best_effort,
    })
}

/// The keys of `tls.client` are the gate's: what the bottle shows must not hold them.
fn keep_keys_outside(policy: &Policy, spec: &Spec) -> Result<()> {
    let shown = spec.read_only.iter().chain(&spec.read_write).cloned();
    let workspace =
        (spec.workspace.mode != WorkspaceMode::None).then(|| spec.workspace.dir.clone());
    let shown: Vec<_> = shown
        .chain(workspace)
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    for own in policy.client_certificates() {
        let key = known::expanded(&own.key)?;
        let real = key
            .canonicalize()
            .with_context(|| format!("`tls.client` names {}", key.display()))?;
        ensure!(
            !shown.iter().any(|path| real.starts_with(path)),
            "the key {} is where the command could read it: move it out of what the bottle shows",
            key.display()
        );
    }
    Ok(())
}

/// Puts decoys into the bottle's environment, under names that no program looks for.
fn plant(spec: &mut Spec, known: &mut Known, is_dry: bool) -> Result<()> {
    for kind in canaries::PLANTED {
        // A plan shows names alone.
        let canary = match is_dry {
            true => canaries::sample(kind),
            false => canaries::mint(&spec.state_dir, kind, For::Bottle)?,
        };
        canary.add_to(known);
        for (name, value) in &canary.values {
            let name = format!("{}{name}", canaries::PLANTED_PREFIX);
            spec.env.insert(name.into(), value.as_str().into());
        }
    }
    Ok(())
}

fn spec_environment() -> BTreeMap<OsString, OsString> {
    env::vars_os().collect()
}

fn workspace(args: &RunArgs) -> Result<Workspace> {
    let mode = match args.workspace {
        cli::WorkspaceMode::Bind => WorkspaceMode::Bind,
        cli::WorkspaceMode::Overlay => WorkspaceMode::Overlay,
        cli::WorkspaceMode::None => WorkspaceMode::None,
    };
    let named = args.workspace_dir.is_some();
    let dir = match &args.workspace_dir {
        Some(dir) => dir.clone(),
        None => env::current_dir().context("the current directory is gone")?,
    };
    let dir = dir
        .canonicalize()
        .with_context(|| format!("cannot find the workspace {}", dir.display()))?;
    Ok(Workspace { mode, dir, named })
}

/// A name that no other bottle of this user has, as far as chance goes.
fn bottle_name() -> Result<String> {
    let tag = data_encoding::HEXLOWER.encode(&crate::stage::random()?[..4]);
    Ok(format!("bottle-{tag}"))
}

/// The terminal that the bottle's command draws on.
struct BottleScreen;

impl Screen for BottleScreen {
    fn is_busy(&self) -> bool {
        carboy_bottle::terminal_is_drawn_on()
    }

    fn is_raw(&self) -> bool {
        carboy_bottle::terminal_is_raw()
    }
}
