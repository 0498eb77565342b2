//! The terminal relay and the signals, while the command runs.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios};

use super::channel::{Channel, Order};
use super::restorer::Restorer;

/// Most bytes moved at once in either direction.
const CHUNK_BYTES: usize = 16 * 1024;

/// Bytes of one `struct signalfd_siginfo`; the first four are the signal's number.
const SIGNAL_RECORD_BYTES: usize = 128;

/// How long what is left in the terminal is waited for after the command's end. All that could
/// write to it is gone by then, so this is reached only if the reader outside is stuck.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

static RAW: AtomicBool = AtomicBool::new(false);

/// The bottle's terminal while its command runs, to ask how the command has set it.
static INSIDE: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Whether this process has put its terminal in raw mode, so that a new line needs `\r\n`.
#[must_use]
pub fn terminal_is_raw() -> bool {
    RAW.load(Ordering::Relaxed)
}

/// Whether the command reads its terminal key by key, as full-screen programs and line editors
/// do: a line that others print then spoils what it has drawn.
#[must_use]
pub fn terminal_is_drawn_on() -> bool {
    let inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
    inside
        .as_ref()
        .and_then(|terminal| rustix::termios::tcgetattr(terminal).ok())
        .is_some_and(|settings| !settings.local_modes.contains(LocalModes::ICANON))
}

/// Puts the terminal outside back as it was.
struct RawMode {
    before: Termios,
    /// Does it if this process is killed. It is let go of last.
    _restorer: Option<Restorer>,
}

impl RawMode {
    /// Leaves the terminal alone, and gives `None`, when standard input is none.
    fn enter() -> io::Result<Option<RawMode>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(&stdin)?;
        // Where there is no room for another process, `reset` puts the terminal back.
        let restorer = Restorer::start(&before).ok();
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&stdin, OptionalActions::Drain, &raw)?;
        RAW.store(true, Ordering::Relaxed);
        Ok(Some(RawMode {
            before,
            _restorer: restorer,
        }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        RAW.store(false, Ordering::Relaxed);
        // If the terminal is gone there is nothing to put back.
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.before).ok();
    }
}

