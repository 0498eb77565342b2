//! Clients' configuration files, and the servers that they name.

mod clients;
mod document;
mod install;
mod remote;
mod scan;
mod secrets;
mod start;

pub(super) use install::{install, uninstall};
pub(super) use scan::scan;
