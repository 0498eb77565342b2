//! `tools`: what tools may be called, and what becomes of what calls do.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compile::Problems;
use super::error::did_you_mean;
use super::file::{At, Limit, Size};
use crate::tool::{self, CallLimits, Clause, OwnRule, Part, Scoped, Terms, Treatment};

/// Defaults of `tools.limits`. Agents make some tens of calls in a minute, a script that calls tools some
/// thousands; an agent knows some tens of tools; what waits for the far end polls it every few seconds.
const LIMITS: CallLimits = CallLimits {
    calls_per_minute: Some(6000),
    tool_calls_per_minute: Some(3000),
    arguments_per_minute: Some(64 << 20),
    tools_per_hour: Some(256),
    concurrent: Some(64),
    repeats: Some(100),
};

/// Default of `tools.ask_seconds`: a person who works beside an agent looks up within minutes, and
/// clients give a call up after about as long.
const ASK_SECONDS: u32 = 300;
/// The most: a call that waits longer than a day is forgotten.
const ASK_SECONDS_MAX: u32 = 86_400;

/// What tools may be called, and what becomes of what calls do.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ToolsFile {
    /// Patterns of the tools that may be called, as `tool` or `server/tool`. If there are any, no
    /// other tool may.
    allow: Vec<At<String>>,
    /// Patterns of tools that may not be called, whatever `allow` says.
    deny: Vec<At<String>>,
    /// What becomes of a rule or chain of calls, by its id.
    rules: BTreeMap<String, At<TreatmentFile>>,
    /// The same, of some tools only.
    scoped: Vec<At<ScopedFile>>,
    /// Rules of the policy's own.
    own: Vec<At<OwnRuleFile>>,
    /// Budgets.
    limits: CallLimitsFile,
    /// How many seconds a call that asks may wait for a person's answer, up to a day; 0 refuses it at
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    ask_seconds: Option<At<u32>>,
}

/// What becomes of a rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TreatmentFile {
    /// Refuse.
    Block,
    /// Hold the call until a person lets it pass, and refuse it where none does in time.
    Ask,
    /// Write the command anew as `becomes` says, and refuse the call where that cannot be done. Only
    /// for own rules.
    Rewrite,
    /// Record.
    Warn,
    /// Do not look.
    Off,
}

/// What becomes of rules where some tools break them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScopedFile {
    /// Patterns of the tools, as `tool` or `server/tool`.
    tools: Vec<At<String>>,
    /// What becomes of a rule or chain, by its id.
    rules: BTreeMap<String, At<TreatmentFile>>,
}

/// A rule of the policy's own. All that is said must hold of one command of a call, or of the call
/// itself; of a list, one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OwnRuleFile {
    /// Its name in refusals and receipts.
    id: At<String>,
    /// What it forbids, in words.
    title: String,
    /// What becomes of it.
    action: TreatmentFile,
    /// The words of the safer command, where the action is `rewrite`: `{operands}` are the command's
    /// words without flags, `{words}` all of them without the flags that the rule names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    becomes: Vec<String>,
    /// Patterns of the tools, as `tool` or `server/tool`; of all where none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<At<String>>,
    /// Patterns of values, by the JSON pointer (RFC 6901) of an argument, such as `/env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    arguments: BTreeMap<String, Vec<String>>,
    /// Patterns of the names of commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    run: Vec<String>,
    /// How the command's operands begin, such as `push` or `s3 rm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    first: Vec<String>,
    /// Flags that it has, all of them, without dashes; `f|force` is either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
    /// Flags of which it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    /// Patterns of its words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
    /// Patterns of paths that are read, written or deleted; `~` is any user's home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    /// Patterns of hosts that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
}

/// Budgets of calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CallLimitsFile {
    /// Calls of all tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_minute: Option<Limit>,
    /// Calls of one tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls_per_minute: Option<Limit>,
    /// Bytes of arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments_per_minute: Option<Size>,
    /// Different tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_per_hour: Option<Limit>,
    /// Calls whose results have not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrent: Option<Limit>,
    /// Rounds of one and the same call, or of a round of up to four calls, in ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<Limit>,
}

