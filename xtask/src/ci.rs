//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::run::{cargo, step};
use crate::{purity, tests};

/// Runs every check, cheap ones first, and prints the sum of all tests on a line of its own.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run() -> Result<()> {
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    purity::run()?;
    let deny = [
        "deny",
        "--workspace",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    step("dependencies", cargo(&deny))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ];
    step("clippy", cargo(&clippy))?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    docs.env("RUSTDOCFLAGS", "--deny warnings");
    step("documentation", docs)?;
    let passed = tests::run()?;
    println!("{passed} passed, 0 failed");
    Ok(())
}
