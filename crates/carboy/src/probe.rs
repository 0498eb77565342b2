//! What `carboy selftest` runs inside a bottle: one attempt to get out after the other.
//!
//! Each attempt is a process of its own, so that one which a filter kills is an answer and does
//! not end the rest. An attempt only reports what it saw; what counts as out is judged outside,
//! where the canaries are.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the bottle's side of the wall"
)]

mod files;
mod kernel;
mod leak;
mod network;
mod process;

use std::env;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use self::process::started;

/// Where the parent puts the plan, in the workspace.
pub(crate) const PLAN_FILE: &str = "plan.json";
/// The parent writes the plan as soon as it has started the bottle.
const PLAN_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the probe looks for the plan.
const PLAN_POLL: Duration = Duration::from_millis(20);
/// Attempts that run at once. Most of them wait for an answer that must not come.
const PROBES_AT_ONCE: usize = 8;

/// What the attempts aim at.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The one URL prefix that the policy allows, without a slash at its end.
    pub(crate) origin: String,
    /// A host name below which the policy allows everything.
    pub(crate) zone: String,
    /// The port of the TCP and UDP canaries on every address of the host.
    pub(crate) canary_port: u16,
    /// The host's own address, IPv4.
    pub(crate) host_v4: Option<Ipv4Addr>,
    /// The host's own address, IPv6.
    pub(crate) host_v6: Option<Ipv6Addr>,
    /// A path Unix socket of the host.
    pub(crate) unix_path: PathBuf,
    /// An abstract Unix socket of the host, without its leading zero byte.
    pub(crate) unix_abstract: String,
    /// The gate's process.
    pub(crate) gate: GateProcess,
    /// A file in the user's home directory, outside.
    pub(crate) home_file: Option<PathBuf>,
    /// Files outside the workspace to create.
    pub(crate) outside_files: Vec<PathBuf>,
    /// A made-up credential.
    pub(crate) secret: String,
}

/// A process, told apart from later ones of the same number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GateProcess {
    /// Its number outside.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot (proc(5), `stat`, field 22).
    pub(crate) started_ticks: u64,
}

/// What one attempt saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observation {
    /// The attempt.
    pub(crate) id: String,
    /// How it went, as far as can be told inside.
    pub(crate) outcome: Outcome,
    /// What happened, in a few words.
    pub(crate) detail: String,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was stopped.
    Blocked,
    /// It went through.
    Passed,
    /// It could not be tried here.
    NotTested,
}

/// One attempt.
pub(crate) struct Probe {
    /// Its stable name.
    pub(crate) id: &'static str,
    /// What it tries.
    pub(crate) title: &'static str,
    /// Whether it is meant to go through.
    pub(crate) expected: Outcome,
    run: fn(&Plan, &str) -> Seen,
}

/// What an attempt returns: how it went and what happened.
type Seen = (Outcome, String);

/// All attempts, in the order in which they are reported. The first and the last must pass: a
/// dead bottle lets nothing out either.
pub(crate) fn probes() -> Vec<Probe> {
    let mut all = vec![leak::control(
        "allowed-before",
        "allowed request, before the attempts",
    )];
    all.extend(network::probes());
    all.extend(kernel::probes());
    all.extend(process::probes());
    all.extend(files::probes());
    all.extend(leak::probes());
    all.push(leak::control(
        "allowed-after",
        "allowed request, after the attempts",
    ));
    all
}

/// Runs every attempt and prints the observations as JSON, or the one attempt that is named.
pub(crate) fn run(only: Option<&str>) -> Result<()> {
    let observations = match only {
        Some(id) => serde_json::to_string(&attempt(id)?)?,
        None => serde_json::to_string(&attempt_all()?)?,
    };
    crate::output::line(observations)?;
    Ok(())
}

fn attempt(id: &str) -> Result<Observation> {
    let plan: Plan = serde_json::from_slice(&fs::read(PLAN_FILE)?)?;
    let Some(probe) = probes().into_iter().find(|probe| probe.id == id) else {
        bail!("no probe is called {id}");
    };
    let (outcome, detail) = (probe.run)(&plan, probe.id);
    Ok(Observation {
        id: id.to_owned(),
        outcome,
        detail,
    })
}

fn attempt_all() -> Result<Vec<Observation>> {
    wait_for(Path::new(PLAN_FILE))?;
    let binary = env::current_exe().context("cannot find this binary")?;
    let ids: Vec<_> = probes().iter().map(|probe| probe.id).collect();
    let (Some((first, rest)), true) = (ids.split_first(), ids.len() > 1) else {
        bail!("there are no probes");
    };
    let (middle, last) = rest.split_at(rest.len() - 1);
    let mut seen = vec![spawn(&binary, first)];
    seen.extend(spawn_together(&binary, middle));
    seen.extend(last.iter().map(|id| spawn(&binary, id)));
    Ok(seen)
}

fn wait_for(path: &Path) -> Result<()> {
    let start = Instant::now();
    while !path.exists() {
        if start.elapsed() > PLAN_WAIT_MAX {
            bail!("{} did not appear", path.display());
        }
        thread::sleep(PLAN_POLL);
    }
    Ok(())
}

fn spawn_together(binary: &Path, ids: &[&str]) -> Vec<Observation> {
    let queue = Mutex::new(ids.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(ids.len()));
    let lock = "no probe thread panics while it holds a lock";
    thread::scope(|scope| {
        for _ in 0..PROBES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect(lock).next();
                    let Some((place, id)) = next else { break };
                    let seen = spawn(binary, id);
                    done.lock().expect(lock).push((place, seen));
                }
            });
        }
    });
    let mut done = done.into_inner().expect(lock);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, seen)| seen).collect()
}

fn spawn(binary: &Path, id: &str) -> Observation {
    let output = Command::new(binary)
        .args(["__probe", "--only", id])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let seen = match output {
        Ok(output) => read(&output),
        Err(error) => Err((Outcome::NotTested, format!("could not start: {error}"))),
    };
    seen.unwrap_or_else(|(outcome, detail)| Observation {
        id: id.to_owned(),
        outcome,
        detail,
    })
}

fn read(output: &Output) -> Result<Observation, Seen> {
    if let Some(signal) = output.status.signal() {
        let name = nix::sys::signal::Signal::try_from(signal).map_or("a signal", |it| it.as_str());
        // Only a filter ends an attempt from outside; one that stops itself (SIGABRT) has said
        // nothing.
        return Err(match signal {
            nix::libc::SIGSYS => (Outcome::Blocked, format!("killed by {name}")),
            _ => (Outcome::NotTested, format!("ended by {name}")),
        });
    }
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        (
            Outcome::NotTested,
            format!("gave no answer: {}", said.trim()),
        )
    })
}

/// An attempt that failed: what it was told.
fn blocked(why: impl ToString) -> Seen {
    (Outcome::Blocked, why.to_string())
}

/// An attempt that went through: what it got.
fn passed(what: impl ToString) -> Seen {
    (Outcome::Passed, what.to_string())
}

/// An attempt that cannot be made here: why.
fn not_tested(why: impl ToString) -> Seen {
    (Outcome::NotTested, why.to_string())
}

/// A probe that is meant to be stopped.
const fn stopped(id: &'static str, title: &'static str, run: fn(&Plan, &str) -> Seen) -> Probe {
    Probe {
        id,
        title,
        expected: Outcome::Blocked,
        run,
    }
}
