//! A bottle of our own making for `demo` and `selftest`: a throw-away workspace, policy and state,
//! and `carboy run` on top of them exactly as a user runs it.

use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The name under which the bottle's workspace holds this binary.
pub(crate) const BINARY: &str = "carboy";

/// A temporary directory with everything that one bottle needs.
pub(crate) struct Stage {
    root: TempDir,
    state: PathBuf,
    best_effort: bool,
}

impl Stage {
    /// Makes the directories and copies this binary into the workspace, where the bottle can run
    /// it. Keys and receipts are kept in `state` if it is given, and else go with the stage.
    ///
    /// # Errors
    /// When the temporary directory cannot be written.
    pub(crate) fn new(best_effort: bool, state: Option<PathBuf>) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("carboy-").tempdir();
        let root = root.context("cannot make a temporary directory; TMPDIR names where")?;
        let state = state.unwrap_or_else(|| root.path().join("state"));
        let stage = Self {
            root,
            state,
            best_effort,
        };
        let workspace = stage.workspace();
        fs::create_dir(&workspace)
            .with_context(|| format!("cannot make {}", workspace.display()))?;
        let binary = workspace.join(BINARY);
        let own = env::current_exe().context("cannot find this binary")?;
        fs::copy(own, &binary).with_context(|| format!("cannot write {}", binary.display()))?;
        Ok(stage)
    }

    /// The directory that holds the others. The bottle does not see it.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The bottle's workspace.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.root().join("workspace")
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Writes a file beside the workspace and gives its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.root().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// `carboy run` with this stage's policy, hosts and authority, for `arguments` of the binary
    /// in the workspace. Its output is captured.
    ///
    /// # Errors
    /// When this binary cannot be found.
    pub(crate) fn run(&self, inputs: &Inputs, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(env::current_exe().context("cannot find this binary")?);
        command
            .current_dir(self.workspace())
            .env("CARBOY_STATE_DIR", self.state())
            .arg("run")
            .arg("--policy")
            .arg(self.write("carboy.yaml", &inputs.policy)?)
            .arg("--hosts")
            .arg(self.write("hosts", &inputs.hosts)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(pem) = &inputs.authority_pem {
            command
                .arg("--upstream-ca")
                .arg(self.write("origin.pem", pem)?);
        }
        if self.best_effort {
            command.arg("--best-effort");
        }
        command.arg("--").arg(format!("./{BINARY}")).args(arguments);
        Ok(command)
    }
}

/// What a stage's bottle is told.
pub(crate) struct Inputs {
    /// The policy file's text.
    pub(crate) policy: String,
    /// The hosts file's text.
    pub(crate) hosts: String,
    /// The authority that signed the local origin's certificate, if it speaks TLS.
    pub(crate) authority_pem: Option<String>,
}

/// The address from which this host would send to `far`. Connecting a UDP socket sends nothing.
#[expect(clippy::disallowed_methods, reason = "nothing is sent")]
pub(crate) fn own_address(far: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if far.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(far).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|own| !own.is_loopback() && !own.is_unspecified())
}

/// A token of a shape that every policy refuses, new each time. It opens nothing.
pub(crate) fn made_up_credential() -> Result<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = random()?;
    let tail: String = random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect();
    // One in thirty has no digit, as words in capitals have none.
    Ok(format!("AKIA{}7", &tail[1..]))
}

/// Sixteen random bytes.
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system has no randomness")?;
    Ok(bytes)
}
