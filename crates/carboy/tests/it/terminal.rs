//! An interactive shell in a bottle, through a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::support::{Place, Who, bottles_work};

/// No step of a session takes longer.
const STEP_MAX: Duration = Duration::from_secs(20);

/// Someone at a terminal with carboy in the foreground.
struct Session {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Session {
    fn start(place: &Place, command: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 33,
            ws_col: 77,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let carboy = place.carboy();
        // A session of its own, with the pseudo-terminal as its controlling one.
        let mut setsid = Command::new("setsid");
        setsid
            .args(["--ctty", "--wait"])
            .arg(carboy.get_program())
            .args(carboy.get_args());
        setsid
            .args(["run", "--"])
            .args(command)
            .env_clear()
            .env("TERM", "xterm");
        setsid.envs(
            carboy
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        setsid.current_dir(place.workspace());
        let stdio = |fd: &OwnedFd| fd.try_clone().unwrap();
        let child = setsid
            .stdin(stdio(&pty.slave))
            .stdout(stdio(&pty.slave))
            .stderr(pty.slave)
            .spawn()
            .unwrap();
        // The command holds the other side too while it is here.
        drop(setsid);
        let mut reader = File::from(pty.master.try_clone().unwrap());
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard: File::from(pty.master),
            screen,
            seen: String::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows `text`, and forgets everything up to it.
    #[track_caller]
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} on the screen, but {:?}", self.seen),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_interactive_shell_has_job_control_and_the_windows_size() {
    if !bottles_work(Who::Me) || !Path::new("/bin/bash").exists() {
        eprintln!("SKIPPED: no bottle or no bash here");
        return;
    }
    let place = Place::new(Who::Me);
    let mut session = Session::start(&place, &["bash", "--norc", "--noprofile", "-i"]);
    session.press("PS1='ready''> '\r");
    session.until("ready> ");
    session.press("stty size\r");
    session.until("33 77");
    session.press("sleep 1000\r");
    session.until("sleep 1000");
    thread::sleep(Duration::from_millis(300));
    session.press("\x1a");
    session.until("Stopped");
    session.press("bg; jobs; kill %1; wait; echo all-$((40+2))\r");
    session.until("all-42");
    session.press("sleep 1000\r");
    session.until("sleep 1000");
    thread::sleep(Duration::from_millis(300));
    session.press("\x03");
    session.press("echo after-$((40+3))\r");
    session.until("after-43");
    session.press("exit 9\r");
    session.until("receipts in");
    assert_eq!(session.child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_refusal_waits_while_a_program_draws_on_the_terminal() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    let script = "stty raw -echo; curl -s https://elsewhere.test/ >/dev/null; sleep 1; \
                  printf 'drawn\\r\\n'; stty sane; echo left";
    let mut session = Session::start(&place, &["sh", "-c", script]);
    session.until("drawn");
    session.until("elsewhere.test");
    session.until("1 refused");
}
