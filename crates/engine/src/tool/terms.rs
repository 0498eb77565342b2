//! What a policy says of tools.

use std::time::Duration;

use serde_json::Value;

use super::act::{Act, Acts};
use super::chain::{Becomes, CHAINS};
use super::rewrite::Part;
use super::rule::{Clause, TOOLS, Usual};
use super::{Classes, glob, holds};
use crate::finding::Severity;

/// Which tools may be called, and what becomes of what calls do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Patterns of the only tools that may be called; of all where there is none.
    pub(crate) allow: Vec<Box<str>>,
    pub(crate) deny: Vec<Box<str>>,
    pub(crate) rules: Vec<(Box<str>, Treatment)>,
    pub(crate) scoped: Vec<Scoped>,
    pub(crate) own: Vec<OwnRule>,
    pub(crate) limits: CallLimits,
    /// How long a call may wait for a person's leave.
    pub(crate) ask_wait: Duration,
}

/// What becomes of a rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Block,
    /// Refused unless a person lets it pass.
    Ask,
    /// Written anew as a safer command; refused where it cannot be.
    Rewrite,
    Warn,
    Off,
}

impl From<Usual> for Treatment {
    fn from(usual: Usual) -> Self {
        match usual {
            Usual::Block => Self::Block,
            Usual::Warn => Self::Warn,
        }
    }
}

impl From<Becomes> for Treatment {
    fn from(becomes: Becomes) -> Self {
        match becomes {
            Becomes::Block => Self::Block,
            Becomes::Warn => Self::Warn,
            Becomes::Off => Self::Off,
        }
    }
}

/// Treatments of some tools only.
#[derive(Debug, Clone)]
pub(crate) struct Scoped {
    pub(crate) tools: Vec<Box<str>>,
    pub(crate) rules: Vec<(Box<str>, Treatment)>,
}

/// A rule that the policy brings itself.
#[derive(Debug, Clone)]
pub(crate) struct OwnRule {
    pub(crate) id: Box<str>,
    pub(crate) title: Box<str>,
    pub(crate) tools: Vec<Box<str>>,
    /// JSON pointers of arguments, and patterns of which one must cover the value.
    pub(crate) arguments: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Patterns of paths that are read, written or deleted.
    pub(crate) paths: Vec<Box<str>>,
    pub(crate) clause: Clause,
    pub(crate) action: Treatment,
    /// The safer command, where the action is to rewrite.
    pub(crate) becomes: Vec<Part>,
}

/// Budgets of calls; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CallLimits {
    pub(crate) calls_per_minute: Option<u64>,
    pub(crate) tool_calls_per_minute: Option<u64>,
    /// Bytes.
    pub(crate) arguments_per_minute: Option<u64>,
    pub(crate) tools_per_hour: Option<u64>,
    pub(crate) concurrent: Option<u64>,
    pub(crate) repeats: Option<u64>,
}

/// What the lists say of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolListing<'a> {
    Allowed,
    /// By this pattern.
    Denied(&'a str),
    Unlisted,
}

impl Terms {
    pub(crate) fn listing(&self, server: &str, tool: &str) -> ToolListing<'_> {
        if let Some(pattern) = self.deny.iter().find(|own| is_of(own, server, tool)) {
            return ToolListing::Denied(pattern);
        }
        match self.allow.is_empty() || any_of(&self.allow, server, tool) {
            true => ToolListing::Allowed,
            false => ToolListing::Unlisted,
        }
    }

    /// What becomes of a rule that a tool's call breaks.
    pub(crate) fn treatment(
        &self,
        id: &str,
        server: &str,
        tool: &str,
        usual: Treatment,
    ) -> Treatment {
        let in_list = |list: &[(Box<str>, Treatment)]| {
            list.iter()
                .find(|(own, _)| **own == *id)
                .map(|(_, own)| *own)
        };
        let scoped = self
            .scoped
            .iter()
            .filter(|own| any_of(&own.tools, server, tool));
        let scoped = scoped.filter_map(|own| in_list(&own.rules)).next();
        scoped.or_else(|| in_list(&self.rules)).unwrap_or(usual)
    }

    /// Whether any call may be rewritten.
    pub(crate) fn rewrites(&self) -> bool {
        self.own
            .iter()
            .any(|rule| rule.action == Treatment::Rewrite)
    }

    /// The rules that rewrite a tool's commands.
    pub(crate) fn rewriters(&self, server: &str, tool: &str) -> Vec<&OwnRule> {
        let is_meant = |rule: &&OwnRule| {
            (rule.tools.is_empty() || any_of(&rule.tools, server, tool))
                && self.treatment(&rule.id, server, tool, rule.action) == Treatment::Rewrite
        };
        self.own.iter().filter(is_meant).collect()
    }

    /// The policy's own rules that a call breaks, and the command that does.
    pub(crate) fn own(
        &self,
        server: &str,
        tool: &str,
        arguments: &Value,
        acts: &Acts,
    ) -> Vec<(&OwnRule, String)> {
        let broken = self.own.iter().filter_map(|rule| {
            let is_meant = rule.tools.is_empty() || any_of(&rule.tools, server, tool);
            if !is_meant
                || !rule
                    .arguments
                    .iter()
                    .all(|(at, values)| has(arguments, at, values))
            {
                return None;
            }
            let mut of_acts = acts.all.iter().zip(&acts.classes);
            let act = of_acts.find(|(act, classes)| breaks(rule, act, classes, acts));
            act.map(|(act, _)| (rule, act.name.clone()))
        });
        broken.collect()
    }
}

/// Whether one act breaks a rule of the policy's own, whatever the call's arguments say.
pub(super) fn breaks(rule: &OwnRule, act: &Act, classes: &Classes, acts: &Acts) -> bool {
    let mut paths = act.reads.iter().chain(&act.writes).chain(&act.deletes);
    let is_path = |path: &String| rule.paths.iter().any(|own| glob::covers_glob(own, path));
    let is_there = rule.paths.is_empty() || paths.any(is_path);
    is_there && holds(&rule.clause, act, classes, acts)
}

/// The ids of the rules and chains that come with Carboy.
pub(crate) fn ids() -> Vec<&'static str> {
    let rules = TOOLS.rules.iter().map(|rule| &*rule.id);
    let chains = CHAINS.chains.iter().map(|chain| &*chain.id);
    rules.chain(chains).chain([UNREADABLE]).collect()
}

/// What a call breaks whose commands cannot be read within bounds.
pub(crate) const UNREADABLE: &str = "unreadable-call";

/// How bad a broken rule of the policy's own is.
pub(crate) fn severity(treatment: Treatment) -> Severity {
    match treatment {
        Treatment::Block | Treatment::Ask | Treatment::Rewrite => Severity::High,
        Treatment::Warn | Treatment::Off => Severity::Low,
    }
}

fn any_of(patterns: &[Box<str>], server: &str, tool: &str) -> bool {
    patterns.iter().any(|own| is_of(own, server, tool))
}

/// `tool` on any server, or `server/tool`. A slash in a tool's own name parts nothing.
fn is_of(pattern: &str, server: &str, tool: &str) -> bool {
    let tool = tool.replace('/', ":");
    match pattern.contains('/') {
        true => glob::covers(pattern, &format!("{server}/{tool}")),
        false => glob::covers(pattern, &tool),
    }
}

fn has(arguments: &Value, at: &str, values: &[Box<str>]) -> bool {
    let value = match arguments.pointer(at) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => return false,
    };
    values
        .iter()
        .any(|own| glob::covers(&own.replace('*', "**"), &value))
}
