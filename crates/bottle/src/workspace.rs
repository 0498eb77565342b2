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

/// Where a workspace that is the whole machine is seen.
const WHOLE: &str = "/workspace";

/// Places of the whole machine with other processes, devices and the sockets of services.
const WAYS_OUT: &[&str] = &["/proc", "/sys", "/dev", "/run"];

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
    // The bottle's root is its own, so a named `/` is seen next to it.
    let whole = workspace.dir == Path::new("/");
    let target = if whole {
        PathBuf::from(WHOLE)
    } else {
        workspace.dir.clone()
    };
    Ok(Seen {
        mode,
        dir: workspace.dir.clone(),
        target,
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
    } else if dir == Path::new("/") && !spec.workspace.named {
        let remedy = "go to a project's directory, or name it with `--workspace-dir`";
        refuse("it is the whole machine", remedy)
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
    let (source, target) = (seen.dir.clone(), seen.target.clone());
    let shown = match (&seen.kept, seen.mode) {
        (_, WorkspaceMode::None) => return Vec::new(),
        (Some(Kept { upper, work }), _) => Mount::Overlay {
            lower: source,
            upper: upper.clone(),
            work: work.clone(),
            target,
        },
        (None, _) => Mount::Bind {
            source,
            target,
            writable: true,
            devices: false,
        },
    };
    [shown].into_iter().chain(masks(spec, host, seen)).collect()
}

/// Covers what a named workspace may hold beside the work: credentials, carboy's own state, and
/// of the whole machine what would lead out of the bottle.
fn masks(spec: &Spec, host: &HostFacts, seen: &Seen) -> Vec<Mount> {
    let state = (spec.state_dir.clone(), true);
    let ways_out = WAYS_OUT.iter().map(|path| (PathBuf::from(path), true));
    let covered = host.secrets.iter().cloned().chain([state]).chain(ways_out);
    covered
        .filter_map(|(path, is_dir)| {
            let below = path.strip_prefix(&seen.dir).ok()?;
            // The workspace itself is what was asked for.
            let inside = !below.as_os_str().is_empty();
            inside.then(|| mask(&seen.target.join(below), is_dir))
        })
        .collect()
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
