//! Measures the injection rules.

use anyhow::Result;

use crate::run::{cargo, step};

/// Prints a table of recall and false positives; without arguments, of the repository's own prompts.
///
/// # Errors
/// When the measuring program cannot be built or its input cannot be read.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = cargo(&[
        "run",
        "--locked",
        "--quiet",
        "--package",
        "carboy-engine",
        "--example",
        "detection",
        "--",
    ]);
    if arguments.is_empty() {
        command.args(["--corpus", "cases/prompts"]);
    }
    command.args(arguments);
    step("detection", command)
}
