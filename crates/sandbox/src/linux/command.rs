//! The command's last steps before exec: session, directory, limits, privileges, filters.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::pty::OpenptFlags;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use seccompiler::BpfProgram;

use super::channel::{Channel, Report};
use super::{landlocked, seccomp, sys};
use crate::{Confinement, Error, Layer, Loss};

/// Exit status of a command that could not be started; the report says why.
const NOT_STARTED: u8 = 127;

/// Most processes and threads of one bottle's user: far above any build, far below a fork bomb
/// that the machine would notice.
const PROCESSES_MAX: u64 = 16_384;

/// Where a program without a slash in its name is looked for when `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A shell, for scripts without a `#!` line.
const SHELL: &std::ffi::CStr = c"/bin/sh";

/// The highest capability number that the kernel may have; it has 41 today.
const CAPABILITIES_MAX: u32 = 63;

/// Everything the command needs, allocated and compiled before the fork.
pub(super) struct Prepared {
    directory: PathBuf,
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    filter: Option<BpfProgram>,
    writable: Option<Vec<PathBuf>>,
    terminals: [bool; 3],
}

/// Says which of the last layers the kernel lacks.
///
/// # Errors
/// The first one that is missing, unless best effort allows it.
pub(super) fn missing_layers(confinement: &Confinement) -> Result<Vec<Loss>, Error> {
    let mut lost = Vec::new();
    for error in [landlocked::available().err(), seccomp::filter().err()]
        .into_iter()
        .flatten()
    {
        if !confinement.best_effort {
            return Err(error);
        }
        lost.push(Loss {
            layer: error.layer,
            reason: error.to_string(),
        });
    }
    Ok(lost)
}

/// Takes from process 1 what it no longer needs, and hides it from the command.
pub(super) fn shut_init() -> Result<(), Error> {
    drop_privileges()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|cause| failed("hide the init process", cause.into()))
}

fn failed(step: &str, cause: io::Error) -> Error {
    Error::os(Layer::Privileges, step, &cause)
}

pub(super) fn prepare(confinement: &Confinement, terminals: [bool; 3]) -> Result<Prepared, Error> {
    let Some(program) = confinement.command.first() else {
        return Err(Error::new(Layer::Command, "run an empty command"));
    };
    let filter = match seccomp::filter() {
        Err(_) if confinement.best_effort => None,
        filter => Some(filter?),
    };
    let lacks_landlock = confinement.best_effort && landlocked::available().is_err();
    let entries = confinement.env.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        entry
    });
    Ok(Prepared {
        directory: confinement.directory.clone(),
        candidates: strings(candidates(program, &confinement.env))?,
        arguments: strings(confinement.command.iter().cloned())?,
        environment: strings(entries)?,
        filter,
        writable: (!lacks_landlock).then(|| confinement.writable.clone()),
        terminals,
    })
}

fn strings(texts: impl IntoIterator<Item = OsString>) -> Result<Vec<CString>, Error> {
    let convert = |text: OsString| CString::new(text.as_bytes());
    texts
        .into_iter()
        .map(convert)
        .collect::<Result<_, _>>()
        .map_err(|_| {
            Error::new(
                Layer::Command,
                "pass on an argument or environment variable that contains a zero byte",
            )
        })
}

/// The paths that `program` may be at, in order.
fn candidates(program: &OsStr, env: &[(OsString, OsString)]) -> Vec<OsString> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.clone());
    std::env::split_paths(&path.unwrap_or_else(|| DEFAULT_PATH.into()))
        .map(|dir| dir.join(program).into_os_string())
        .collect()
}

/// Becomes the command; returns an exit status only if that failed, after reporting why.
pub(super) fn become_command(
    prepared: &Prepared,
    terminal: Option<OwnedFd>,
    control: &Channel,
) -> u8 {
    let Err(error) = start(prepared, terminal);
    // If carboy is gone, this process dies with it.
    drop(control.send(&Report::Failed(error), &[]));
    NOT_STARTED
}

