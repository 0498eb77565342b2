//! What may be judged of a call, as data: `rules/calls/tools.yaml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::finding::Severity;

/// The rules, read when the first call is judged.
pub(crate) static TOOLS: LazyLock<Tools> = LazyLock::new(|| {
    let text = include_str!("../../../../rules/calls/tools.yaml");
    serde_saphyr::from_str(text).expect("the rules are tested to parse")
});

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    /// Words of tools' names, and of what is said of them, by what such a tool does.
    pub(crate) families: BTreeMap<Family, Telling>,
    /// Names of arguments, by what they hold.
    pub(crate) arguments: BTreeMap<Role, Vec<String>>,
    /// Classes of paths.
    pub(crate) paths: BTreeMap<String, PathClass>,
    /// What commands do to files.
    pub(crate) effects: Vec<Effect>,
    pub(crate) rules: Vec<ToolRule>,
}

/// What a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    Execute,
    Delete,
    Write,
    Network,
    Read,
    List,
}

/// How a family is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telling {
    /// Words of the name.
    pub(crate) words: Vec<String>,
    /// Phrases of the description.
    pub(crate) said: Vec<String>,
}

/// What an argument holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// A command line, or its words.
    Command,
    /// The arguments after a command's name.
    Words,
    /// A script in a programming language.
    Code,
    Path,
    /// Where something is copied or moved to.
    Destination,
    Url,
    /// Where the command runs.
    Directory,
    /// What is to be done: `create`, `delete`.
    Verb,
    /// What is written, said or looked for.
    Text,
}

/// A class of paths.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PathClass {
    pub(crate) are: Vec<String>,
    pub(crate) not: Vec<String>,
}

/// What a command does to which of its words.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Effect {
    pub(crate) run: Vec<String>,
    /// Only with these flags, as in [`Clause`].
    pub(crate) flags: Vec<String>,
    /// Flags whose value is the next word, and so no operand.
    pub(crate) valued: Vec<String>,
    /// Whether its words are only said, or looked for: it goes nowhere that they name.
    pub(crate) says: bool,
    pub(crate) reads: Vec<Place>,
    pub(crate) writes: Vec<Place>,
    pub(crate) deletes: Vec<Place>,
}

/// Which words of a command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) enum Place {
    Operands,
    First,
    Last,
    ButLast,
    AfterFirst,
    /// What follows a word's beginning: `of=`, `@`.
    Prefix(String),
    /// The value of a flag.
    Flag(String),
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        match &*text {
            "operands" => Self::Operands,
            "first" => Self::First,
            "last" => Self::Last,
            "but-last" => Self::ButLast,
            "after-first" => Self::AfterFirst,
            flag if flag.starts_with('-') => Self::Flag(text),
            _ => Self::Prefix(text),
        }
    }
}

/// One rule of what calls may not do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolRule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Grade,
    pub(crate) action: Usual,
    /// One of which must hold.
    pub(crate) any: Vec<Clause>,
    /// What it must and must not match. Only the tests read them.
    #[cfg_attr(not(test), allow(dead_code, reason = "only the tests read them"))]
    pub(crate) matches: Vec<Example>,
    #[cfg_attr(not(test), allow(dead_code, reason = "only the tests read them"))]
    pub(crate) rejects: Vec<Example>,
}

/// How bad a true match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    Low,
    Medium,
    High,
    Critical,
}

impl From<Grade> for Severity {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Low => Self::Low,
            Grade::Medium => Self::Medium,
            Grade::High => Self::High,
            Grade::Critical => Self::Critical,
        }
    }
}

/// What becomes of a match where the policy does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Usual {
    Block,
    Warn,
}

/// What one command or call must do. All that is said must hold; of a list, one.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Clause {
    /// Patterns of the command's name. Functions of programming languages end with `()`.
    pub(crate) run: Vec<String>,
    /// How its operands begin: `push`, `reflog expire`.
    pub(crate) first: Vec<String>,
    /// Each of which it has; `r|recursive` is either.
    pub(crate) flags: Vec<String>,
    /// None of which it has.
    pub(crate) without: Vec<String>,
    /// Patterns of words.
    pub(crate) words: Vec<String>,
    /// Whether it has no operand.
    pub(crate) bare: bool,
    /// Classes of paths.
    pub(crate) reads: Vec<String>,
    pub(crate) writes: Vec<String>,
    pub(crate) deletes: Vec<String>,
    /// Classes of paths of any operand.
    pub(crate) operands: Vec<String>,
    /// Patterns of hosts that it names.
    pub(crate) hosts: Vec<String>,
    /// None of which it names, though it names one.
    pub(crate) not_hosts: Vec<String>,
    /// Names of commands whose output it takes.
    pub(crate) fed_by: Vec<String>,
    /// Names of commands that run in the same call.
    pub(crate) with: Vec<String>,
    /// Whether nothing waits for it.
    pub(crate) background: bool,
    /// Whether it is run by its path.
    pub(crate) by_path: bool,
    /// Whether the tool does it itself, and no command.
    pub(crate) itself: bool,
}

/// A command line, or a whole call.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(not(test), allow(dead_code, reason = "only the tests read them"))]
pub(crate) enum Example {
    Command(String),
    Call(BTreeMap<String, serde_json::Value>),
}
