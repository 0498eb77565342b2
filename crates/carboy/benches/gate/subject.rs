//! What is measured: `carboy` as a process, with its policy, state and authorities.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;

/// The built binary.
const CARBOY: &str = env!("CARGO_BIN_EXE_carboy");

/// A name whose TLS is intercepted, and that is reached in clear as well.
pub(crate) const HOST: &str = "origin.bench.example";
/// A name whose TLS is relayed unread.
pub(crate) const PASS_HOST: &str = "pass.bench.example";

const POLICY: &str = "\
version: 1
mode: strict
egress:
  allow: [origin.bench.example, pass.bench.example]
  private: [127.0.0.1/32]
  limits:
    site: {requests_per_minute: 1000000000}
    session: {requests_per_minute: 1000000000}
tls:
  passthrough: [pass.bench.example]
";

const HOSTS: &str = "127.0.0.1 origin.bench.example pass.bench.example\n";

/// Where a run's files are, and the authority that signs the origin's certificate.
pub(crate) struct Bench {
    directory: TempDir,
    authority: CertificateDer<'static>,
    pub(crate) origin_tls: Arc<ServerConfig>,
}

/// A running `carboy proxy`. It ends when dropped.
pub(crate) struct Gate {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What a client of the gate trusts.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("carboy.yaml"), POLICY)?;
        fs::write(directory.path().join("hosts"), HOSTS)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer_key = KeyPair::generate()?;
        let authority = params.self_signed(&issuer_key)?;
        fs::write(directory.path().join("origin-ca.pem"), authority.pem())?;
        let issuer = Issuer::new(params, issuer_key);
        let key = KeyPair::generate()?;
        let names = vec![HOST.to_owned(), PASS_HOST.to_owned()];
        let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let origin_tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        Ok(Self {
            directory,
            authority: authority.der().clone(),
            origin_tls: Arc::new(origin_tls),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a client of the origin trusts.
    pub(crate) fn direct_tls(&self) -> Result<Arc<ClientConfig>> {
        trusting(self.authority.clone())
    }

    /// `carboy` with its state in the run's directory.
    pub(crate) fn carboy(&self) -> Command {
        let mut command = Command::new(CARBOY);
        command
            .env("CARBOY_STATE_DIR", self.path("state"))
            .current_dir(self.directory.path());
        command
    }

    /// Starts a gate with policy, inspection and receipts on.
    pub(crate) fn gate(&self) -> Result<Gate> {
        let mut child = self
            .carboy()
            .args([
                "proxy",
                "--quiet",
                "--listen",
                "127.0.0.1:0",
                "--policy",
                "carboy.yaml",
            ])
            .args([
                "--hosts",
                "hosts",
                "--upstream-ca",
                "origin-ca.pem",
                "--ca-cert-out",
                "ca.pem",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("the gate's output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit('/').next().unwrap_or_default();
        let address = address
            .parse()
            .with_context(|| format!("the gate said {line:?}"))?;
        let authority = CertificateDer::from_pem_file(self.path("ca.pem"))?;
        Ok(Gate {
            child,
            address,
            tls: trusting(authority)?,
        })
    }
}

impl Gate {
    /// Resident memory, in KiB: `VmRSS` now, or `VmHWM` at most since the last reset.
    pub(crate) fn resident_kib(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(self.proc().join("status"))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .context("a field")?;
        Ok(line
            .split_whitespace()
            .nth(1)
            .context("a number")?
            .parse()?)
    }

    /// The processor time that the gate has used, in all its threads (proc(5), `stat`: fields 14
    /// and 15, in hundredths of a second).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.proc().join("stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("the program's name")?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Forgets the peak of resident memory (proc(5), `clear_refs`).
    pub(crate) fn reset_peak(&self) -> Result<()> {
        Ok(fs::write(self.proc().join("clear_refs"), "5")?)
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It is this bench's own child; if it is gone already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trusting(authority: CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each new connection pays for a whole handshake, so that they can be compared.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