fn start(
    prepared: &Prepared,
    terminal: Option<OwnedFd>,
) -> Result<std::convert::Infallible, Error> {
    match terminal {
        Some(terminal) => take_terminal(&terminal, prepared.terminals)?,
        None => rustix::process::setpgid(None, None)
            .map_err(|cause| failed("start a process group", cause.into()))?,
    }
    rustix::process::chdir(&prepared.directory).map_err(|cause| {
        let step = format!("enter {}", prepared.directory.display());
        Error::os(Layer::Command, step, &cause.into())
    })?;
    limit()?;
    sys::default_signals();
    if let Some(writable) = &prepared.writable {
        landlocked::restrict(writable)?;
    }
    if let Some(filter) = &prepared.filter {
        seccomp::install(filter)?;
    }
    sys::close_on_exec_from(3).map_err(|cause| failed("close inherited files", cause))?;
    Err(exec(prepared))
}

/// Opens the inner side of the terminal.
pub(super) fn open_peer(terminal: &OwnedFd) -> Result<OwnedFd, Error> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(terminal, flags)
        .map_err(|cause| Error::os(Layer::Terminal, "open the terminal", &cause.into()))
}

fn take_terminal(terminal: &OwnedFd, which: [bool; 3]) -> Result<(), Error> {
    let failed = |cause: io::Error| Error::os(Layer::Terminal, "take the terminal", &cause);
    rustix::process::setsid().map_err(|cause| failed(cause.into()))?;
    let peer = open_peer(terminal)?;
    sys::take_terminal(peer.as_fd()).map_err(failed)?;
    let places = [
        rustix::stdio::dup2_stdin::<&OwnedFd>,
        rustix::stdio::dup2_stdout::<&OwnedFd>,
        rustix::stdio::dup2_stderr::<&OwnedFd>,
    ];
    for (place, _) in places
        .into_iter()
        .zip(which)
        .filter(|(_, terminal)| *terminal)
    {
        place(&peer).map_err(|cause| failed(cause.into()))?;
    }
    Ok(())
}

fn limit() -> Result<(), Error> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    set_limit(Resource::Core, none)?;
    let before = rustix::process::getrlimit(Resource::Nproc);
    let most = before
        .maximum
        .map_or(PROCESSES_MAX, |most| most.min(PROCESSES_MAX));
    let current = before.current.map_or(most, |current| current.min(most));
    set_limit(
        Resource::Nproc,
        Rlimit {
            current: Some(current),
            maximum: Some(most),
        },
    )
}

fn set_limit(resource: Resource, limit: Rlimit) -> Result<(), Error> {
    rustix::process::setrlimit(resource, limit)
        .map_err(|cause| failed("limit the command", cause.into()))
}

/// Gives up every capability for good, and the ways to regain one.
fn drop_privileges() -> Result<(), Error> {
    let failed = |cause: rustix::io::Errno| failed("drop privileges", cause.into());
    rustix::thread::set_no_new_privs(true).map_err(failed)?;
    for number in 0..=CAPABILITIES_MAX {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel has no capability of that number, nor any beyond.
            Err(rustix::io::Errno::INVAL) => break,
            removed => removed.map_err(failed)?,
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(locked).map_err(failed)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed)
}

/// Tries each place the program may be at, as `execvp(3)` does.
fn exec(prepared: &Prepared) -> Error {
    let mut cause = io::Error::from_raw_os_error(libc::ENOENT);
    for path in &prepared.candidates {
        let refused = sys::exec(path, &prepared.arguments, &prepared.environment);
        match refused.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => cause = refused,
            Some(libc::ENOEXEC) => {
                let mut arguments = vec![SHELL.to_owned(), path.clone()];
                arguments.extend(prepared.arguments.iter().skip(1).cloned());
                cause = sys::exec(SHELL, &arguments, &prepared.environment);
                break;
            }
            _ => {
                cause = refused;
                break;
            }
        }
    }
    let name = prepared
        .arguments
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    Error::os(
        Layer::Command,
        format!("run {}", name.unwrap_or_default()),
        &cause,
    )
    .remedy("the bottle shows system directories, known tool directories and the workspace")
}
