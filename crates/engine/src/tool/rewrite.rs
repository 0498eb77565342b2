//! A command made safer: one that a rule of the policy's own holds of is written anew, word by word.
//!
//! Only what surely means the same is touched: a script of simple commands with nothing in it that a
//! shell expands, but for globs. All else stays as it is, and is refused when the call is judged.

use std::borrow::Cow;
use std::ops::Range;

use super::argument::Material;
use super::shell::{self, Script};
use super::terms::{OwnRule, breaks};
use super::{act, family};

/// The longest script that is written anew: longer ones are programs, not commands.
const SCRIPT_BYTES_MAX: usize = 16 << 10;

/// One word of a safer command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Box<str>),
    /// What the command works on: its words without flags.
    Operands,
    /// All its words after its name, without the flags that the rule is about.
    Words,
}

impl Part {
    /// None for a text that is not one plain word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "{operands}" => Some(Self::Operands),
            "{words}" => Some(Self::Words),
            text if !text.is_empty() && text.chars().all(is_plain) => Some(Self::Text(text.into())),
            _ => None,
        }
    }
}

/// A script written anew, and the rules that did it.
#[derive(Debug)]
pub(crate) struct Rewritten<'a> {
    pub(crate) text: String,
    pub(crate) rules: Vec<&'a OwnRule>,
}

/// Writes anew what the rules hold of. None where they hold of nothing that can be.
pub(crate) fn rewrite<'a>(text: &str, rules: &[&'a OwnRule]) -> Option<Rewritten<'a>> {
    if rules.is_empty() || text.len() > SCRIPT_BYTES_MAX {
        return None;
    }
    let (mut out, mut taken, mut used) = (String::with_capacity(text.len()), 0, Vec::new());
    for range in commands(text)? {
        let Some((safer, rule)) = safer(&text[range.clone()], rules) else {
            continue;
        };
        out.push_str(&text[taken..range.start]);
        out.push_str(&safer);
        taken = range.end;
        used.push(rule);
    }
    out.push_str(&text[taken..]);
    (!used.is_empty()).then_some(Rewritten {
        text: out,
        rules: used,
    })
}

/// Where each simple command of a plain script stands. None where the script is not plain.
fn commands(text: &str) -> Option<Vec<Range<usize>>> {
    let (mut ranges, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some('"') | None, '$' | '`' | '\\' | '!') => return None,
            (Some(own), c) if own == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | ')' | '{' | '}' | '#' | '\r') => return None,
            (None, ';' | '\n' | '|') => {
                ranges.push(start..at);
                start = at + 1;
            }
            // `2>&1` and `&>` belong to a redirection.
            (None, '&') if !is_redirection(text, at) => {
                ranges.push(start..at);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    if quote.is_some() || text.contains("<<") {
        return None;
    }
    ranges.push(start..text.len());
    let trimmed = |range: Range<usize>| {
        let own = &text[range.clone()];
        let start = range.start + own.len() - own.trim_start().len();
        start..start + own.trim().len()
    };
    let ranges = ranges.into_iter().map(trimmed);
    Some(ranges.filter(|range| !range.is_empty()).collect())
}

fn is_redirection(text: &str, at: usize) -> bool {
    text[..at].ends_with(['>', '<']) || text[at + 1..].starts_with('>')
}

/// A command that a rule holds of, as the rule writes it.
fn safer<'a>(command: &str, rules: &[&'a OwnRule]) -> Option<(String, &'a OwnRule)> {
    let (words, rest) = words(command);
    let cooked: Vec<String> = words.iter().map(|raw| cooked(raw).into_owned()).collect();
    let script: Script = shell::read(command);
    // What the shell's own reading takes for anything else is not written anew.
    let is_same = matches!(&script.commands[..], [own] if own.words == cooked && !own.is_written);
    if !is_same || script.is_cut {
        return None;
    }
    let acts = act::acts(&Material::of_command(command));
    let [_, own] = &acts.all[..] else { return None };
    let holds = |rule: &&&OwnRule| breaks(rule, own, &acts.classes[1], &acts);
    let rule = rules.iter().find(holds)?;
    let mut safer = Vec::new();
    for part in &rule.becomes {
        match part {
            Part::Text(text) => safer.push(Cow::from(&**text)),
            Part::Operands => safer.extend(operands(&words, &cooked, &own.operands)?),
            Part::Words => safer.extend(without(&words, &cooked, &rule.clause.flags)?),
        }
    }
    let safer = safer.join(" ");
    let safer = match rest {
        "" => safer,
        rest => format!("{safer} {rest}"),
    };
    Some((safer, rule))
}

/// The words of a command as they stand, up to its redirections, and these.
fn words(command: &str) -> (Vec<&str>, &str) {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (Some(own), c) if own == c => quote = None,
            (Some(_), _) => {}
            (None, ' ' | '\t') => {
                if let Some(start) = start.take() {
                    words.push(&command[start..at]);
                }
                continue;
            }
            (None, '>' | '<' | '&') => {
                // A number before it is the descriptor's.
                let from = start.take().unwrap_or(at);
                return match command[from..at].chars().all(|c| c.is_ascii_digit()) {
                    true => (words, &command[from..]),
                    false => {
                        words.push(&command[from..at]);
                        (words, &command[at..])
                    }
                };
            }
            (None, '\'' | '"') => quote = Some(c),
            (None, _) => {}
        }
        start.get_or_insert(at);
    }
    words.extend(start.map(|start| &command[start..]));
    (words, "")
}

