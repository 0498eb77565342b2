//! Carboy's side: starts the init process, takes its sockets, runs the command to its end.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use super::channel::{Channel, Order, Report};
use super::init::{INIT_ARGUMENT, Orders};
use super::relay::Relay;
use super::sys::{self, SignalMask};
use crate::{Confinement, Error, Exit, Layer, Loss, Sockets};

/// Signals that carboy passes on to the command, and the one that tells of a new window size.
const SIGNALS: &[libc::c_int] = &[
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGWINCH,
];

/// How long the bottle's processes may take to end once nothing keeps them, before their init is
/// killed from outside. A process that writes a large file to a slow disk needs a while.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// A confinement that is built and waits to start its command. Dropping it ends it.
pub struct Prepared {
    init: Init,
    sockets: Option<Sockets>,
    terminal: Option<OwnedFd>,
    signals: OwnedFd,
    mask: SignalMask,
    lost: Vec<Loss>,
}

/// What became of the command.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// Layers that were given up under best effort.
    pub lost: Vec<Loss>,
}

/// The init process. When it is dropped, so is the channel, and the bottle with it.
struct Init {
    control: Option<Channel>,
    child: Child,
}

impl Drop for Init {
    /// Returns when every process of the bottle is gone, so that nothing writes to the workspace
    /// any more: the init process ends only after its pid namespace has.
    fn drop(&mut self) {
        self.control = None;
        if !self.ends_within(END_TIME_MAX) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

impl Init {
    fn ends_within(&self, time: Duration) -> bool {
        let watch = || {
            let flags = PidfdFlags::empty();
            let child = rustix::process::pidfd_open(Pid::from_child(&self.child), flags)?;
            let mut watched = [PollFd::new(&child, PollFlags::IN)];
            rustix::event::poll(&mut watched, Timespec::try_from(time).ok().as_ref())
        };
        matches!(watch(), Ok(ended) if ended > 0)
    }
}

/// Builds a confinement: on return its namespaces, file system and sockets exist, and its
/// command has not started.
///
/// Call it on a thread that outlives the command, before other threads start: the bottle dies
/// with that thread, and SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH are blocked in it and in
/// its later threads until the [`Prepared`] is gone, so that they reach the command.
///
/// # Errors
/// The layer that could not be built.
pub fn spawn(confinement: &Confinement) -> Result<Prepared, Error> {
    let failed = |step: &str, cause: io::Error| Error::os(Layer::Init, step, &cause);
    let (signals, mask) = sys::catch_signals(SIGNALS).map_err(|c| failed("catch signals", c))?;
    let built = start_init(confinement).and_then(|init| {
        let report = first_report(&init)?;
        Ok((init, report))
    });
    match built {
        Ok((init, (sockets, terminal, lost))) => Ok(Prepared {
            init,
            sockets: Some(sockets),
            terminal,
            signals,
            mask,
            lost,
        }),
        Err(error) => {
            sys::restore_signals(&mask);
            Err(error)
        }
    }
}

fn start_init(confinement: &Confinement) -> Result<Init, Error> {
    let failed = |step: &str, cause: io::Error| Error::os(Layer::Init, step, &cause);
    let (control, theirs) = Channel::pair().map_err(|c| failed("open a channel", c))?;
    let orders = Orders {
        confinement: confinement.clone(),
        terminals: terminals(),
    };
    let plan = orders_file(&orders).map_err(|c| failed("write the orders", c))?;
    let theirs = sys::out_of_the_way(theirs.as_fd()).map_err(|c| failed("open a channel", c))?;
    let plan = sys::out_of_the_way(plan.as_fd()).map_err(|c| failed("write the orders", c))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("carboy").arg(INIT_ARGUMENT).env_clear();
    sys::pass_descriptors(&mut command, theirs.as_raw_fd(), plan.as_raw_fd());
    let child = command
        .spawn()
        .map_err(|cause| failed("start the init process", cause))?;
    Ok(Init {
        control: Some(control),
        child,
    })
}

/// The orders in a file without a name, which only the init process is given.
fn orders_file(orders: &Orders) -> io::Result<File> {
    let bytes = postcard::to_stdvec(orders).map_err(io::Error::other)?;
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("orders", flags)?);
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file)
}

