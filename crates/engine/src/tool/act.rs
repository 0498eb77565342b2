//! What a call does: its commands, and what they read, write, delete and reach.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::argument::Material;
use super::rule::{Effect, Family, Place, TOOLS};
use super::shell::{self, Command, Script, Way, base_name};
use super::{Classes, code, glob, path, windows};

/// The longest word that is looked at for a host.
const HOST_WORD_BYTES_MAX: usize = 2048;

/// Paths of one call. A call that names more is not read to its end.
const PATHS_MAX: usize = 4096;

/// Commands whose operands are run, or made to be.
const HANDLERS: [&str; 22] = [
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "fish",
    "source",
    ".",
    "python",
    "node",
    "perl",
    "ruby",
    "php",
    "pwsh",
    "chmod",
    "crontab",
    "ln",
    "cp",
    "mv",
    "install",
    "systemctl",
    "launchctl",
];

/// All that a call does.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    pub(crate) all: Vec<Act>,
    /// Of each, in the same order.
    pub(crate) classes: Vec<Classes>,
    script: Script,
    /// Whether there was more than could be read.
    pub(crate) is_cut: bool,
}

/// One command, or what the tool itself does.
#[derive(Debug, Default, Clone)]
pub(crate) struct Act {
    /// The command's name without its path; empty for what the tool itself does.
    pub(crate) name: String,
    /// The words after it.
    pub(crate) words: Vec<String>,
    /// Those that are neither flags nor values of flags.
    pub(crate) operands: Vec<String>,
    /// The same as paths.
    pub(super) places: Vec<String>,
    pub(crate) reads: Vec<String>,
    pub(crate) writes: Vec<String>,
    pub(crate) deletes: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) is_background: bool,
    /// Whether it runs a file that the same script wrote.
    pub(super) is_written: bool,
    /// The command's name where it is a path.
    pub(super) path: Option<String>,
    /// Which command of the script it is.
    at: Option<usize>,
}

/// What a call does.
pub(crate) fn acts(material: &Material) -> Acts {
    let mut script = Script::default();
    for text in &material.commands {
        script.extend(shell::read(text));
        if is_power_shell(text) {
            script.extend(windows::power_shell_script(text));
        }
        if is_command_prompt(text) {
            script.extend(windows::command_prompt_script(text));
        }
    }
    for text in &material.codes {
        script.extend(code::calls(text));
    }
    let mut within = material
        .directory
        .as_deref()
        .map(|own| path::normal(own, None));
    let mut all = vec![of_tool(material)];
    for (at, command) in script.commands.iter().enumerate() {
        let mut act = of_command(command, within.as_deref());
        act.at = Some(at);
        if matches!(&*act.name, "cd" | "pushd" | "chdir" | "set-location") {
            let to = act.operands.first().map_or("~", |own| own);
            within = Some(path::normal(to, within.as_deref()));
        }
        all.push(act);
    }
    let paths =
        |act: &Act| act.reads.len() + act.writes.len() + act.deletes.len() + act.operands.len();
    let has_many = all.iter().map(paths).sum::<usize>() > PATHS_MAX;
    Acts {
        classes: Classes::of_all(&all),
        is_cut: script.is_cut || material.is_cut || has_many,
        all,
        script,
    }
}

impl Acts {
    /// Whether a command takes the output of one of these.
    pub(crate) fn is_fed_by(&self, act: &Act, names: &[String]) -> bool {
        let Some(at) = act.at else { return false };
        let mut feeding = self.script.feeding(at);
        feeding.any(|own| is_named(&base_name(&own.words[0]), names))
    }

    /// The paths that it is about: what it writes, and what it runs or makes fit to run.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = String> {
        self.all.iter().flat_map(|act| {
            let operands = match HANDLERS.contains(&&*act.name) {
                true => &act.operands[..],
                false => &[],
            };
            let paths = operands.iter().chain(act.path.iter());
            let paths = paths.map(|own| path::normal(own, None));
            paths.chain(act.writes.iter().cloned())
        })
    }

    /// Whether one of these runs too.
    pub(crate) fn has(&self, names: &[String]) -> bool {
        self.all
            .iter()
            .any(|own| !own.name.is_empty() && is_named(&own.name, names))
    }
}

impl Act {
    /// Whether it has a flag: one of `r|recursive`.
    pub(crate) fn has_flag(&self, either: &str) -> bool {
        either
            .split('|')
            .any(|flag| self.words.iter().any(|word| is_flag(word, flag)))
    }
}

