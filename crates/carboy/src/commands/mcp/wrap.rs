//! `carboy mcp wrap`: a server behind pipes, with the gate before them.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use carboy_bottle::{Variable, ends_with_parent, plain_environment};
use carboy_engine::{Known, Policy};
use carboy_proxy::CertificateAuthority;
use carboy_proxy::mcp::{Server, ServerName, Talk, serve_pipes};
use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::server_name;
use crate::assemble::{self, Parts};
use crate::cli::WrapArgs;
use crate::known;
use crate::outcome::Outcome;
use crate::output;
use crate::paths;
use crate::policies;
use crate::refusals::{PlainScreen, Refusals, Silence};

/// The gate's threads: one side's messages go on while the other's are scanned.
const THREADS: usize = 2;

/// How long a server may take to end once nobody listens to it any more, before it is told to, and
/// again before it is killed. Clients wait about as long.
const END_WAIT: Duration = Duration::from_secs(3);

/// Signals that are the server's.
const SIGNALS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Runs the server until it ends, and returns its exit code.
pub(super) fn run(args: &WrapArgs) -> Result<Outcome> {
    let choice = args.policy.policy.as_deref();
    let mut chosen = policies::choose(choice)?;
    chosen.policy = assemble::behind(chosen.policy, &args.upstream)?;
    let gathered = known::gather(&chosen.policy, &args.env)?;
    if !args.quiet {
        policies::advise(&chosen, choice, Path::new("."));
        gathered.advise();
    }
    let name = server_name::choose(args.name.as_deref(), &args.command)?;
    let command = command(args)?;
    let refusals = (!args.quiet).then(|| Refusals::start(PlainScreen));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("gate")
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let observer = refusals
            .as_ref()
            .map_or_else(|| Arc::new(Silence) as _, Refusals::observer);
        let parts = Judging {
            policy: chosen.policy,
            known: gathered.known,
            name: &name,
            args,
            observer,
        };
        // Here the future runs on the main thread, which the server's life hangs on.
        parts.serve(command).await
    });
    // A thread may still wait for standard input, and would for ever.
    runtime.shutdown_background();
    if let Some(refusals) = refusals {
        refusals.finish();
    }
    Ok(Outcome::Command(match ended? {
        Ended::Status(status) => exit_code(status),
        Ended::NotStarted(error) => not_started(&args.command, &error),
    }))
}

enum Ended {
    Status(ExitStatus),
    NotStarted(io::Error),
}

