//! The init process: builds the confinement around itself, then starts and reaps the command.
//!
//! Two processes share this code. The outer one enters the namespaces and waits; its child is
//! process 1 of the new pid namespace and does the rest. When either dies, so does the other,
//! and with process 1 everything in the bottle.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Order, Report};
use super::{command, reaper, redirect, root, routes, sys};
use crate::{Confinement, DNS_PORT, Error, GATE_PORT, Layer, Loss};

/// The hidden argument that makes this executable an init process.
pub(super) const INIT_ARGUMENT: &str = "__bottle-init";

/// Exit status of an init process that could not do its work; the report says why.
const INIT_FAILED: u8 = 125;

/// Connections that may wait for the gate to accept them; more would be the kernel's own limit
/// (`net.core.somaxconn`). A burst that overflows the queue is retried after a second.
const WAITING_CONNECTIONS_MAX: i32 = 4096;

/// The init process's orders, as they travel.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) confinement: Confinement,
    /// Which of standard input, output and error are terminals outside.
    pub(super) terminals: [bool; 3],
}

/// Becomes the init process, and never returns, if this process was started as one.
///
/// Call it first thing in `main`, before any thread exists.
pub fn init_if_requested() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == INIT_ARGUMENT) && arguments.next().is_none() {
        sys::exit_now(run());
    }
}

fn run() -> u8 {
    let Ok(control) = sys::inherited(sys::CONTROL_FD) else {
        return INIT_FAILED;
    };
    let control = Channel::from_descriptor(control);
    match enter(&control) {
        Ok(first) => {
            // Only the first process may hold the channel, so that its death is seen outside.
            drop(control);
            wait_for(first)
        }
        Err(error) => {
            // If carboy is gone too, there is nobody left to tell.
            drop(control.send(&Report::Failed(error), &[]));
            INIT_FAILED
        }
    }
}

/// Enters the namespaces and starts their first process.
fn enter(control: &Channel) -> Result<Pid, Error> {
    let orders = read_orders()?;
    rustix::process::setsid().map_err(|cause| failed("start a session", cause.into()))?;
    enter_user_namespace()?;
    enter_namespaces()?;
    die_with_parent()?;
    match sys::fork().map_err(|cause| failed("fork", cause))? {
        Some(first) => Ok(first),
        None => sys::exit_now(first_process(control, orders)),
    }
}

fn failed(step: &str, cause: io::Error) -> Error {
    Error::os(Layer::Init, step, &cause)
}

fn wait_for(first: Pid) -> u8 {
    loop {
        match rustix::process::waitpid(Some(first), WaitOptions::empty()) {
            Ok(Some((_, status))) => return reaper::exit_of(status).code(),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return INIT_FAILED,
        }
    }
}

fn read_orders() -> Result<Orders, Error> {
    let plan = sys::inherited(sys::PLAN_FD).map_err(|cause| failed("find the orders", cause))?;
    let mut bytes = Vec::new();
    File::from(plan)
        .read_to_end(&mut bytes)
        .map_err(|cause| failed("read the orders", cause))?;
    postcard::from_bytes(&bytes).map_err(|cause| failed("read the orders", io::Error::other(cause)))
}

/// Kills this process when the one that made it dies.
fn die_with_parent() -> Result<(), Error> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|cause| failed("die with carboy", cause.into()))
}

fn enter_user_namespace() -> Result<(), Error> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    sys::unshare(UnshareFlags::NEWUSER)
        .map_err(|cause| no_user_namespace("enter a user namespace", &cause))?;
    let (user, group) = (user.as_raw(), group.as_raw());
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
    ];
    for (file, text) in files {
        std::fs::write(file, text)
            .map_err(|cause| no_user_namespace(&format!("write {file}"), &cause))?;
    }
    Ok(())
}

fn enter_namespaces() -> Result<(), Error> {
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    sys::unshare(flags).map_err(|cause| {
        let step = "enter mount, pid, network, ipc, uts and cgroup namespaces";
        if cause.raw_os_error() == Some(libc::EPERM) {
            no_user_namespace(step, &cause)
        } else {
            Error::os(Layer::Namespaces, step, &cause)
                .remedy("raise the limits in /proc/sys/user/max_*_namespaces")
        }
    })
}

/// Says which of the usual switches keeps user namespaces from this user.
fn no_user_namespace(step: &str, cause: &io::Error) -> Error {
    let sysctl = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    let remedy = if sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "AppArmor keeps user namespaces from ordinary programs here; as root, give carboy a \
         profile with the `userns` permission, or run `sysctl -w \
         kernel.apparmor_restrict_unprivileged_userns=0`"
    } else if sysctl("kernel/unprivileged_userns_clone") == "0" {
        "user namespaces are switched off for ordinary users here; as root, run `sysctl -w \
         kernel.unprivileged_userns_clone=1`"
    } else if sysctl("user/max_user_namespaces") == "0" {
        "user namespaces are switched off here; as root, run `sysctl -w \
         user.max_user_namespaces=10000`"
    } else {
        "something keeps user namespaces from this process: a container's seccomp profile \
         (docker: `--security-opt seccomp=unconfined`), SELinux, a chroot, or being in a bottle \
         already"
    };
    Error::os(Layer::UserNamespace, step, cause).remedy(remedy)
}

