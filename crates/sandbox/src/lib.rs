//! Confinement of one process on this machine.
//!
//! The parent describes a [`Confinement`], [`spawn`]s its init process, hands the [`Sockets`]
//! that come out of it to the gate, and then [`Prepared::run`]s the command until it ends.
//! This is the only crate of the workspace with unsafe code.

mod confinement;
mod error;
mod sockets;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
use elsewhere as platform;
#[cfg(target_os = "linux")]
use linux as platform;

pub use confinement::{Confinement, DNS_PORT, Exit, GATE_PORT, Mount, Replaced};
pub use error::{Error, Layer, Loss};
pub use platform::{
    Ended, Prepared, ends_with_parent, forget_start, init_if_requested, keep_in_memory,
    original_destination, spawn,
};
pub use platform::{terminal_attached, terminal_is_drawn_on, terminal_is_raw};
pub use sockets::Sockets;
