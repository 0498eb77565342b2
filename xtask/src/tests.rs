//! The workspace's tests, counted.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::run::cargo;

/// What the lines of `cargo test` add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs all tests, shows their output, and returns how many passed.
///
/// # Errors
/// If a test fails, if one is ignored, or if there are none.
pub(crate) fn run() -> Result<u64> {
    println!("== tests");
    let mut child = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo test could not be started")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let mut sum = Sum::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        sum.add(&line)?;
    }
    let status = child.wait()?;
    ensure!(
        status.success() && sum.failed == 0,
        "{} tests failed ({status})",
        sum.failed
    );
    ensure!(
        sum.ignored == 0,
        "{} tests are ignored: mend or remove them",
        sum.ignored
    );
    ensure!(sum.passed > 0, "no test ran");
    Ok(sum.passed)
}

impl Sum {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`; others are passed over.
    fn add(&mut self, line: &str) -> Result<()> {
        let Some(result) = line.strip_prefix("test result: ") else {
            return Ok(());
        };
        let Some((_, counts)) = result.split_once(". ") else {
            bail!("cargo test printed a result that cannot be read: {line}");
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>()?,
                Some((number, "failed")) => self.failed += number.parse::<u64>()?,
                Some((number, "ignored")) => self.ignored += number.parse::<u64>()?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn results_add_up() {
        let mut sum = Sum::default();
        for line in [
            "running 4 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ] {
            sum.add(line).unwrap();
        }
        assert_eq!(
            sum,
            Sum {
                passed: 5,
                failed: 1,
                ignored: 1
            }
        );
        assert!(sum.add("test result: unknown").is_err());
    }
}