/// A word without its quotes.
fn cooked(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['\'', '"']) {
        return raw.into();
    }
    let (mut text, mut quote) = (String::with_capacity(raw.len()), None);
    for c in raw.chars() {
        match (quote, c) {
            (Some(own), c) if own == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (_, c) => text.push(c),
        }
    }
    text.into()
}

/// The operands as they stand. None where one could be taken for a flag of the safer command.
fn operands<'a>(
    words: &[&'a str],
    cooked: &[String],
    operands: &[String],
) -> Option<Vec<Cow<'a, str>>> {
    let (mut found, mut left) = (Vec::new(), operands.iter().peekable());
    for (raw, own) in words.iter().zip(cooked).skip(1) {
        if left.next_if_eq(&own).is_some() {
            if own.starts_with('-') || raw.starts_with(['*', '?', '[']) {
                return None;
            }
            found.push(Cow::from(*raw));
        }
    }
    (left.peek().is_none() && !found.is_empty()).then_some(found)
}

/// The words as they stand, without some flags. None where a word ends the flags: what is added would
/// be none.
fn without<'a>(
    words: &[&'a str],
    cooked: &[String],
    flags: &[String],
) -> Option<Vec<Cow<'a, str>>> {
    let flags: Vec<&str> = flags.iter().flat_map(|own| own.split('|')).collect();
    let mut kept = Vec::new();
    for (raw, own) in words.iter().zip(cooked).skip(1) {
        if own == "--" {
            return None;
        }
        let letters = flags.iter().filter(|flag| flag.len() == 1);
        let is_cluster = own.starts_with('-') && !own.starts_with("--") && own == raw;
        let is_long = |flag: &&&str| flag.len() > 1 && act::is_flag(own, flag);
        if flags.iter().any(|flag| is_long(&flag)) {
            continue;
        }
        if !is_cluster {
            kept.push(Cow::from(*raw));
            continue;
        }
        let gone: String = letters.copied().collect();
        let cluster: String = own.chars().filter(|c| !gone.contains(*c)).collect();
        if cluster != "-" {
            kept.push(cluster.into());
        } else if own == "-" {
            kept.push(Cow::from(*raw));
        }
    }
    Some(kept)
}

/// Whether an argument of a tool is a command line.
pub(crate) fn is_command(tool: &str, told: &family::Families, name: &str) -> bool {
    use super::rule::{Family, Role};
    let last = name.rsplit('/').next().unwrap_or_default();
    match super::argument::role_of(last) {
        Some(Role::Command) => true,
        Some(_) => false,
        None => told.contains(&Family::Execute) || family::of_name(tool).contains(&Family::Execute),
    }
}

/// What stands in a word that no shell changes.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::super::rule::Clause;
    use super::super::terms::{OwnRule, Treatment};
    use super::{Part, rewrite};

    fn rule(id: &str, run: &str, first: &[&str], flags: &[&str], becomes: &[&str]) -> OwnRule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        OwnRule {
            id: id.into(),
            title: id.into(),
            tools: Vec::new(),
            arguments: Vec::new(),
            paths: Vec::new(),
            clause: Clause {
                run: texts(&[run]),
                first: texts(first),
                flags: texts(flags),
                ..Clause::default()
            },
            action: Treatment::Rewrite,
            becomes: becomes
                .iter()
                .map(|text| Part::parse(text).unwrap())
                .collect(),
        }
    }

    #[test]
    fn commands_are_written_anew_or_left() {
        let trash = rule(
            "trash",
            "rm",
            &[],
            &["r|recursive"],
            &["trash", "{operands}"],
        );
        let lease = rule(
            "lease",
            "git",
            &["push"],
            &["f|force"],
            &["git", "{words}", "--force-with-lease"],
        );
        let rules = [&trash, &lease];
        for (command, expect) in [
            ("rm -rf build", Some("trash build")),
            ("rm -r -f 'a b' c", Some("trash 'a b' c")),
            (
                "rm -rf build/*.o 2>/dev/null",
                Some("trash build/*.o 2>/dev/null"),
            ),
            (
                "cd x && rm -rf build && make",
                Some("cd x && trash build && make"),
            ),
            ("rm -rf a; rm --recursive b", Some("trash a; trash b")),
            ("ls | wc -l; rm -rf a", Some("ls | wc -l; trash a")),
            (
                "git push --force origin main",
                Some("git push origin main --force-with-lease"),
            ),
            (
                "git push -fu origin main",
                Some("git push -u origin main --force-with-lease"),
            ),
            ("git push -f", Some("git push --force-with-lease")),
            // Nothing to do.
            ("rm build", None),
            ("git push --force-with-lease", None),
            ("echo rm -rf build", None),
            ("echo 'rm -rf build'", None),
            // What only a shell could tell stays, to be refused.
            ("rm -rf $HOME", None),
            ("rm -rf \"$x\"", None),
            ("rm -rf `pwd`", None),
            ("(rm -rf a)", None),
            ("rm -rf {a,b}", None),
            ("rm -rf a\\ b", None),
            ("sudo rm -rf a", None),
            ("X=1 rm -rf a", None),
            ("sh -c 'rm -rf a'", None),
            ("rm -rf *", None),
            ("rm -rf -- -x", None),
            ("rm -rf", None),
            ("rm -rf 'a", None),
            ("git push -f -- origin", None),
            ("cat <<E\nrm -rf a\nE", None),
        ] {
            let rewritten = rewrite(command, &rules).map(|own| own.text);
            assert_eq!(rewritten.as_deref(), expect, "{command}");
        }
    }
}