fn first_report(init: &Init) -> Result<(Sockets, Option<OwnedFd>, Vec<Loss>), Error> {
    match init.next_report()? {
        (
            Report::Ready {
                families,
                terminal,
                lost,
            },
            mut descriptors,
        ) => {
            if descriptors.len() != 3 * families + usize::from(terminal) {
                return Err(Error::new(
                    Layer::Sockets,
                    "the init process handed out too little",
                ));
            }
            let terminal = if terminal { descriptors.pop() } else { None };
            Ok((sockets(families, descriptors), terminal, lost))
        }
        (Report::Failed(error), _) => Err(error),
        (Report::Ended(_), _) => Err(Error::new(Layer::Init, "it ended before it began")),
    }
}

fn sockets(families: usize, descriptors: Vec<OwnedFd>) -> Sockets {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.by_ref().take(families).collect::<Vec<_>>();
    Sockets {
        tcp: next().into_iter().map(TcpListener::from).collect(),
        dns_udp: next().into_iter().map(UdpSocket::from).collect(),
        dns_tcp: next().into_iter().map(TcpListener::from).collect(),
    }
}

impl Init {
    fn control(&self) -> Result<&Channel, Error> {
        self.control
            .as_ref()
            .ok_or_else(|| Error::new(Layer::Init, "the channel is closed"))
    }

    fn next_report(&self) -> Result<(Report, Vec<OwnedFd>), Error> {
        let failed = |cause| Error::os(Layer::Init, "hear from the init process", &cause);
        self.control()?.receive().map_err(failed)?.ok_or_else(|| {
            Error::new(Layer::Init, "the init process died without a word")
                .remedy("the kernel's log may say why (out of memory, or a security module)")
        })
    }
}

impl Prepared {
    /// The sockets made inside, for the gate. The second call gives empty sets.
    pub fn take_sockets(&mut self) -> Sockets {
        let none = || Sockets {
            tcp: Vec::new(),
            dns_udp: Vec::new(),
            dns_tcp: Vec::new(),
        };
        self.sockets.take().unwrap_or_else(none)
    }

    /// Starts the command, relays its terminal and signals, and waits for its end.
    ///
    /// # Errors
    /// A last layer that could not be built, or a command that could not be started.
    pub fn run(mut self) -> Result<Ended, Error> {
        let failed = |step: &str, cause: io::Error| Error::os(Layer::Init, step, &cause);
        let control = self.init.control()?;
        let mut relay = Relay::new(self.terminal.take(), &self.signals, control)
            .map_err(|cause| failed("set up the terminal", cause))?;
        control
            .send(&Order::Start, &[])
            .map_err(|cause| failed("start the command", cause))?;
        relay
            .until_report()
            .map_err(|cause| failed("relay the terminal", cause))?;
        let report = self.init.next_report();
        // What the command wrote last is still in the terminal.
        relay.finish();
        drop(relay);
        match report {
            Ok((Report::Ended(exit), _)) => Ok(Ended {
                exit,
                lost: std::mem::take(&mut self.lost),
            }),
            Ok((Report::Failed(error), _)) | Err(error) => Err(error),
            Ok((Report::Ready { .. }, _)) => Err(Error::new(Layer::Init, "it began twice")),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        sys::restore_signals(&self.mask);
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn terminals() -> [bool; 3] {
    [
        io::stdin().is_terminal(),
        io::stdout().is_terminal(),
        io::stderr().is_terminal(),
    ]
}

/// Whether any of standard input, output and error is a terminal.
#[must_use]
pub fn terminal_attached() -> bool {
    terminals().contains(&true)
}

/// Where a redirected connection was really going: the address the client dialled.
///
/// `None` for a connection that was dialled to the listener itself, as by a client that uses it
/// as an explicit proxy. `socket` is a connected TCP socket accepted from [`Sockets::tcp`] or
/// [`Sockets::dns_tcp`].
///
/// # Errors
/// When the kernel has no record of the connection although it was redirected, or `socket` is
/// not a connected IP socket.
pub fn original_destination(socket: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    let here = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    let original = match here {
        SocketAddr::V4(_) => sys::original_v4(socket),
        SocketAddr::V6(_) => sys::original_v6(socket),
    };
    match original {
        Ok(original) if original.ip() == here.ip() && original.port() == here.port() => Ok(None),
        Ok(original) => Ok(Some(original)),
        Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(cause) => Err(cause),
    }
}
