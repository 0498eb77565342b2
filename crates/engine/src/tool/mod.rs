//! What tools may do: a call is read as the commands that it runs and as what they read, write, delete
//! and reach, and judged by rules that are data (`rules/calls`).
//!
//! Pure: a call in, matches out. What becomes of them is the policy's to say.

mod act;
mod argument;
mod chain;
mod code;
mod family;
mod flow;
mod glob;
mod ledger;
mod path;
mod rewrite;
mod rule;
mod shell;
mod terms;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::{BTreeSet, HashMap};

use act::{Act, is_named};
use rule::{TOOLS, ToolRule};

pub(crate) use act::{Acts, acts};
pub(crate) use argument::material;
pub(crate) use chain::{Deed, Kinds, kinds};
pub(crate) use family::{Families, of_description};
pub(crate) use ledger::{Call, Ledger, Spent};
pub(crate) use rewrite::{Part, is_command, rewrite};
pub(crate) use rule::Clause;
pub(crate) use shell::read as read_shell;
pub(crate) use terms::{
    CallLimits, OwnRule, Scoped, Terms, ToolListing, Treatment, UNREADABLE, ids, severity,
};

/// A rule that a call breaks, and the command that does.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) rule: &'static ToolRule,
    /// The command's name as the rule knows it; empty for what the tool itself does.
    pub(crate) command: String,
}

/// The rules that a call breaks, each once.
pub(crate) fn judge(acts: &Acts) -> Vec<Match> {
    let mut matches = Vec::new();
    for rule in &TOOLS.rules {
        let found = acts.all.iter().zip(&acts.classes).find(|(act, classes)| {
            let holds = |clause: &Clause| holds(clause, act, classes, acts);
            rule.any.iter().any(holds)
        });
        if let Some((act, _)) = found {
            let command = act.name.clone();
            matches.push(Match { rule, command });
        }
    }
    matches
}

/// The classes of the paths that an act is about.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    pub(crate) reads: BTreeSet<&'static str>,
    pub(crate) writes: BTreeSet<&'static str>,
    pub(crate) deletes: BTreeSet<&'static str>,
    operands: BTreeSet<&'static str>,
}

impl Classes {
    /// Of each act. A path that is met again is not looked at again.
    fn of_all(acts: &[Act]) -> Vec<Self> {
        let mut known: HashMap<String, Vec<&'static str>> = HashMap::new();
        let mut of = |paths: &[String]| {
            let mut classes = BTreeSet::new();
            for path in paths {
                if !known.contains_key(path) {
                    known.insert(path.clone(), classes_of(path));
                }
                classes.extend(&known[path]);
            }
            classes
        };
        let one = |act: &Act| Self {
            reads: of(&act.reads),
            writes: of(&act.writes),
            deletes: of(&act.deletes),
            operands: of(&act.places),
        };
        acts.iter().map(one).collect()
    }
}

/// The classes that a path is of. `**/x` is `x` wherever it lies.
fn classes_of(path: &str) -> Vec<&'static str> {
    let below = format!("/{path}");
    let at = |pattern: &str| {
        if pattern.starts_with("**/") {
            &below
        } else {
            path
        }
    };
    // What a glob may reach counts; only what it surely reaches is let off.
    let may_be = |pattern: &String| glob::covers_glob(pattern, at(pattern));
    let surely_is = |pattern: &String| glob::covers(pattern, at(pattern));
    let classes = TOOLS.paths.iter();
    let own = classes
        .filter(|(_, class)| class.are.iter().any(may_be) && !class.not.iter().any(surely_is));
    own.map(|(name, _)| &**name).collect()
}

/// Whether an act does all that a clause says.
fn holds(clause: &Clause, act: &Act, classes: &Classes, acts: &Acts) -> bool {
    let of = |wanted: &[String], own: &BTreeSet<&str>, paths: &[String]| {
        let is_one = |class: &String| own.contains(&**class) || (class == "*" && !paths.is_empty());
        wanted.is_empty() || wanted.iter().any(is_one)
    };
    let begins = |first: &String| {
        let words = first
            .split(' ')
            .zip(act.operands.iter().map(Some).chain(std::iter::repeat(None)));
        words
            .into_iter()
            .all(|(wanted, own)| own.is_some_and(|own| glob::covers(wanted, own)))
    };
    let is_word = |pattern: &String| act.words.iter().any(|word| glob::covers(pattern, word));
    let is_host = |patterns: &[String]| {
        let covers = |pattern: &String| act.hosts.iter().any(|host| glob::covers(pattern, host));
        patterns.iter().any(covers)
    };
    (clause.run.is_empty() || (!act.name.is_empty() && is_named(&act.name, &clause.run)))
        && (clause.first.is_empty() || clause.first.iter().any(begins))
        && clause.flags.iter().all(|flag| act.has_flag(flag))
        && !clause.without.iter().any(|flag| act.has_flag(flag))
        && (clause.words.is_empty() || clause.words.iter().any(is_word))
        && (!clause.bare || is_bare(act))
        && of(&clause.reads, &classes.reads, &act.reads)
        && of(&clause.writes, &classes.writes, &act.writes)
        && of(&clause.deletes, &classes.deletes, &act.deletes)
        && of(&clause.operands, &classes.operands, &act.operands)
        && (clause.hosts.is_empty() || is_host(&clause.hosts))
        && (clause.not_hosts.is_empty() || (!act.hosts.is_empty() && !is_host(&clause.not_hosts)))
        && (clause.fed_by.is_empty() || acts.is_fed_by(act, &clause.fed_by))
        && (clause.with.is_empty() || acts.has(&clause.with))
        && (!clause.background || act.is_background)
        && (!clause.by_path || act.path.is_some())
        && (!clause.itself || act.name.is_empty())
}

/// Whether a command takes what it runs from its input: `sh`, `sh -`, `sh -s -- arguments`; or from a
/// file that the same script wrote.
fn is_bare(act: &Act) -> bool {
    let is_input = |own: &String| own == "-" || own == "/dev/stdin";
    act.is_written || act.operands.iter().all(is_input) || act.words.iter().any(|word| word == "-s")
}
