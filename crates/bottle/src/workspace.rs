//! Which directory the command may work in, and how it is shown.

use std::path::{Path, PathBuf};

use carboy_sandbox::Mount;

use crate::files::is_secret;
use crate::plan::{Kept, Seen};
use crate::{Error, HostFacts, Spec, WorkspaceMode};

/// Directories that are the system's, with everything in them.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev", "/run", "/etc", "/boot", "/var/run"];

/// Directories that are shared by all, though a directory in them may be one's own.
const SHARED: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/var", "/var/tmp", "/var/lib",
    "/tmp", "/mnt", "/media", "/srv", "/nix",
];

const ELSEWHERE: &str = "go to a project's directory, or use `--workspace none`";

/// Decides how the workspace is seen.
///
/// # Errors
/// [`Error::Workspace`] when the directory holds more than one piece of work should see.
pub(crate) fn see(spec: &Spec, host: &HostFacts) -> Result<Seen, Error> {
    let workspace = &spec.workspace;
    let mode = workspace.mode;
    if mode != WorkspaceMode::None {
        check(spec, host)?;
    }
    let kept = (mode == WorkspaceMode::Overlay).then(|| {
        let place = spec.state_dir.join("workspaces").join(&spec.name);
        Kept {
            upper: place.join("upper"),
            work: place.join("work"),
        }
    });
    Ok(Seen {
        mode,
        dir: workspace.dir.clone(),
        kept,
    })
}

fn check(spec: &Spec, host: &HostFacts) -> Result<(), Error> {
    let dir = spec.workspace.dir.as_path();
    let refuse = |reason, remedy| {
        Err(Error::Workspace {
            dir: dir.into(),
            reason,
            remedy,
        })
    };
    let overlay = spec.workspace.mode == WorkspaceMode::Overlay;
    if !dir.is_absolute() {
        refuse("it is not an absolute path", "name it from the root")
    } else if SYSTEM.iter().any(|system| dir.starts_with(system)) {
        refuse("it belongs to the system", ELSEWHERE)
    } else if SHARED.iter().any(|shared| dir == Path::new(shared)) {
        refuse(
            "everybody's files are in it",
            "make a directory in it and work there",
        )
    } else if is_secret(dir, &host.home) {
        refuse("credentials are kept there", ELSEWHERE)
    } else if dir.starts_with(&spec.state_dir) {
        refuse("carboy keeps its own state there", ELSEWHERE)
    } else if dir == Path::new("/") {
        refuse("it is the whole machine", ELSEWHERE)
    } else if host.home.starts_with(dir) && !spec.workspace.named {
        let remedy = "go to a project's directory, or name it with `--workspace-dir`";
        refuse("the whole home directory is in it", remedy)
    } else if overlay && spec.state_dir.starts_with(dir) {
        refuse(
            "the changes would be kept inside what they change",
            "use `--workspace bind`",
        )
    } else {
        Ok(())
    }
}

/// The mounts that show the workspace, after all others.
pub(crate) fn mounts(spec: &Spec, host: &HostFacts, seen: &Seen) -> Vec<Mount> {
    let dir = seen.dir.clone();
    let mut mounts = match (&seen.kept, seen.mode) {
        (_, WorkspaceMode::None) => return Vec::new(),
        (Some(kept), _) => vec![Mount::Overlay {
            lower: dir.clone(),
            upper: kept.upper.clone(),
            work: kept.work.clone(),
            target: dir,
        }],
        (None, _) => vec![Mount::Bind {
            source: dir.clone(),
            target: dir,
            writable: true,
            devices: false,
        }],
    };
    mounts.extend(masks(spec, host, &seen.dir));
    mounts
}

/// Covers what a named workspace may hold beside the work: credentials, and carboy's own state.
fn masks(spec: &Spec, host: &HostFacts, dir: &Path) -> Vec<Mount> {
    let inside = |path: &Path| path != dir && path.starts_with(dir);
    let secrets = host.secrets.iter().filter(|(path, _)| inside(path));
    let mut masks: Vec<Mount> = secrets.map(|(path, is_dir)| mask(path, *is_dir)).collect();
    if inside(&spec.state_dir) {
        masks.push(mask(&spec.state_dir, true));
    }
    masks
}

fn mask(path: &Path, is_dir: bool) -> Mount {
    let target = PathBuf::from(path);
    if is_dir {
        Mount::Tmpfs {
            target,
            mode: 0o700,
        }
    } else {
        Mount::Bind {
            source: "/dev/null".into(),
            target,
            writable: false,
            devices: true,
        }
    }
}
