//! `carboy proxy`: the gate alone, as a forward or a reverse proxy.

use std::env;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use carboy_proxy::http::Backends;
use carboy_proxy::{CertificateAuthority, Gate, Listener, Login, Role, Totals, Workers};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use crate::assemble::{self, Parts};
use crate::cli::{CaChoice, ProxyArgs, UpstreamArgs};
use crate::known;
use crate::outcome::Outcome;
use crate::output;
use crate::paths;
use crate::policies;
use crate::refusals::{PlainScreen, Refusals, Silence};

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: &ProxyArgs) -> Result<Outcome> {
    let role = role(args)?;
    let choice = args.policy.policy.as_deref();
    let mut chosen = policies::choose(choice)?;
    chosen.policy = assemble::behind(chosen.policy, &args.upstream)?;
    policies::advise(&chosen, choice, Path::new("."));
    let gathered = known::gather(&chosen.policy, &[])?;
    gathered.advise();
    let state = paths::state_dir()?;
    let authority = authority(args.ca, &state)?;
    if let Some(file) = &args.ca_cert_out {
        fs::write(file, authority.certificate_pem())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let refusals = (!args.quiet).then(|| Refusals::start(PlainScreen));
    let observer = refusals
        .as_ref()
        .map_or_else(|| Arc::new(Silence) as _, Refusals::observer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let totals = runtime.block_on(async {
        let gate = assemble::gate(Parts {
            policy: chosen.policy,
            known: gathered.known,
            name: &args.name,
            bottle: false,
            state: &state,
            upstream: &args.upstream,
            authority,
            observer,
        })?;
        serve(args, role, gate).await
    })?;
    drop(runtime);
    if let Some(refusals) = refusals {
        refusals.finish();
    }
    let Totals {
        crossings,
        refusals,
    } = totals;
    output::note(output::counts(crossings, refusals));
    Ok(Outcome::Clean)
}

fn role(args: &ProxyArgs) -> Result<Role> {
    let mut backends = Backends::default();
    for text in &args.reverse {
        backends
            .add(text)
            .with_context(|| format!("`--reverse {text}` leads nowhere"))?;
    }
    if !backends.is_empty() {
        return Ok(Role::Reverse(Arc::new(backends)));
    }
    let Some(name) = &args.login else {
        return Ok(Role::Forward);
    };
    let text = env::var(name).map(Zeroizing::new).ok();
    let login = text.and_then(|text| Login::new(&text));
    let login = login.with_context(|| format!("set {name} to user:password"))?;
    Ok(Role::Private(Arc::new(login)))
}

fn authority(choice: CaChoice, state: &Path) -> Result<CertificateAuthority> {
    match choice {
        CaChoice::Ephemeral => Ok(CertificateAuthority::generate()?),
        CaChoice::Kept => super::ca::load(&paths::authority_dir(state)),
    }
}

async fn serve(args: &ProxyArgs, role: Role, gate: Arc<Gate>) -> Result<Totals> {
    // The handlers come before the address is told, so that whoever reads it may signal at once.
    let hangups = signal(SignalKind::hangup())?;
    let ends = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let socket = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    output::line(format_args!("listening on http://{}", socket.local_addr()?))?;
    if let Some(receipts) = gate.evidence().path() {
        output::note(format_args!("receipts in {}", receipts.display()));
    }
    let again = (args.policy.policy.clone(), args.upstream.clone());
    let reloading = tokio::spawn(reload_on(hangups, again, Arc::clone(&gate)));
    let listener = Listener { socket, role };
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = Workers::start(count, gate.evidence().durability())?;
    // A gate serves as well with what its start used still in memory.
    let _ = carboy_bottle::forget_start();
    carboy_proxy::serve(Arc::clone(&gate), vec![listener], workers, end(ends)).await?;
    reloading.abort();
    gate.evidence().close().context("cannot end the receipts")?;
    Ok(gate.totals())
}

async fn end((mut interrupt, mut terminate): (Signal, Signal)) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Reads the policy again at each SIGHUP. One that is not valid changes nothing.
async fn reload_on(
    mut hangups: Signal,
    (choice, upstream): (Option<String>, UpstreamArgs),
    gate: Arc<Gate>,
) {
    while hangups.recv().await.is_some() {
        let reloaded = policies::choose(choice.as_deref()).and_then(|chosen| {
            let policy = assemble::behind(chosen.policy, &upstream)?;
            let (mode, digest) = (policy.mode(), policy.digest());
            let gathered = known::gather(&policy, &[])?;
            gate.reload(assemble::engine(policy, gathered.known)?);
            output::note(format_args!(
                "policy read again from {}: mode {}, digest {digest}",
                chosen.source,
                mode.as_str()
            ));
            Ok(())
        });
        if let Err(error) = reloaded {
            output::error(&error.context("the policy stays as it was"));
        }
    }
}