/// The server's command: itself, or in a bottle of `carboy run`, whose standard input and output are the
/// same pipes.
fn command(args: &WrapArgs) -> Result<Command> {
    let asked: Vec<Variable> = args
        .env
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let host: BTreeMap<OsString, OsString> = env::vars_os().collect();
    let environment = plain_environment(&host, &asked)?;
    let mut command = match args.bottle {
        true => bottled(args)?,
        false => {
            let (program, arguments) = args.command.split_first().context("no command")?;
            let mut command = std::process::Command::new(program);
            command.args(arguments).env_clear().envs(environment);
            command
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    ends_with_parent(&mut command);
    Ok(command.into())
}

fn bottled(args: &WrapArgs) -> Result<std::process::Command> {
    let own = env::current_exe().context("cannot find carboy's own program")?;
    let mut command = std::process::Command::new(own);
    command.arg("run");
    let workspace = args.workspace.to_possible_value();
    let workspace = workspace.context("no such workspace mode")?;
    command.args(["--workspace", workspace.get_name()]);
    let mut option = |name: &str, value: Option<&OsString>| {
        if let Some(value) = value {
            command.arg(name).arg(value);
        }
    };
    let path = |path: &std::path::PathBuf| path.clone().into_os_string();
    option(
        "--policy",
        args.policy.policy.as_ref().map(OsString::from).as_ref(),
    );
    option(
        "--workspace-dir",
        args.workspace_dir.as_ref().map(path).as_ref(),
    );
    option("--hosts", args.upstream.hosts.as_ref().map(path).as_ref());
    option(
        "--upstream-ca",
        args.upstream.upstream_ca.as_ref().map(path).as_ref(),
    );
    let (proxy, login) = (
        &args.upstream.upstream_proxy,
        &args.upstream.upstream_proxy_login,
    );
    option(
        "--upstream-proxy",
        proxy.as_ref().map(OsString::from).as_ref(),
    );
    option(
        "--upstream-proxy-login",
        login.as_ref().map(OsString::from).as_ref(),
    );
    for rule in &args.upstream.no_proxy {
        option("--no-proxy", Some(&OsString::from(rule)));
    }
    for shown in &args.read_only {
        option("--read-only", Some(&path(shown)));
    }
    for shown in &args.read_write {
        option("--read-write", Some(&path(shown)));
    }
    for text in &args.env {
        // A value must not stand in a command line, where every process can read it.
        let (name, value) = text
            .split_once('=')
            .map_or((&**text, None), |(n, v)| (n, Some(v)));
        command.arg("--env").arg(name);
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    for (flag, is_set) in [("--best-effort", args.best_effort), ("--quiet", args.quiet)] {
        if is_set {
            command.arg(flag);
        }
    }
    command.arg("--").args(&args.command);
    Ok(command)
}

/// What judges a server's messages, before it does.
struct Judging<'a> {
    policy: Policy,
    known: Known,
    name: &'a ServerName,
    args: &'a WrapArgs,
    observer: Arc<dyn carboy_proxy::Observer>,
}

impl Judging<'_> {
    async fn serve(self, mut command: Command) -> Result<Ended> {
        let signals = signals()?;
        let state = paths::state_dir()?;
        let name = format!("mcp-{}", self.name);
        let gate = assemble::gate(Parts {
            policy: self.policy,
            known: self.known,
            name: &name,
            bottle: false,
            state: &state,
            upstream: &self.args.upstream,
            authority: CertificateAuthority::generate()?,
            observer: self.observer,
        })?;
        let server = Server::piped(Arc::clone(&gate), &state, self.name)
            .context("cannot use what is kept of the server's tools")?;
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                gate.evidence().close().context("cannot end the receipts")?;
                return Ok(Ended::NotStarted(error));
            }
        };
        let status = converse(Talk::new(server), child, signals).await?;
        gate.evidence().close().context("cannot end the receipts")?;
        Ok(Ended::Status(status))
    }
}

/// Carries messages until the server has ended.
async fn converse(
    talk: Talk,
    mut child: Child,
    mut signals: mpsc::Receiver<Signal>,
) -> Result<ExitStatus> {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        anyhow::bail!("the server has no pipes");
    };
    let own = (tokio::io::stdin(), tokio::io::stdout());
    let talking = serve_pipes(talk, own, (output, input));
    tokio::pin!(talking);
    loop {
        tokio::select! {
            ended = &mut talking => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "the client is gone");
                }
                return end(child, signals).await;
            }
            status = child.wait() => {
                // What it said last is still in its pipe; what it left running may hold that open.
                let _ = timeout(END_WAIT, &mut talking).await;
                return status.context("cannot wait for the server");
            }
            Some(signal) = signals.recv() => pass(&child, signal),
        }
    }
}

/// Waits for a server that nobody listens to any more, and in the end for no longer.
async fn end(mut child: Child, mut signals: mpsc::Receiver<Signal>) -> Result<ExitStatus> {
    for last in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        if let Some(signal) = last {
            pass(&child, signal);
        }
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for the server"),
            // Whoever is in a hurry says so.
            Some(signal) = signals.recv() => pass(&child, signal),
            () = tokio::time::sleep(END_WAIT) => {}
        }
    }
    child.wait().await.context("cannot wait for the server")
}

/// Passes a signal on. A server that has just ended needs none.
fn pass(child: &Child, signal: Signal) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

/// The signals that are the server's, one at a time.
fn signals() -> Result<mpsc::Receiver<Signal>> {
    let (caught, signals) = mpsc::channel(SIGNALS.len());
    for number in SIGNALS {
        let mut stream = signal(SignalKind::from_raw(number as i32))?;
        let caught = caught.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if caught.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(signals)
}

/// As a shell tells it: a signal is 128 and its number.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// A server that is not there is told as a shell tells it.
fn not_started(command: &[OsString], error: &io::Error) -> u8 {
    let program = command
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    let program = program.unwrap_or_default();
    output::error(&anyhow::anyhow!(
        "cannot start the server {program}: {error}"
    ));
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
