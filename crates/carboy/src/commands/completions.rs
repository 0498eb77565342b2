//! `carboy completions` and `carboy man`: derived from the command line's own definition.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::outcome::Outcome;

/// Prints a completion script.
pub(crate) fn script(shell: Shell) -> Result<Outcome> {
    // Rendered to memory first: the generator panics when its writer fails.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "carboy", &mut text);
    io::Write::write_all(&mut io::stdout().lock(), &text)?;
    Ok(Outcome::Clean)
}

/// Prints the main manual page, or writes one page a command into `dir`.
pub(crate) fn manual(dir: Option<&Path>) -> Result<Outcome> {
    match dir {
        None => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout().lock())?,
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(Cli::command(), dir)
                .with_context(|| format!("cannot write manual pages to {}", dir.display()))?;
        }
    }
    Ok(Outcome::Clean)
}
