//! The terminal: its own inside, size, job control, and the outside's put back.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize};

use super::Case;
use crate::stage::{Stage, executable};

pub(super) const CASES: &[Case] = &[
    ("a_terminal_is_a_terminal", is_terminal),
    ("window_size_follows", window_size),
    ("job_control_works", job_control),
    ("ctrl_c_reaches_the_foreground", ctrl_c),
    ("the_terminal_outside_is_put_back", put_back),
    ("a_kill_puts_the_terminal_outside_back", put_back_by_another),
    ("a_closed_terminal_opens_again", reopen),
    ("a_hang_up_ends_the_bottle", hang_up),
    ("pipes_stay_pipes", mixed),
];

const PATIENCE: Duration = Duration::from_secs(10);

/// A bottle on a terminal of the test's own.
struct Session {
    outside: File,
    peer: OwnedFd,
    child: Child,
    seen: String,
}

impl Session {
    fn start(stage: &Stage, command: &[&str]) -> Session {
        Session::with(stage, command, |_| {})
    }

    fn with(
        stage: &Stage,
        command: &[&str],
        adjust: impl FnOnce(&mut std::process::Command),
    ) -> Session {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outside = rustix::pty::openpt(flags).expect("a terminal");
        rustix::pty::unlockpt(&outside).expect("a terminal");
        let peer = rustix::pty::ioctl_tiocgptpeer(&outside, flags).expect("a terminal");
        let size = Winsize {
            ws_row: 33,
            ws_col: 99,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&outside, size).expect("a size");
        let mut launcher = stage.command("setsid");
        let state = stage.state().to_string_lossy().into_owned();
        launcher.arg("-c").arg("-w").arg(executable());
        launcher
            .args(["bottle", "--state", &state, "--"])
            .args(command);
        let copy = || Stdio::from(peer.try_clone().expect("a copy"));
        launcher.stdin(copy()).stdout(copy()).stderr(copy());
        adjust(&mut launcher);
        let child = launcher.spawn().expect("a launcher");
        drop(launcher);
        Session {
            outside: File::from(outside),
            peer,
            child,
            seen: String::new(),
        }
    }

    fn type_in(&mut self, text: &str) {
        self.outside.write_all(text.as_bytes()).expect("room");
    }

    /// Reads until `text` appears in what has not been waited for yet.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.seen);
            let mut watched = [PollFd::new(&self.outside, PollFlags::IN)];
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            if rustix::event::poll(&mut watched, Some(&wait)).expect("a poll") > 0 {
                let mut bytes = [0; 4096];
                let length = self.outside.read(&mut bytes).expect("output");
                self.seen
                    .push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        }
    }

    /// The exit code, once the session has ended.
    #[track_caller]
    fn end(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "no end after {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A session that ended as it should has no process any more.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn is_terminal(stage: &Stage) {
    let mut session = Session::start(
        stage,
        &[
            "bash",
            "-c",
            "test -t 0 -a -t 1 -a -t 2 && tty && stty size && echo hi >/dev/tty; exit 5",
        ],
    );
    session.wait_for("/dev/pts/0\r\n33 99\r\nhi\r\n");
    assert_eq!(session.end(), Some(5));
}

fn window_size(stage: &Stage) {
    let script = "trap 'stty size; exit 6' WINCH; echo up; while :; do sleep 0.05; done";
    let mut session = Session::start(stage, &["bash", "-c", script]);
    session.wait_for("up");
    let size = Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&session.outside, size).expect("a size");
    session.wait_for("40 120");
    assert_eq!(session.end(), Some(6));
}

fn job_control(stage: &Stage) {
    let shell = "PS1='ready> ' exec bash --norc --noprofile --noediting -i";
    let mut session = Session::start(stage, &["bash", "-c", shell]);
    session.wait_for("ready> ");
    session.type_in("cat\r");
    session.wait_for("cat\r\n");
    session.type_in("hello\r");
    session.wait_for("hello\r\nhello\r\n");
    session.type_in("\u{1a}");
    session.wait_for("Stopped");
    session.wait_for("ready> ");
    session.type_in("jobs; fg\r");
    // `jobs` names it, then `fg` does, and then it runs.
    session.wait_for("Stopped");
    session.wait_for("cat\r\n");
    session.wait_for("cat\r\n");
    session.type_in("again\r");
    session.wait_for("again\r\nagain\r\n");
    session.type_in("\u{4}");
    session.wait_for("ready> ");
    session.type_in("exit 3\r");
    assert_eq!(session.end(), Some(3));
}

fn ctrl_c(stage: &Stage) {
    let mut session = Session::start(
        stage,
        &[
            "bash",
            "-c",
            "trap 'echo caught; exit 4' INT; echo up; while :; do sleep 0.05; done",
        ],
    );
    session.wait_for("up");
    session.type_in("\u{3}");
    session.wait_for("caught");
    assert_eq!(session.end(), Some(4));
}

fn put_back(stage: &Stage) {
    let mut session = Session::start(
        stage,
        &["bash", "-c", "stty raw -echo; echo up; read -n1; exit 0"],
    );
    session.wait_for("up");
    let raw = rustix::termios::tcgetattr(&session.peer).expect("settings");
    assert!(
        !raw.local_modes.contains(LocalModes::ICANON),
        "raw while it runs"
    );
    session.type_in("x");
    session.child.wait().expect("an end");
    let after = rustix::termios::tcgetattr(&session.peer).expect("settings");
    assert!(
        after
            .local_modes
            .contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    );
}

fn put_back_by_another(stage: &Stage) {
    let mut session = Session::start(stage, &["bash", "-c", "echo up; read line"]);
    session.wait_for("up");
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    let is_cooked = |session: &Session| {
        let settings = rustix::termios::tcgetattr(&session.peer).expect("settings");
        settings.local_modes.contains(cooked)
    };
    assert!(!is_cooked(&session), "raw while it runs");
    session.child.kill().expect("a kill");
    session.child.wait().expect("an end");
    let deadline = Instant::now() + PATIENCE;
    while !is_cooked(&session) {
        assert!(Instant::now() < deadline, "it stayed raw");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn reopen(stage: &Stage) {
    let script = "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo back >/dev/pts/0";
    let mut session = Session::start(stage, &["bash", "-c", script]);
    session.wait_for("back");
    assert_eq!(session.end(), Some(0));
}

fn hang_up(stage: &Stage) {
    let mut session = Session::start(stage, &["bash", "-c", "echo up; read line; sleep 1000"]);
    session.wait_for("up");
    let nothing = || File::open("/dev/null").expect("a file");
    session.outside = nothing();
    session.peer = nothing().into();
    assert_eq!(session.end(), Some(128 + 1), "SIGHUP is signal 1");
}

fn mixed(stage: &Stage) {
    let command = [
        "sh",
        "-c",
        "test -t 0 || echo pipe in >&2; test -t 1 && echo tty out; cat",
    ];
    let mut session = Session::with(stage, &command, |launcher| {
        launcher.stderr(Stdio::piped());
    });
    session.wait_for("tty out");
    session.type_in("typed\r");
    session.wait_for("typed\r\ntyped");
    session.type_in("\u{4}");
    assert_eq!(session.end(), Some(0));
}
