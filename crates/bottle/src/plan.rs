//! From a spec to a plan: pure, and printable.

use std::fmt;
use std::path::{Path, PathBuf};

use carboy_sandbox::{Confinement, DNS_PORT, GATE_PORT, Mount};
use serde::Serialize;

use crate::{Error, HostFacts, Spec, WorkspaceMode, files, workspace};

/// Everything that [`crate::launch`] will do, printable as text (`Display`) or JSON
/// (`Serialize`). It never shows the environment's values.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) confinement: Confinement,
    pub(crate) workspace: Seen,
}

/// How the workspace is seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) mode: WorkspaceMode,
    pub(crate) dir: PathBuf,
    /// Where the command sees it.
    pub(crate) target: PathBuf,
    /// Where an overlay's changes are kept.
    pub(crate) kept: Option<Kept>,
}

/// The directories of an overlay.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
}

/// Plans a bottle.
///
/// # Errors
/// A request that makes no sense, or a workspace that is refused.
pub fn plan(spec: &Spec, host: &HostFacts) -> Result<Plan, Error> {
    if spec.command.is_empty() {
        return Err(Error::NoCommand);
    }
    check_name(&spec.name)?;
    crate::trust::check(&spec.ca_certificate_pem)?;
    let seen = workspace::see(spec, host)?;
    let directory = match seen.mode {
        WorkspaceMode::Bind | WorkspaceMode::Overlay => seen.target.clone(),
        WorkspaceMode::None => host.home.clone(),
    };
    let mut mounts = files::system(spec, host);
    mounts.extend(files::private(spec, host));
    mounts.extend(files::shown(spec, host)?);
    mounts.extend(workspace::mounts(spec, host, &seen));
    let confinement = Confinement {
        hostname: spec.name.clone(),
        writable: writable(spec, host, &seen),
        mounts,
        directory,
        command: spec.command.clone(),
        env: spec.env.clone().into_iter().collect(),
        best_effort: spec.best_effort,
    };
    Ok(Plan {
        confinement,
        workspace: seen,
    })
}

/// A label of a host name (RFC 1123, section 2.1).
fn check_name(name: &str) -> Result<(), Error> {
    const LABEL_BYTES_MAX: usize = 63;
    let fits = (1..=LABEL_BYTES_MAX).contains(&name.len());
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits && plain && !name.starts_with('-') && !name.ends_with('-') {
        Ok(())
    } else {
        Err(Error::Name(name.to_owned()))
    }
}

fn writable(spec: &Spec, host: &HostFacts, seen: &Seen) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = ["/tmp", "/var/tmp", "/run", "/dev"]
        .map(PathBuf::from)
        .into();
    paths.push(host.home.clone());
    paths.extend(spec.read_write.iter().cloned());
    if seen.mode != WorkspaceMode::None {
        paths.push(seen.target.clone());
    }
    paths
}

/// What `--dry-run` prints.
#[derive(Serialize)]
struct Printed<'a> {
    bottle: &'a str,
    command: Vec<String>,
    directory: &'a Path,
    workspace: WorkspaceMode,
    workspace_upper: Option<&'a Path>,
    files: Vec<String>,
    writable: &'a [PathBuf],
    network: [String; 4],
    confinement: [&'static str; 4],
    environment: Vec<String>,
    best_effort: bool,
}

impl Plan {
    /// Where the command starts, as seen inside.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.confinement.directory
    }

    fn printed(&self) -> Printed<'_> {
        let plan = &self.confinement;
        let lossy = |text: &std::ffi::OsString| text.to_string_lossy().into_owned();
        Printed {
            bottle: &plan.hostname,
            command: plan.command.iter().map(lossy).collect(),
            directory: &plan.directory,
            workspace: self.workspace.mode,
            workspace_upper: self
                .workspace
                .kept
                .as_ref()
                .map(|kept| kept.upper.as_path()),
            files: plan.mounts.iter().map(Mount::to_string).collect(),
            writable: &plan.writable,
            network: [
                "127.0.0.0/8 and ::1: the bottle's own".to_owned(),
                format!("TCP to any other address: the gate, 127.0.0.1:{GATE_PORT}"),
                format!("DNS to any other address: the gate, 127.0.0.1:{DNS_PORT}"),
                "everything else: refused at once".to_owned(),
            ],
            confinement: [
                "user, mount, pid, network, ipc, uts and cgroup namespaces",
                "no capabilities, no new privileges",
                "Landlock",
                "system call filter",
            ],
            environment: plan.env.iter().map(|(name, _)| lossy(name)).collect(),
            best_effort: plan.best_effort,
        }
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.printed().serialize(serializer)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.printed();
        writeln!(f, "bottle       {}", plan.bottle)?;
        writeln!(f, "command      {}", plan.command.join(" "))?;
        writeln!(f, "directory    {}", plan.directory.display())?;
        if let Some(upper) = plan.workspace_upper {
            writeln!(f, "changes      {}", upper.display())?;
        }
        section(f, "files", plan.files.iter())?;
        section(f, "network", plan.network.iter())?;
        section(f, "confinement", plan.confinement.iter())?;
        section(f, "environment", plan.environment.iter())
    }
}

fn section(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: impl Iterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (index, line) in lines.enumerate() {
        let title = if index == 0 { title } else { "" };
        writeln!(f, "{title:<12} {line}")?;
    }
    Ok(())
}
