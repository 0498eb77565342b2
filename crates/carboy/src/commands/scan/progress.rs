//! Says on a terminal how far a long scan has come.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::search::{Counts, Search};

/// A scan that ends within it says nothing.
const DELAY: Duration = Duration::from_secs(1);

/// How often it says more.
const INTERVAL: Duration = Duration::from_millis(200);

/// Lives as long as the scan does.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Begins, if standard error is a terminal.
    pub(crate) fn start(search: Arc<Search>) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (sender, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut wait = DELAY;
            while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(wait) {
                show(&search.counts);
                wait = INTERVAL;
            }
            if wait == INTERVAL {
                print("");
            }
        });
        Self(Some((sender, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            // It panics where standard error does; then there is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn show(counts: &Counts) {
    print(&format!(
        "carboy: {} files, {} MB, {} findings",
        Counts::of(&counts.contents),
        Counts::of(&counts.bytes) / 1_000_000,
        Counts::of(&counts.findings)
    ));
}

/// Prints over the last line.
fn print(text: &str) {
    // A closed standard error is nobody's concern.
    let _ = write!(io::stderr().lock(), "\r{text}\x1b[K");
}
