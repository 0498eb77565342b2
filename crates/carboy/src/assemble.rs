//! A gate from the command line's choices: the same for a bottle and for `carboy proxy`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use carboy_engine::{Engine, Known, Policy};
use carboy_proxy::{
    CertificateAuthority, Evidence, EvidenceConfig, Gate, GateConfig, HostsTable, Interceptor,
    Observer, Resolver, Upstream, UpstreamConfig,
};

use crate::cli::UpstreamArgs;
use crate::paths;

/// What a gate is made from.
pub(crate) struct Parts<'a> {
    /// What judges.
    pub(crate) policy: Policy,
    /// The values that must not cross.
    pub(crate) known: Known,
    /// The bottle's name, or the proxy's.
    pub(crate) name: &'a str,
    /// Whether the gate serves a bottle.
    pub(crate) bottle: bool,
    /// Where keys and receipts are.
    pub(crate) state: &'a Path,
    /// How the world is reached.
    pub(crate) upstream: &'a UpstreamArgs,
    /// Who signs for intercepted hosts.
    pub(crate) authority: CertificateAuthority,
    /// Who is told of refusals.
    pub(crate) observer: Arc<dyn Observer>,
}

/// Makes the gate. It serves nothing yet. Needs a tokio runtime.
///
/// # Errors
/// A file that cannot be read or written, or a machine without roots or randomness.
pub(crate) fn gate(parts: Parts<'_>) -> Result<Arc<Gate>> {
    paths::private_dir(parts.state)?;
    let kept = parts.policy.evidence();
    let evidence = Evidence::open(&EvidenceConfig {
        state: parts.state,
        name: parts.name,
        durability: kept.durability,
        required: kept.required,
        policy: parts.policy.digest(),
        version: env!("CARGO_PKG_VERSION"),
    })
    .context("cannot keep receipts")?;
    let upstream = UpstreamConfig {
        extra_authorities: parts.upstream.upstream_ca.iter().cloned().collect(),
    };
    let config = GateConfig {
        engine: engine(parts.policy, parts.known)?,
        agent: parts.name.into(),
        bottle: parts.bottle.then(|| parts.name.into()),
        evidence,
        resolver: Resolver::new(hosts(parts.upstream)?),
        upstream: Upstream::new(&upstream)?,
        interceptor: Interceptor::new(Arc::new(parts.authority))?,
        observer: parts.observer,
        names: Arc::default(),
        health: (!parts.bottle).then_some(env!("CARGO_PKG_VERSION")),
    };
    Gate::new(config).map_err(|error| anyhow!("the system has no randomness: {error}"))
}

/// Compiles a policy. Its findings' fingerprints can be compared within one run.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn engine(policy: Policy, known: Known) -> Result<Arc<Engine>> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow!("the system has no randomness: {error}"))?;
    Ok(Arc::new(Engine::knowing(policy, key, known)))
}

fn hosts(upstream: &UpstreamArgs) -> Result<HostsTable> {
    let Some(path) = &upstream.hosts else {
        return Ok(HostsTable::default());
    };
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    HostsTable::parse(&text).with_context(|| format!("{} is not a hosts file", path.display()))
}
