//! From what the user asked for, to a plan that can be printed, to a running bottle.
//!
//! [`plan`] is pure: it turns a [`Spec`] and the [`HostFacts`] into a [`Plan`], which prints as
//! text or JSON. [`launch`] carries it out, starts the gate through the caller's function, and
//! blocks until the command has ended.
#![forbid(unsafe_code)]

mod environment;
mod error;
mod files;
mod host;
mod launch;
mod plan;
mod spec;
mod toolchains;
mod trust;
mod workspace;

pub use carboy_sandbox::{DNS_PORT, Exit, GATE_PORT, Layer, Loss, Sockets};
pub use carboy_sandbox::{
    ends_with_parent, forget_start, init_if_requested, keep_in_memory, original_destination,
};
pub use carboy_sandbox::{terminal_is_drawn_on, terminal_is_raw};
pub use environment::{CA_BUNDLE, PROXY_URL, Variable, environment, plain_environment};
pub use error::Error;
pub use host::{HostFacts, SearchDir, Starters};
pub use launch::{Outcome, launch};
pub use plan::{Plan, plan};
pub use spec::{Spec, Workspace, WorkspaceMode};

#[cfg(test)]
mod tests;
