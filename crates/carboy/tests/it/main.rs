//! The real binary, from outside: exit codes, outputs, and real clients in real bottles against
//! local servers.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where it cannot go on, and says what it skips"
)]

mod bottle;
mod bulk;
mod clients;
mod mcp;
mod mcp_config;
mod offline;
#[path = "../../src/origin.rs"]
mod origin;
mod proxy;
mod scan;
mod shows;
mod support;
mod terminal;
mod world;
