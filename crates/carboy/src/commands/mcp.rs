//! `carboy mcp`: servers of the model context protocol.

mod config;
mod connect;
mod far_end;
mod headers;
mod proxy;
mod server_name;
mod tools;
mod wrap;

pub(super) use tools::visible;

use anyhow::Result;

use crate::cli::McpCommand;
use crate::outcome::Outcome;

/// Does what the command line asks.
pub(crate) fn run(command: &McpCommand) -> Result<Outcome> {
    match command {
        McpCommand::Wrap(args) => wrap::run(args),
        McpCommand::Proxy(args) => proxy::run(args),
        McpCommand::Connect(args) => connect::run(args),
        McpCommand::Tools(command) => tools::run(command),
        McpCommand::Scan(args) => config::scan(args),
        McpCommand::Install(args) => config::install(args),
        McpCommand::Uninstall(args) => config::uninstall(args),
    }
}
