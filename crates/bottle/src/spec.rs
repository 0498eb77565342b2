//! What the user asked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One bottle, as asked for.
#[derive(Clone)]
pub struct Spec {
    /// The bottle's name, also its host name: 1 to 63 letters, digits and hyphens.
    pub name: String,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The directory that the command works in.
    pub workspace: Workspace,
    /// The command's whole environment; see [`crate::environment`].
    pub env: BTreeMap<OsString, OsString>,
    /// The bottle's own CA certificate (public part), PEM.
    pub ca_certificate_pem: Vec<u8>,
    /// Carboy's state directory on the host, which exists: never visible inside, and where an overlay's
    /// changes are kept (in `workspaces/NAME/upper`).
    pub state_dir: PathBuf,
    /// More host paths to show, read-only.
    pub read_only: Vec<PathBuf>,
    /// More host paths to show, writable.
    pub read_write: Vec<PathBuf>,
    /// Start without a layer that the kernel lacks, and report it as lost.
    pub best_effort: bool,
}

impl fmt::Debug for Spec {
    /// Shows the environment's names only: its values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("workspace", &self.workspace)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("state_dir", &self.state_dir)
            .field("read_only", &self.read_only)
            .field("read_write", &self.read_write)
            .field("best_effort", &self.best_effort)
            .finish_non_exhaustive()
    }
}

/// The directory that the command works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// How it is shown.
    pub mode: WorkspaceMode,
    /// Where it is, absolute.
    pub dir: PathBuf,
    /// Whether the user named it, rather than it being where they happened to stand. Only a
    /// named workspace may be the home directory or the file system's root.
    pub named: bool,
}

/// How the workspace is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkspaceMode {
    /// Writable, straight to the host's directory.
    #[default]
    Bind,
    /// Writable, the changes kept aside.
    Overlay,
    /// Not shown: the command starts in its private home.
    None,
}
