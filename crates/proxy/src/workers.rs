//! Threads that serve connections.
//!
//! Each has a runtime of its own, and a connection stays with the one that it came to: waking another
//! thread for each piece of an exchange costs more than the balance is worth.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use carboy_engine::Durability;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use crate::limits::SYNC_THREADS_MAX;

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
    /// Starts `count` workers, at least one, for a gate whose receipts are `durability` safe. Where they wait
    /// for the disk, the crossings that do not wait go on meanwhile: a worker then has further threads.
    ///
    /// # Errors
    /// When the system refuses a thread or what its runtime needs.
    pub fn start(count: usize, durability: Durability) -> io::Result<Self> {
        (0..count.max(1))
            .map(|_| Worker::start(durability))
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

    fn start(durability: Durability) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let ended = thread::Builder::new().name("gate".into()).spawn(move || {
            let runtime = match runtime(durability) {
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

/// One thread that runs all tasks; with `synced` receipts, one that leaves its tasks to another while it
/// waits for the disk.
fn runtime(durability: Durability) -> io::Result<Runtime> {
    match durability {
        Durability::Buffered | Durability::Written => {
            Builder::new_current_thread().enable_all().build()
        }
        Durability::Synced => Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(SYNC_THREADS_MAX)
            .thread_name("gate")
            .enable_all()
            .build(),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// While a crossing waits for the disk, which is told here when to be done, another goes on.
    #[test]
    fn a_wait_for_the_disk_holds_no_other_crossing() {
        let workers = Workers::start(1, Durability::Synced).unwrap();
        let (handle, _place) = workers.place();
        let (done, disk) = mpsc::channel::<()>();
        let (told, other) = mpsc::channel();
        let waiting = handle.spawn(async move {
            // Begun on the worker's own thread, before what it waits for.
            tokio::spawn(async move { told.send(()).unwrap() });
            crate::evidence::blocking(|| disk.recv()).unwrap();
        });
        let went_on = other.recv_timeout(Duration::from_secs(20));
        done.send(()).unwrap();
        assert_eq!(went_on, Ok(()));
        handle.block_on(waiting).unwrap();
    }
}