impl From<TreatmentFile> for Treatment {
    fn from(file: TreatmentFile) -> Self {
        match file {
            TreatmentFile::Block => Self::Block,
            TreatmentFile::Ask => Self::Ask,
            TreatmentFile::Rewrite => Self::Rewrite,
            TreatmentFile::Warn => Self::Warn,
            TreatmentFile::Off => Self::Off,
        }
    }
}

impl ToolsFile {
    /// Fills in the defaults, so that the policy's canonical form has them.
    pub(super) fn fill(&mut self) {
        let CallLimitsFile {
            calls_per_minute,
            tool_calls_per_minute,
            arguments_per_minute,
            tools_per_hour,
            concurrent,
            repeats,
        } = &mut self.limits;
        calls_per_minute.get_or_insert(Limit(LIMITS.calls_per_minute));
        tool_calls_per_minute.get_or_insert(Limit(LIMITS.tool_calls_per_minute));
        arguments_per_minute.get_or_insert(Size(LIMITS.arguments_per_minute));
        tools_per_hour.get_or_insert(Limit(LIMITS.tools_per_hour));
        concurrent.get_or_insert(Limit(LIMITS.concurrent));
        repeats.get_or_insert(Limit(LIMITS.repeats));
        self.ask_seconds.get_or_insert(At::new(ASK_SECONDS));
    }

    pub(super) fn build(&self, problems: &mut Problems<'_>) -> Terms {
        let mut known = Vec::new();
        if !(self.rules.is_empty() && self.scoped.is_empty()) {
            known = tool::ids();
        }
        let own_ids = self.own.iter().map(|own| &*own.0.value.id.0.value);
        known.extend(own_ids);
        let limits = &self.limits;
        Terms {
            allow: patterns(&self.allow, problems),
            deny: patterns(&self.deny, problems),
            rules: treatments(&self.rules, &known, problems),
            scoped: self
                .scoped
                .iter()
                .map(|own| scoped(own, &known, problems))
                .collect(),
            own: self.own.iter().map(|own| own_rule(own, problems)).collect(),
            ask_wait: self.ask_wait(problems),
            limits: CallLimits {
                calls_per_minute: limits.calls_per_minute.and_then(|own| own.0),
                tool_calls_per_minute: limits.tool_calls_per_minute.and_then(|own| own.0),
                arguments_per_minute: limits.arguments_per_minute.and_then(|own| own.0),
                tools_per_hour: limits.tools_per_hour.and_then(|own| own.0),
                concurrent: limits.concurrent.and_then(|own| own.0),
                repeats: limits.repeats.and_then(|own| own.0),
            },
        }
    }
}

impl ToolsFile {
    fn ask_wait(&self, problems: &mut Problems<'_>) -> Duration {
        let Some(own) = &self.ask_seconds else {
            return Duration::from_secs(ASK_SECONDS.into());
        };
        if own.0.value > ASK_SECONDS_MAX {
            let what = format!("a call cannot wait for {} s", own.0.value);
            problems.add_at(own, what, &format!("write at most {ASK_SECONDS_MAX}"));
        }
        Duration::from_secs(own.0.value.into())
    }
}

fn patterns(list: &[At<String>], problems: &mut Problems<'_>) -> Vec<Box<str>> {
    for text in list {
        let pattern = &text.0.value;
        if pattern.trim().is_empty() || pattern.matches('/').count() > 1 {
            let what = format!("`{pattern}` is no pattern of tools");
            problems.add_at(
                text,
                what,
                "write `tool` or `server/tool`, as in `delete_*` or `github/*`",
            );
        }
    }
    list.iter()
        .map(|text| text.0.value.as_str().into())
        .collect()
}

