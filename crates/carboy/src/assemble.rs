//! A gate from the command line's choices: the same for a bottle and for `carboy proxy`.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use carboy_engine::{ClientCertificate, Engine, Known, Policy};
use carboy_proxy::{
    Approvals, CertificateAuthority, Evidence, EvidenceConfig, Gate, GateConfig, HostsTable,
    Identity, Interceptor, Observer, Resolver, Upstream, UpstreamConfig,
};

use zeroize::Zeroizing;

use crate::cli::UpstreamArgs;
use crate::known;
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
        identities: identities(&parts.policy)?,
        hosts: hosts(parts.upstream)?,
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
        approvals: Approvals::below(parts.state),
        names: Arc::default(),
        health: (!parts.bottle).then_some(env!("CARGO_PKG_VERSION")),
    };
    let gate = Gate::new(config);
    let gate = gate.map_err(|error| anyhow!("the system has no randomness: {error}"))?;
    gate.keeps_tools_in(parts.state);
    Ok(gate)
}

/// Compiles a policy. Its findings' fingerprints can be compared within one run.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn engine(policy: Policy, known: Known) -> Result<Arc<Engine>> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow!("the system has no randomness: {error}"))?;
    let engine = Engine::knowing(policy, key, known);
    // As far as the limit on locked memory allows: `docs/secrets.md` says what is left where it is low.
    let _ = carboy_bottle::keep_in_memory(&engine.secret_memory());
    Ok(Arc::new(engine))
}

/// The policy, with the proxy of the command line.
///
/// # Errors
/// When that is no proxy, or when the login that it needs is not in the environment.
pub(crate) fn behind(policy: Policy, upstream: &UpstreamArgs) -> Result<Policy> {
    let policy = match &upstream.upstream_proxy {
        None => policy,
        Some(url) => {
            let login = upstream.upstream_proxy_login.as_deref();
            let behind = policy.behind(url, login, &upstream.no_proxy);
            behind.map_err(|error| anyhow!("the upstream proxy cannot be used\n{error}"))?
        }
    };
    let login = policy.upstream_proxy().and_then(|it| it.login_variable());
    if let Some(name) = login {
        let value = env::var(name).map(Zeroizing::new);
        ensure!(
            value.is_ok_and(|value| value.contains(':')),
            "the upstream proxy needs a login: set {name} to user:password"
        );
    }
    Ok(policy)
}

/// The certificates that upstreams are shown.
fn identities(policy: &Policy) -> Result<Vec<Identity>> {
    let load = |own: &ClientCertificate| {
        let (cert, key) = (known::expanded(&own.cert)?, known::expanded(&own.key)?);
        Identity::load(own.hosts.clone(), &cert, &key).context("`tls.client` cannot be used")
    };
    policy.client_certificates().iter().map(load).collect()
}

fn hosts(upstream: &UpstreamArgs) -> Result<HostsTable> {
    let Some(path) = &upstream.hosts else {
        return Ok(HostsTable::default());
    };
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    HostsTable::parse(&text).with_context(|| format!("{} is not a hosts file", path.display()))
}