/// Whether a command's name is one of these, as it is or as a glob of it would be: `/bin/r?`.
pub(crate) fn is_named(name: &str, names: &[String]) -> bool {
    names.iter().any(|own| glob::covers_glob(own, name))
}

/// A letter is one of a cluster such as `-rf`; a word stands after one dash or two, where it may be cut
/// short; what begins with a slash is one of the command prompt's.
pub(super) fn is_flag(word: &str, flag: &str) -> bool {
    if flag.starts_with('/') {
        return word.eq_ignore_ascii_case(flag);
    }
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        let is_cut_short = name.len() >= 4 && flag.starts_with(name);
        return flag.len() > 1 && (name == flag || is_cut_short);
    }
    let Some(short) = word.strip_prefix('-') else {
        return false;
    };
    match flag.len() {
        1 => short.len() <= 12 && short.contains(flag),
        // PowerShell takes any beginning that is not ambiguous.
        _ => {
            let name = short
                .split(':')
                .next()
                .unwrap_or(short)
                .to_ascii_lowercase();
            name == flag || (name.len() >= 3 && flag.starts_with(&name))
        }
    }
}

fn is_power_shell(text: &str) -> bool {
    let is_cmdlet = |word: &str| {
        let parts = word.split_once('-');
        parts.is_some_and(|(verb, noun)| {
            let is_word =
                |part: &str| part.len() > 1 && part.bytes().all(|b| b.is_ascii_alphabetic());
            is_word(verb) && is_word(noun) && noun.starts_with(|c: char| c.is_ascii_uppercase())
        })
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    let is_short = |word: &str| matches!(word, "iex" | "iwr" | "irm" | "ri" | "gc" | "saps");
    text.contains("$env:")
        || text.contains(":\\")
        || text
            .split(|c| !is_part(c))
            .any(|word| is_cmdlet(word) || is_short(word))
}

fn is_command_prompt(text: &str) -> bool {
    const NAMES: [&str; 9] = [
        "del", "erase", "rd", "rmdir", "format", "reg", "schtasks", "type", "copy",
    ];
    let first = text.split_whitespace().next().unwrap_or_default();
    text.contains(":\\") || text.contains('%') || NAMES.contains(&&*base_name(first))
}

/// What the tool itself does with the paths and addresses that it is given.
fn of_tool(material: &Material) -> Act {
    let is = |family| material.families.contains(&family);
    let all = |paths: &[String]| {
        paths
            .iter()
            .map(|own| path::normal(own, None))
            .collect::<Vec<_>>()
    };
    let mut act = Act::default();
    let (paths, destinations) = (all(&material.paths), all(&material.destinations));
    if is(Family::Delete) {
        act.deletes.clone_from(&paths);
    }
    if is(Family::Write) && destinations.is_empty() {
        act.writes.clone_from(&paths);
    }
    if is(Family::Read) || !destinations.is_empty() {
        act.reads.clone_from(&paths);
    }
    // A tool of which nothing is known may well read what it is given.
    let is_told =
        is(Family::Delete) || is(Family::Write) || is(Family::List) || is(Family::Execute);
    if !is_told && act.reads.is_empty() {
        act.reads.clone_from(&paths);
    }
    act.writes.extend(destinations);
    act.places.clone_from(&paths);
    act.operands = paths;
    for url in &material.urls {
        act.hosts.extend(host_of(url));
        if url.starts_with("file:") {
            act.reads.push(path::normal(url, None));
        }
    }
    act
}

fn of_command(command: &Command, within: Option<&str>) -> Act {
    let name = base_name(&command.words[0]);
    let words = command.words[1..].to_vec();
    let mut act = Act {
        name,
        words,
        is_background: command.is_background,
        is_written: command.is_written,
        path: Some(command.words[0].clone()).filter(|own| own.contains('/')),
        ..Act::default()
    };
    let effects: Vec<_> = TOOLS
        .effects
        .iter()
        .filter(|own| is_named(&act.name, &own.run))
        .collect();
    let valued: Vec<&str> = effects
        .iter()
        .flat_map(|own| own.valued.iter().map(|flag| &**flag))
        .collect();
    act.operands = operands(&act.words, &valued);
    let places = act.operands.iter().map(|own| path::normal(own, within));
    act.places = places.collect();
    for redirect in &command.redirects {
        let path = path::normal(&redirect.path, within);
        match redirect.way {
            Way::In => act.reads.push(path),
            Way::Out => act.writes.push(path),
        }
    }
    if !effects.iter().any(|own| own.says) {
        act.hosts = act.words.iter().filter_map(|word| host_of(word)).collect();
    }
    for effect in effects {
        apply(effect, &mut act, within);
    }
    act
}

fn operands(words: &[String], valued: &[&str]) -> Vec<String> {
    let mut operands = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            operands.extend(words.cloned());
            return operands;
        }
        if valued.contains(&&**word) {
            words.next();
        } else if !word.starts_with('-') || word == "-" {
            operands.push(word.clone());
        }
    }
    operands
}

