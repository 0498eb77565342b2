//! What is wrong with a policy file, where, and what was probably meant.

use std::fmt;

use serde_saphyr::{Error, Location};

/// Everything found wrong with a policy file, one problem a line when displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<Problem>,
}

/// One thing wrong with a policy file.
///
/// Displayed as `file:line:column: what; suggestion`, lines and columns from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given.
    pub file: Box<str>,
    /// The line, from 1; 0 where it is not known.
    pub line: u64,
    /// The column, from 1; 0 where it is not known.
    pub column: u64,
    /// What is wrong.
    pub what: String,
    /// What to write instead, such as ``did you mean `egress`?``.
    pub suggestion: Option<String>,
}

impl PolicyError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Each problem; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// From what the YAML reader says.
    pub(super) fn from_yaml(error: &Error, file: &str) -> Self {
        let error = error.without_snippet();
        let (what, suggestion) = explain(error);
        let location = error.location().unwrap_or(Location::UNKNOWN);
        Self::new(vec![Problem::new(file, location, what, suggestion)])
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Problem {
    pub(super) fn new(
        file: &str,
        location: Location,
        what: impl Into<String>,
        suggestion: Option<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line: location.line(),
            column: location.column(),
            what: what.into(),
            suggestion,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

fn explain(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let what = format!("unknown key `{field}`");
            (
                what,
                did_you_mean(field, expected).or_else(|| listed("the keys here are", expected)),
            )
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            let what = format!("`{variant}` is not one of the choices");
            (
                what,
                did_you_mean(variant, expected).or_else(|| listed("choose", expected)),
            )
        }
        Error::SerdeMissingField { field, .. } if *field == "version" => {
            let suggestion = "begin the file with `version: 1`".to_owned();
            ("the key `version` is missing".to_owned(), Some(suggestion))
        }
        Error::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing"), None),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            let suggestion = "merge the two".to_owned();
            (format!("the key `{key}` stands twice"), Some(suggestion))
        }
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => (
            format!("{unexpected} stands where {expected} is wanted"),
            None,
        ),
        other => (plain_message(other), None),
    }
}

/// The reader's own words on one line, without the place, which is printed before them.
fn plain_message(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

fn listed(lead: &str, expected: &[&str]) -> Option<String> {
    (!expected.is_empty()).then(|| format!("{lead} {}", expected.join(", ")))
}

/// ``did you mean `X`?`` for the nearest of `known`, if one is near.
pub(super) fn did_you_mean<S: AsRef<str>>(text: &str, known: &[S]) -> Option<String> {
    let near = |name: &S| (edit_distance(text, name.as_ref()), name.as_ref().to_owned());
    let (distance, name) = known.iter().map(near).min()?;
    let close = distance <= (text.len() / 3).max(1)
        || (text.len() >= 4 && (name.starts_with(text) || text.starts_with(&name)));
    close.then(|| format!("did you mean `{name}`?"))
}

/// Levenshtein distance, `-` and `_` alike, both texts cut to a length no key has.
fn edit_distance(left: &str, right: &str) -> usize {
    const CHARS_MAX: usize = 64;
    let fold = |text: &str| -> Vec<char> {
        let lower = text.chars().take(CHARS_MAX).flat_map(char::to_lowercase);
        lower.map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (left, right) = (fold(left), fold(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
