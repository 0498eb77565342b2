//! The repository's own chores: `cargo xtask ci`, `cargo xtask bench`, `cargo xtask detection`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

mod bench;
mod ci;
mod detection;
mod letters;
mod purity;
mod run;
mod tests;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask CHORE

  ci       everything that must hold before a change lands; ends with `N passed, 0 failed`
  bench    measure the release binary beside direct: all, or the groups named
           (http, connect, gib, memory, start)
  detection
           how many attacks and how much honest text the injection rules refuse or record: of
           cases/prompts, or as told (--corpus DIR, --honest DIR, --half tune|held, --misses)
  letters  count which letters follow each other in the names and documents below directories,
           for the table by which the engine tells names from encoded data
  purity   prove the boundaries that ARCHITECTURE.md names
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(),
        ["bench", ..] => bench::run(&arguments[1..]),
        ["detection", ..] => detection::run(&arguments[1..]),
        ["letters", ..] => letters::run(&arguments[1..]),
        ["purity"] => purity::run(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
