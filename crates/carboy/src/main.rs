//! Runs an AI agent in a sealed bottle.
//!
//! The binary reads the command line and the configuration, wires the other crates together and
//! talks to people. It decides nothing itself.
#![forbid(unsafe_code)]

mod assemble;
mod canaries;
mod cli;
mod client;
mod commands;
mod keys;
mod known;
mod origin;
mod outcome;
mod output;
mod paths;
mod policies;
#[cfg(target_os = "linux")]
mod probe;
mod refusals;
mod serving;
mod stage;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

fn main() -> ExitCode {
    carboy_bottle::init_if_requested();
    let cli = Cli::parse();
    match commands::dispatch(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(outcome::SETUP_ERROR)
        }
    }
}