/// Everything that process 1 does; its exit status.
fn first_process(control: &Channel, mut orders: Orders) -> u8 {
    let outcome = die_with_parent().and_then(|()| {
        let built = build(&orders)?;
        report_ready(control, &built)?;
        Ok(built)
    });
    let told = match outcome {
        Ok(built) => match control.receive::<Order>() {
            Ok(Some((Order::Start, _))) => {
                // From here on only carboy has the sockets: without it there is no network.
                drop(built.sockets);
                orders.confinement.mounts = Vec::new();
                reaper::run(control, &orders, built.terminal)
            }
            // Carboy gave up, or is gone.
            Ok(Some((Order::Signal(_), _)) | None) | Err(_) => return INIT_FAILED,
        },
        Err(error) => Err(error),
    };
    let (report, code) = match told {
        Ok(exit) => (Report::Ended(exit), exit.code()),
        Err(error) => (Report::Failed(error), INIT_FAILED),
    };
    // If carboy is gone, there is nobody left to tell.
    drop(control.send(&report, &[]));
    code
}

/// What the gate and the terminal relay outside need.
struct Built {
    families: usize,
    sockets: Vec<OwnedFd>,
    terminal: Option<OwnedFd>,
    lost: Vec<Loss>,
}

fn build(orders: &Orders) -> Result<Built, Error> {
    let confinement = &orders.confinement;
    rustix::system::sethostname(confinement.hostname.as_bytes())
        .map_err(|cause| Error::os(Layer::Namespaces, "set the host name", &cause.into()))?;
    let v6 = routes::has_v6();
    tune_network();
    routes::set_up(v6)?;
    redirect::install()?;
    let sockets = open_sockets(v6)?;
    root::enter(&confinement.mounts)?;
    let mut lost = command::missing_layers(confinement)?;
    let wanted = orders.terminals.contains(&true);
    let terminal = match wanted.then(open_terminal) {
        None => None,
        Some(Ok(terminal)) => Some(terminal),
        Some(Err(error)) if confinement.best_effort => {
            lost.push(Loss {
                layer: error.layer,
                reason: error.to_string(),
            });
            None
        }
        Some(Err(error)) => return Err(error),
    };
    command::shut_init()?;
    Ok(Built {
        families: if v6 { 2 } else { 1 },
        sockets,
        terminal,
        lost,
    })
}

/// Lets servers inside have the ports below 1024, which belong to no one else here, and turns
/// IPv6 on where the machine's defaults turn it off. A kernel that refuses the first costs a
/// development server its favourite port; the second shows when the routes are made.
fn tune_network() {
    for (name, value) in [
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv6/conf/lo/disable_ipv6", "0"),
    ] {
        std::fs::write(format!("/proc/sys/net/{name}"), value).ok();
    }
}

fn open_sockets(v6: bool) -> Result<Vec<OwnedFd>, Error> {
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    if v6 {
        addresses.push(Ipv6Addr::LOCALHOST.into());
    }
    let failed = |cause: io::Error| Error::os(Layer::Sockets, "open the gate's sockets", &cause);
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for address in &addresses {
        sockets.push(listen(*address, GATE_PORT).map_err(failed)?);
    }
    for address in &addresses {
        sockets.push(
            UdpSocket::bind((*address, DNS_PORT))
                .map_err(failed)?
                .into(),
        );
    }
    for address in &addresses {
        sockets.push(listen(*address, DNS_PORT).map_err(failed)?);
    }
    Ok(sockets)
}

fn listen(address: IpAddr, port: u16) -> io::Result<OwnedFd> {
    let listener = TcpListener::bind((address, port))?;
    // Listening again is how the length of the queue is changed.
    rustix::net::listen(&listener, WAITING_CONNECTIONS_MAX)?;
    Ok(listener.into())
}

fn open_terminal() -> Result<OwnedFd, Error> {
    let failed = |cause: rustix::io::Errno| {
        Error::os(Layer::Terminal, "open a private terminal", &cause.into())
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty()).map_err(failed)?;
    rustix::pty::unlockpt(&terminal).map_err(failed)?;
    Ok(terminal)
}

fn report_ready(control: &Channel, built: &Built) -> Result<(), Error> {
    let report = Report::Ready {
        families: built.families,
        terminal: built.terminal.is_some(),
        lost: built.lost.clone(),
    };
    let descriptors: Vec<BorrowedFd<'_>> = built
        .sockets
        .iter()
        .chain(&built.terminal)
        .map(AsFd::as_fd)
        .collect();
    control
        .send(&report, &descriptors)
        .map_err(|cause| Error::os(Layer::Sockets, "hand out the gate's sockets", &cause))
}
