//! Threads that serve connections.
//!
//! Each has a runtime of its own, and a connection stays with the one that it came to: waking another
//! thread for each piece of an exchange costs more than the balance is worth.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads that connections are spread over. Dropped, they end with all that runs on them.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// One connection's place with a worker.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// When the system refuses a thread or what its runtime needs.
    pub fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1))
            .map(|_| Worker::start())
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The runtime that calls, as the only worker.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn here() -> Self {
        Self(vec![Worker::of(Handle::current(), None)])
    }

    /// A place with the worker that has the fewest connections.
    pub(crate) fn place(&self) -> (&Handle, Place) {
        let least = self
            .0
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed))
            .expect("there is at least one worker");
        least.load.fetch_add(1, Ordering::Relaxed);
        (&least.handle, Place(Arc::clone(&least.load)))
    }
}

impl Worker {
    fn of(handle: Handle, thread: Option<Thread>) -> Self {
        Self {
            handle,
            load: Arc::default(),
            thread,
        }
    }

    fn start() -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let ended = thread::Builder::new().name("gate".into()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(runtime.handle().clone())));
            // A dropped sender says the same.
            let _ = runtime.block_on(stopped);
        })?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok(Self::of(handle, Some(Thread { stop, ended })))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let threads: Vec<_> = self
            .0
            .iter_mut()
            .filter_map(|worker| worker.thread.take())
            .collect();
        let ending: Vec<_> = threads
            .into_iter()
            .map(|Thread { stop, ended }| {
                drop(stop);
                ended
            })
            .collect();
        for thread in ending {
            // A panic there was reported by its own hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
