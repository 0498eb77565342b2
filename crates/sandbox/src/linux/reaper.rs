//! Process 1 of the bottle: starts the command, passes signals on, reaps what is left behind.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::channel::{Channel, Order};
use super::init::Orders;
use super::{command, sys};
use crate::{Error, Exit, Layer};

/// Starts the command and stays until it has ended.
pub(super) fn run(
    control: &Channel,
    orders: &Orders,
    terminal: Option<OwnedFd>,
) -> Result<Exit, Error> {
    let failed = |step: &str, cause: io::Error| Error::os(Layer::Init, step, &cause);
    let (signals, _) = sys::catch_signals(&[libc::SIGCHLD])
        .map_err(|cause| failed("watch for ended processes", cause))?;
    let prepared = command::prepare(&orders.confinement, orders.terminals)?;
    // Held open here, so that a command may close its terminal and open it again.
    let held = terminal.as_ref().map(command::open_peer).transpose()?;
    let Some(child) = sys::fork().map_err(|cause| failed("fork", cause))? else {
        sys::exit_now(command::become_command(&prepared, terminal, control));
    };
    drop(terminal);
    let exit = watch(control, &signals, child);
    drop(held);
    exit
}

/// Passes signals on and reaps, until the command has ended or carboy is gone.
fn watch(control: &Channel, signals: &OwnedFd, child: Pid) -> Result<Exit, Error> {
    loop {
        let mut watched = [
            PollFd::new(control, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Error::os(Layer::Init, "wait", &cause.into())),
        }
        let [orders, ended] = watched.map(|watch| !watch.revents().is_empty());
        if ended {
            drain(signals);
            if let Some(exit) = reap(child) {
                return Ok(exit);
            }
        }
        if orders && !obey(control, child) {
            // Carboy is gone; with this process everything in the bottle ends.
            return Ok(Exit::Signal(libc::SIGKILL));
        }
    }
}

/// Empties the signal descriptor; which children ended is asked of the kernel.
fn drain(signals: &OwnedFd) {
    let mut buffer = [0_u8; 1024];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(length) if length > 0) {}
}

/// Carries out one order; false when carboy is gone.
fn obey(control: &Channel, child: Pid) -> bool {
    match control.receive::<Order>() {
        Ok(Some((Order::Signal(number), _))) => {
            if let Some(signal) = Signal::from_named_raw(number) {
                // The command may have ended a moment ago, which is as good.
                rustix::process::kill_process_group(child, signal).ok();
            }
            true
        }
        Ok(Some((Order::Start, _))) => true,
        Ok(None) | Err(_) => false,
    }
}

fn reap(child: Pid) -> Option<Exit> {
    let mut exit = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == child {
            exit = Some(exit_of(status));
        }
    }
    exit
}

pub(super) fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code as u8),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Signal(libc::SIGKILL),
    }
}
