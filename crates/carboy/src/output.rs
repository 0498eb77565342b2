//! What people and programs read: standard output for results, standard error for the rest.

use std::env;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Prints text to standard output, as it is.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// Prints one line to standard output.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    print(format_args!("{text}\n"))
}

/// Prints a value as indented JSON to standard output.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Prints one line to standard error. A closed standard error is nobody's concern.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "carboy: {text}");
}

/// Writes a document for programs to standard error, in one line.
pub(crate) fn side_document(document: &serde_json::Value) {
    let _ = writeln!(io::stderr().lock(), "{document}");
}

/// A number of crossings and of refusals, in words.
pub(crate) fn counts(crossings: u64, refusals: u64) -> String {
    let plural = if crossings == 1 { "" } else { "s" };
    format!("{crossings} crossing{plural}, {refusals} refused")
}

/// Prints an error and its causes to standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let label = Paint::on(&io::stderr()).red("error");
    let _ = writeln!(io::stderr().lock(), "carboy: {label}: {error:#}");
}

/// Whether an error says that the reader of our output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Colours, where they are wanted: on a terminal, unless `NO_COLOR` is set (no-color.org).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    /// Colours for a stream.
    pub(crate) fn on(stream: &impl IsTerminal) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            enabled: stream.is_terminal() && !refused && !dumb,
        }
    }

    /// For what went wrong.
    pub(crate) fn red<T: Display>(self, text: T) -> Painted<T> {
        self.with("31", text)
    }

    /// For what went well.
    pub(crate) fn green<T: Display>(self, text: T) -> Painted<T> {
        self.with("32", text)
    }

    /// For what deserves a look.
    pub(crate) fn yellow<T: Display>(self, text: T) -> Painted<T> {
        self.with("33", text)
    }

    fn with<T: Display>(self, code: &'static str, text: T) -> Painted<T> {
        Painted {
            code: self.enabled.then_some(code),
            text,
        }
    }
}

/// A text with its colour.
pub(crate) struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}
