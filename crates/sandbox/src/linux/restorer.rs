//! Puts the terminal outside back when carboy is killed and cannot do it itself.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions};
use rustix::termios::{LocalModes, OptionalActions, Termios};

use super::sys;

/// A process of its own that waits for this one's end.
pub(super) struct Restorer {
    process: Pid,
    /// Closed, without a word, by this process's end.
    alive: OwnedFd,
}

impl Restorer {
    /// Starts to watch. If this process ends without having dropped the restorer, and has left
    /// standard input raw, that is set to `before`.
    pub(super) fn start(before: &Termios) -> io::Result<Restorer> {
        let (watched, alive) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        match sys::fork_beside_threads()? {
            Some(process) => Ok(Restorer { process, alive }),
            None => watch(&watched, before),
        }
    }
}

impl Drop for Restorer {
    fn drop(&mut self) {
        // If it was killed there is nobody to tell, and nothing to do about it.
        rustix::io::write(&self.alive, b".").ok();
        rustix::process::waitpid(Some(self.process), WaitOptions::empty()).ok();
    }
}

/// The other process: it makes system calls and nothing else, since other threads of the process that
/// it is a copy of may have held any lock.
fn watch(watched: &OwnedFd, before: &Termios) -> ! {
    // In a session of its own neither the terminal's signals nor its hang-up reach it, and it may
    // set the terminal from the background.
    let alone = rustix::process::setsid().map_err(io::Error::from);
    if alone.and_then(|_| sys::keep_only(watched)).is_ok() && has_ended() {
        put_back(before);
    }
    sys::exit_now(0)
}

/// Waits for the end of the process that is watched over, and tells whether it came unsaid.
fn has_ended() -> bool {
    let mut word = [0; 1];
    loop {
        match rustix::io::read(sys::kept(), &mut word) {
            Ok(length) => return length == 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Sets the terminal, unless somebody has done so already: a shell that has its terminal back sets it as
/// it likes.
fn put_back(before: &Termios) {
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    let stdin = rustix::stdio::stdin();
    let is_raw = rustix::termios::tcgetattr(stdin)
        .is_ok_and(|settings| !settings.local_modes.intersects(cooked));
    if is_raw {
        // If the terminal is gone there is nothing to put back.
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, before).ok();
    }
}
