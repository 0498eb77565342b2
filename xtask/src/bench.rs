//! The benches of the whole program.

use anyhow::Result;

use crate::run::{cargo, step};

/// Builds the release binary and measures it beside direct; prints the table.
///
/// `groups` narrows what is measured; without any, the crates' own benches run too.
///
/// # Errors
/// When something cannot be built, started or measured.
pub(crate) fn run(groups: &[String]) -> Result<()> {
    if groups.is_empty() {
        for krate in ["carboy-engine", "carboy-receipt"] {
            step(
                krate,
                cargo(&["bench", "--locked", "--package", krate, "--benches"]),
            )?;
        }
    }
    let mut gate = cargo(&[
        "bench",
        "--locked",
        "--package",
        "carboy",
        "--bench",
        "gate",
        "--",
    ]);
    gate.args(groups);
    step("the gate beside direct", gate)?;
    if groups.is_empty() {
        let scan = [
            "bench",
            "--locked",
            "--package",
            "carboy",
            "--bench",
            "scan",
        ];
        step("a tree scanned beside read", cargo(&scan))?;
    }
    Ok(())
}