fn treatments(
    rules: &BTreeMap<String, At<TreatmentFile>>,
    known: &[&str],
    problems: &mut Problems<'_>,
) -> Vec<(Box<str>, Treatment)> {
    let mut treatments = Vec::new();
    for (id, treatment) in rules {
        if !known.contains(&&**id) {
            let what = format!("there is no rule `{id}` of tools");
            let suggestion =
                did_you_mean(id, known).unwrap_or_else(|| "docs/tools.md lists them".to_owned());
            problems.add_at(treatment, what, &suggestion);
        }
        if treatment.0.value == TreatmentFile::Rewrite {
            problems.add_at(
                treatment,
                "only a rule of the policy's own can rewrite",
                "write one in `tools.own`, with `becomes`",
            );
        }
        treatments.push((id.as_str().into(), treatment.0.value.into()));
    }
    treatments
}

fn scoped(own: &At<ScopedFile>, known: &[&str], problems: &mut Problems<'_>) -> Scoped {
    let file = &own.0.value;
    if file.tools.is_empty() {
        problems.add_at(
            own,
            "`tools` lists no tool",
            "name some, or write the rules in `tools.rules`",
        );
    }
    Scoped {
        tools: patterns(&file.tools, problems),
        rules: treatments(&file.rules, known, problems),
    }
}

fn own_rule(own: &At<OwnRuleFile>, problems: &mut Problems<'_>) -> OwnRule {
    let file = &own.0.value;
    let id = &file.id.0.value;
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(is_part) {
        let what = format!("`{id}` is no id");
        problems.add_at(&file.id, what, "write small letters, digits and dashes");
    } else if tool::ids().contains(&&**id) {
        let what = format!("`{id}` is the id of a rule that comes with Carboy");
        problems.add_at(
            &file.id,
            what,
            "give it another, or change that one in `tools.rules`",
        );
    }
    let clause = Clause {
        run: file.run.clone(),
        first: file.first.clone(),
        flags: file.flags.clone(),
        without: file.without.clone(),
        words: file.words.clone(),
        hosts: file.hosts.clone(),
        ..Clause::default()
    };
    if let Some(at) = file.arguments.keys().find(|at| !at.starts_with('/')) {
        let what = format!("`{at}` points to no argument");
        problems.add_at(own, what, &format!("write `/{at}`"));
    }
    let is_empty = file.tools.is_empty() && file.arguments.is_empty() && file.paths.is_empty();
    if is_empty
        && [
            &file.run,
            &file.first,
            &file.flags,
            &file.words,
            &file.hosts,
        ]
        .iter()
        .all(|list| list.is_empty())
    {
        problems.add_at(
            own,
            "the rule says nothing, so it would hold of every call",
            "say of which tools or commands",
        );
    }
    let becomes = becomes(own, problems);
    let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
    OwnRule {
        id: id.as_str().into(),
        title: file.title.as_str().into(),
        tools: patterns(&file.tools, problems),
        arguments: file
            .arguments
            .iter()
            .map(|(at, values)| (at.as_str().into(), texts(values)))
            .collect(),
        paths: texts(&file.paths),
        clause,
        action: file.action.into(),
        becomes,
    }
}

/// The safer command. A rule that rewrites must say which commands, and to what.
fn becomes(own: &At<OwnRuleFile>, problems: &mut Problems<'_>) -> Vec<Part> {
    let file = &own.0.value;
    let rewrites = file.action == TreatmentFile::Rewrite;
    if rewrites == file.becomes.is_empty() {
        problems.add_at(
            own,
            "`action: rewrite` and `becomes` need each other",
            "write both, as in `becomes: [trash, \"{operands}\"]`",
        );
    }
    if rewrites && (file.run.is_empty() || !file.arguments.is_empty()) {
        problems.add_at(
            own,
            "a rule rewrites commands, and `arguments` is about none",
            "say which in `run`, and leave out `arguments`",
        );
    }
    let parts: Vec<_> = file.becomes.iter().map(|text| Part::parse(text)).collect();
    if let Some(bad) = parts.iter().position(Option::is_none) {
        let what = format!("`{}` is not one plain word", file.becomes[bad]);
        problems.add_at(own, what, "write a word a list item; nothing is expanded");
    }
    if rewrites && !matches!(parts.first(), None | Some(None | Some(Part::Text(_)))) {
        problems.add_at(
            own,
            "`becomes` does not begin with a command",
            "write its name first",
        );
    }
    parts.into_iter().flatten().collect()
}