fn apply(effect: &Effect, act: &mut Act, within: Option<&str>) {
    if !effect.flags.iter().all(|flag| act.has_flag(flag)) {
        return;
    }
    let at = |places: &[Place], act: &Act| -> Vec<String> {
        let texts = places.iter().flat_map(|place| at_place(place, act));
        texts.map(|text| path::normal(&text, within)).collect()
    };
    let (reads, writes) = (at(&effect.reads, act), at(&effect.writes, act));
    let deletes = at(&effect.deletes, act);
    act.reads.extend(reads);
    act.writes.extend(writes);
    act.deletes.extend(deletes);
}

fn at_place<'a>(place: &Place, act: &'a Act) -> Vec<Cow<'a, str>> {
    let operands = &act.operands;
    let some: &[String] = match place {
        Place::Operands => operands,
        Place::First => &operands[..operands.len().min(1)],
        Place::Last => return last_of(operands),
        Place::ButLast => &operands[..operands.len().saturating_sub(1)],
        Place::AfterFirst => operands.get(1..).unwrap_or_default(),
        Place::Prefix(prefix) => {
            let after = |word: &'a String| {
                let at = word.find(&**prefix)?;
                Some(Cow::from(&word[at + prefix.len()..]))
            };
            return act.words.iter().filter_map(after).collect();
        }
        Place::Flag(flag) => return flag_values(flag, &act.words),
    };
    some.iter().map(|own| Cow::from(&**own)).collect()
}

/// The last operand, and what a directory of that name would be given.
fn last_of(operands: &[String]) -> Vec<Cow<'_, str>> {
    let mut last: Vec<_> = operands
        .last()
        .map(|own| Cow::from(&**own))
        .into_iter()
        .collect();
    if let [first, .., dir] = operands {
        let name = first
            .trim_end_matches('/')
            .rsplit(['/', ':'])
            .next()
            .unwrap_or_default();
        last.push(Cow::from(format!("{}/{name}", dir.trim_end_matches('/'))));
    }
    last
}

fn flag_values<'a>(flag: &str, words: &'a [String]) -> Vec<Cow<'a, str>> {
    let mut values = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == flag {
            values.extend(words.next().map(|own| Cow::from(&**own)));
        } else if let Some(rest) = word.strip_prefix(flag) {
            let rest = rest.strip_prefix('=').unwrap_or(rest);
            values.push(Cow::from(rest));
        }
    }
    values
}

/// The host of a URL, wherever in a word it stands, in lower case.
fn host_of(word: &str) -> Option<String> {
    if word.len() > HOST_WORD_BYTES_MAX {
        return None;
    }
    let rest = match word.split_once("://") {
        Some((_, rest)) => rest,
        None => word
            .trim_start_matches("http:")
            .trim_start_matches("https:"),
    };
    let end = rest
        .find(['/', '?', '#', '\'', '"', ' '])
        .unwrap_or(rest.len());
    let authority = rest[..end].rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c) || c == shell::UNKNOWN;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_given = host.contains(['.', ':']) || word.contains("://");
    (is_given && !host.is_empty() && host.chars().all(is_host)).then(|| canonical(host))
}

/// An address in whatever base and number of parts, as four decimal ones.
fn canonical(host: String) -> String {
    match url::Host::parse(&host) {
        Ok(url::Host::Ipv4(address)) => address.to_string(),
        Ok(url::Host::Domain(_) | url::Host::Ipv6(_)) | Err(_) => {
            let mapped = host
                .parse::<Ipv6Addr>()
                .ok()
                .and_then(|own| own.to_ipv4_mapped());
            mapped.map_or(host, |own| own.to_string())
        }
    }
}
