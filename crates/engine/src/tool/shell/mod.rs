//! What a shell would run: the simple commands of a script, as they are after expansion.
//!
//! No crate fits: the parsers of whole shells build syntax trees without expanding them, recurse without
//! bound, or are not ours to link. What is read here is what hides a command: quotes, escapes, variables,
//! braces, substitutions, here-documents, pipes, prefixes and interpreters. What is not known before a
//! script runs, such as the output of a program, stays [`UNKNOWN`].

mod expand;
mod lex;
mod output;
mod run;
#[cfg(test)]
mod tests;
mod unwrap;
mod word;

use std::ops::Range;

pub(super) use output::base64;
pub(crate) use run::read;
pub(super) use unwrap::{base_name, wide_base64};

/// Stands for what is known only when the script runs. No one types it: OBJECT REPLACEMENT CHARACTER.
pub(crate) const UNKNOWN: char = '\u{FFFC}';

/// The longest script that is read. Tools are called with less; more is refused.
const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Bytes of script that are read in all, those of inner scripts and loops' rounds again.
const WORK_BYTES_MAX: usize = 2 << 20;
/// Bytes that expansions make in all: `a=$b$b; b=$a$a` doubles with each step.
const EXPANDED_BYTES_MAX: usize = 1 << 20;
/// Commands that one script may come to.
const COMMANDS_MAX: usize = 4096;
/// Scripts within scripts, and groups within groups. People nest a handful.
const DEPTH_MAX: usize = 24;
/// Commands of one pipeline. People join a handful.
const STAGES_MAX: usize = 64;
/// Words that one brace expression may make.
const BRACES_MAX: usize = 256;
/// Rounds of all loops together that are read one by one; one more reads the rest.
const ROUNDS_MAX: usize = 64;

/// The commands that a script runs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Script {
    /// In the order in which they stand; an inner script's follow the command that runs it.
    pub(crate) commands: Vec<Command>,
    /// What feeds what.
    pub(crate) pipes: Vec<Pipe>,
    /// Whether a limit cut the reading short, so that there may be more.
    pub(crate) is_cut: bool,
}

/// One simple command.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The name as it was written, and the arguments. Never empty.
    pub(crate) words: Vec<String>,
    /// Files that it is redirected to and from.
    pub(crate) redirects: Vec<Redirect>,
    /// Whether the script goes on without waiting for it.
    pub(crate) is_background: bool,
    /// Whether it runs a file that the same script wrote.
    pub(crate) is_written: bool,
}

/// One file that a command is redirected to or from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) way: Way,
    pub(crate) path: String,
}

/// Which way a redirection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `<`
    In,
    /// `>`, `>>` and their kin.
    Out,
}

/// The output of some commands is the input, or an argument, of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pipe {
    pub(crate) from: Range<usize>,
    pub(crate) to: Range<usize>,
}

impl Script {
    /// The commands whose output a command takes.
    pub(crate) fn feeding(&self, at: usize) -> impl Iterator<Item = &Command> {
        let pipes = self.pipes.iter().filter(move |pipe| pipe.to.contains(&at));
        pipes.flat_map(|pipe| self.commands.get(pipe.from.clone()).unwrap_or_default())
    }

    /// Adds what another script of the same call runs.
    pub(crate) fn extend(&mut self, other: Script) {
        let by = self.commands.len();
        let moved = |range: Range<usize>| range.start + by..range.end + by;
        self.pipes.extend(other.pipes.into_iter().map(|pipe| Pipe {
            from: moved(pipe.from),
            to: moved(pipe.to),
        }));
        self.commands.extend(other.commands);
        self.is_cut |= other.is_cut;
    }
}
