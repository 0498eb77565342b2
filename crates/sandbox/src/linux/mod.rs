//! Confinement by Linux namespaces, nftables, Landlock and seccomp.

mod channel;
mod command;
mod init;
mod landlocked;
mod memory;
mod netlink;
mod parent;
mod reaper;
mod redirect;
mod relay;
mod restorer;
mod root;
mod routes;
mod seccomp;
mod sys;

pub use init::init_if_requested;
pub use memory::{forget_start, keep_in_memory};
pub use parent::{Ended, Prepared, original_destination, spawn, terminal_attached};
pub use relay::{terminal_is_drawn_on, terminal_is_raw};
pub use sys::ends_with_parent;

#[cfg(test)]
mod tests;
