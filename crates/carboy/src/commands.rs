//! One module a command.

mod approvals;
mod ca;
mod canary;
mod check;
mod completions;
mod demo;
mod mcp;
mod policy;
mod proxy;
mod receipts;
mod run;
mod scan;
#[cfg(target_os = "linux")]
mod selftest;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::outcome::Outcome;
use crate::output;
#[cfg(target_os = "linux")]
use crate::probe;

/// Does what the command line asks.
pub(crate) fn dispatch(cli: Cli) -> Result<Outcome> {
    match cli.command {
        Command::Completions { shell } => completions::script(shell),
        Command::Man { dir } => completions::manual(dir.as_deref()),
        Command::Version => {
            output::line(format_args!("carboy {}", env!("CARGO_PKG_VERSION")))?;
            Ok(Outcome::Clean)
        }
        #[cfg(target_os = "linux")]
        Command::Selftest(args) => selftest::run(&args),
        Command::Approvals { command } => approvals::run(command.as_ref()),
        Command::Ca(command) => ca::run(&command),
        Command::Canary(command) => canary::run(&command),
        Command::Check(args) => check::run(&args),
        Command::Mcp(command) => mcp::run(&command),
        Command::Scan(args) => scan::run(&args),
        Command::Policy(command) => policy::run(&command),
        Command::Proxy(args) => proxy::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoScenes {
            allowed,
            denied,
            direct,
        } => {
            demo::play(&allowed, &denied, direct)?;
            Ok(Outcome::Clean)
        }
        Command::Receipts(command) => receipts::run(&command),
        #[cfg(target_os = "linux")]
        Command::Probe { only } => {
            probe::run(only.as_deref())?;
            Ok(Outcome::Clean)
        }
        Command::Run(args) => run::run(&args),
        #[cfg(not(target_os = "linux"))]
        Command::Selftest(_) | Command::Probe { .. } => anyhow::bail!(
            "a selftest tries to get out of a native bottle, which needs Linux: run carboy there"
        ),
    }
}
