//! Attempts on files outside the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Plan, Probe, Seen, blocked, not_tested, passed, stopped};

pub(super) fn probes() -> Vec<Probe> {
    vec![
        stopped("home-read", "read a file in the hidden home", |plan, _| {
            home(plan, Path::new("/"))
        }),
        stopped(
            "home-read-proc-root",
            "read it through /proc/1/root",
            |plan, _| home(plan, Path::new("/proc/1/root")),
        ),
        stopped(
            "write-outside",
            "write outside the workspace",
            write_outside,
        ),
    ]
}

fn home(plan: &Plan, root: &Path) -> Seen {
    let Some(file) = &plan.home_file else {
        return not_tested("the home directory could not be written");
    };
    let inside: PathBuf = root.join(file.strip_prefix("/").unwrap_or(file));
    match fs::read_to_string(inside) {
        Ok(content) => passed(content),
        Err(error) => blocked(error),
    }
}

/// A bottle's own /tmp and home may well be written; the parent looks whether a file appeared
/// outside.
fn write_outside(plan: &Plan, id: &str) -> Seen {
    let written = plan
        .outside_files
        .iter()
        .filter(|path| fs::write(path, id).is_ok())
        .count();
    let tried = plan.outside_files.len();
    blocked(format_args!(
        "{tried} tried; {written} landed in the bottle's own copies, none outside"
    ))
}
