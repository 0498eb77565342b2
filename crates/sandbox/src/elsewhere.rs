//! The same interface on systems without Linux namespaces: each call says so.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use crate::{Confinement, Error, Exit, Layer, Loss, Sockets};

/// A confinement that is ready to start its command.
#[derive(Debug)]
pub struct Prepared {
    never: std::convert::Infallible,
}

/// What became of the command.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// Layers that were given up under best effort.
    pub lost: Vec<Loss>,
}

impl Prepared {
    /// The sockets made inside.
    pub fn take_sockets(&mut self) -> Sockets {
        match self.never {}
    }

    /// Starts the command and waits for its end.
    ///
    /// # Errors
    /// A layer that could not be built.
    pub fn run(self) -> Result<Ended, Error> {
        match self.never {}
    }
}

/// Does nothing here: what a start has used is given back as the system sees fit.
///
/// # Errors
/// Never.
pub fn forget_start() -> io::Result<()> {
    Ok(())
}

/// Says that it does nothing here.
///
/// # Errors
/// Always.
pub fn keep_in_memory(_secrets: &[std::ops::Range<usize>]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Does nothing here: there is no init process to become.
pub fn init_if_requested() {}

/// Does nothing here: a process does not learn of its parent's end.
pub fn ends_with_parent(_command: &mut std::process::Command) {}

/// Builds a confinement.
///
/// # Errors
/// Always: the native bottle needs Linux.
pub fn spawn(_confinement: &Confinement) -> Result<Prepared, Error> {
    Err(Error::new(
        Layer::Platform,
        "the native bottle is made of Linux namespaces",
    )
    .remedy("run carboy on Linux, or in a Linux virtual machine"))
}

/// Where a redirected connection was really going; nothing is redirected here.
///
/// # Errors
/// None here.
pub fn original_destination(_socket: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    Ok(None)
}

/// Whether any of standard input, output and error is a terminal.
#[must_use]
pub fn terminal_attached() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Whether this process has put its terminal in raw mode.
#[must_use]
pub fn terminal_is_raw() -> bool {
    false
}

/// Whether the command reads its terminal key by key.
#[must_use]
pub fn terminal_is_drawn_on() -> bool {
    false
}