/// The bottle's terminal, seen from outside.
struct Terminal {
    inside: OwnedFd,
    /// Whether what is typed outside goes in.
    input: bool,
    /// What was typed and has not gone in yet.
    pending: Vec<u8>,
    open: bool,
    _raw: Option<RawMode>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        *INSIDE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Moves bytes and signals between carboy's surroundings and the bottle.
pub(super) struct Relay<'a> {
    terminal: Option<Terminal>,
    signals: &'a OwnedFd,
    control: &'a Channel,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        terminal: Option<OwnedFd>,
        signals: &'a OwnedFd,
        control: &'a Channel,
    ) -> io::Result<Relay<'a>> {
        let terminal = terminal.map(Terminal::new).transpose()?;
        Ok(Relay {
            terminal,
            signals,
            control,
        })
    }

    /// Works until the init process has something to say, or is gone.
    pub(super) fn until_report(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                self.pass_signals()?;
            }
            if let Some(terminal) = &mut self.terminal {
                terminal.work(&ready);
            }
            self.let_go_if_ended();
            if ready.control {
                return Ok(());
            }
        }
    }

    /// Shows what is left in the terminal after the command's end.
    pub(super) fn finish(&mut self) {
        let deadline = Instant::now() + DRAIN_TIME_MAX;
        while let Some(terminal) = self.terminal.as_mut() {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut watched = [PollFd::new(&terminal.inside, PollFlags::IN)];
            let timeout = Timespec::try_from(left).ok();
            match rustix::event::poll(&mut watched, timeout.as_ref()) {
                Ok(0) => return,
                Ok(_) => terminal.show(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
            self.let_go_if_ended();
        }
    }

    /// Closes the bottle's terminal once either side of it is gone. To what is left inside that
    /// is a hang-up, as it would be without a bottle.
    fn let_go_if_ended(&mut self) {
        if self
            .terminal
            .as_ref()
            .is_some_and(|terminal| !terminal.open)
        {
            self.terminal = None;
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let stdin = io::stdin();
        let mut watched = vec![
            PollFd::new(self.control, PollFlags::IN),
            PollFd::new(self.signals, PollFlags::IN),
        ];
        if let Some(terminal) = &self.terminal {
            let mut interest = PollFlags::IN;
            interest.set(PollFlags::OUT, !terminal.pending.is_empty());
            watched.push(PollFd::new(&terminal.inside, interest));
            if terminal.input && terminal.pending.is_empty() {
                watched.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        match rustix::event::poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
        let events: Vec<PollFlags> = watched.iter().map(PollFd::revents).collect();
        let at = |index: usize| events.get(index).copied().unwrap_or(PollFlags::empty());
        Ok(Ready {
            control: !at(0).is_empty(),
            signals: !at(1).is_empty(),
            output: at(2).intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            room: at(2).contains(PollFlags::OUT),
            input: !at(3).is_empty(),
        })
    }

    fn pass_signals(&mut self) -> io::Result<()> {
        let mut record = [0_u8; SIGNAL_RECORD_BYTES];
        while let Ok(SIGNAL_RECORD_BYTES) = rustix::io::read(self.signals, &mut record) {
            let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            match (&self.terminal, number) {
                (Some(terminal), libc::SIGWINCH) => terminal.resize(),
                (None, libc::SIGWINCH) => {}
                // A bottle that has just ended does not hear it; its report comes next.
                _ => drop(self.control.send(&Order::Signal(number), &[])),
            }
        }
        Ok(())
    }
}

/// What there is to do.
struct Ready {
    control: bool,
    signals: bool,
    output: bool,
    room: bool,
    input: bool,
}

impl Terminal {
    fn new(inside: OwnedFd) -> io::Result<Terminal> {
        let flags = rustix::fs::fcntl_getfl(&inside)?;
        rustix::fs::fcntl_setfl(&inside, flags | OFlags::NONBLOCK)?;
        let outside = io::stdin();
        if outside.is_terminal() {
            // The new terminal starts with the settings of the one outside (erase key, UTF-8).
            let settings = rustix::termios::tcgetattr(&outside)?;
            rustix::termios::tcsetattr(&inside, OptionalActions::Now, &settings)?;
        }
        *INSIDE.lock().unwrap_or_else(PoisonError::into_inner) = Some(inside.try_clone()?);
        let raw = RawMode::enter()?;
        let input = raw.is_some();
        let terminal = Terminal {
            inside,
            input,
            pending: Vec::new(),
            open: true,
            _raw: raw,
        };
        terminal.resize();
        Ok(terminal)
    }

    /// Gives the bottle's terminal the size of the one outside.
    fn resize(&self) {
        let size = with_outside(|outside| rustix::termios::tcgetwinsize(outside).ok());
        if let Some(size) = size.flatten() {
            // A terminal that cannot be resized keeps its size.
            rustix::termios::tcsetwinsize(&self.inside, size).ok();
        }
    }

    fn work(&mut self, ready: &Ready) {
        if ready.output {
            self.show();
        }
        if ready.input {
            self.take();
        }
        if ready.room || !self.pending.is_empty() {
            self.give();
        }
    }

    /// From the bottle to the outside.
    fn show(&mut self) {
        let mut buffer = [0; CHUNK_BYTES];
        match rustix::io::read(&self.inside, &mut buffer) {
            Ok(length) if length > 0 => {
                let shown = with_outside(|outside| write_all(outside, &buffer[..length]));
                self.open = shown == Some(true);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // End of file, or EIO: not even process 1 has the terminal open any more.
            Ok(_) | Err(_) => self.open = false,
        }
    }

    /// What was typed outside.
    fn take(&mut self) {
        let mut buffer = [0; CHUNK_BYTES];
        match rustix::io::read(io::stdin(), &mut buffer) {
            Ok(length) if length > 0 => self.pending.extend_from_slice(&buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => self.input = false,
        }
    }

    /// Into the bottle, as much as its terminal has room for.
    fn give(&mut self) {
        match rustix::io::write(&self.inside, &self.pending) {
            Ok(length) => drop(self.pending.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pending.clear(),
        }
    }
}

/// Calls `act` with the first of standard output, error and input that is a terminal.
fn with_outside<T>(act: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    if stdout.is_terminal() {
        Some(act(stdout.as_fd()))
    } else if stderr.is_terminal() {
        Some(act(stderr.as_fd()))
    } else if stdin.is_terminal() {
        Some(act(stdin.as_fd()))
    } else {
        None
    }
}

/// Whether all of `bytes` could be written.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Somebody made the terminal non-blocking; wait for room.
                rustix::event::poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None).ok();
            }
            Err(_) => return false,
        }
    }
    true
}
