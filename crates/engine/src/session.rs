//! What is remembered about one agent across crossings.

use std::sync::Mutex;

/// One agent's memory: rates, budgets and counts, behind a lock of its own so that scanning never
/// waits for another crossing's.
#[derive(Debug, Default)]
pub struct Session {
    _state: Mutex<()>,
}
