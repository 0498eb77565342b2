//! What a call of a tool does: judged by the policy's lists, rules, chains and budgets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Inspection;
use super::content::shown_name;
use crate::crossing::{CrossingKind, SurfaceKind, Time};
use crate::finding::{Action, Class, Finding, Locus, Severity};
use crate::refusal::{self, Broken, Called};
use crate::session::Session;
use crate::tool::{self, Acts, Call, Deed, Families, Kinds, ToolListing, Treatment, UNREADABLE};

/// Tools of one list whose descriptions are looked at.
const LISTED_MAX: usize = 4096;

/// The tool that a message is about, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Calling {
    /// The tool that is called, until its arguments are judged.
    due: Option<String>,
    /// Of a result: the classes of the calls that it may answer.
    answers: Kinds,
    /// Of a list of tools: what is said of each, by its place.
    listed: BTreeMap<u32, Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    name: String,
    families: Families,
}

impl Inspection {
    /// A tool is called: its name is judged by the lists.
    pub(super) fn begin_call(&mut self, tool: &str) {
        self.calling.due = Some(tool.to_owned());
        let (server, policy) = (self.server(), &self.engine.policy);
        let refusal = match policy.terms().listing(&server, tool) {
            ToolListing::Allowed => return,
            ToolListing::Denied(pattern) => {
                refusal::tool_denied(self.called(&server, tool), pattern)
            }
            ToolListing::Unlisted => refusal::tool_not_allowed(self.called(&server, tool)),
        };
        self.docket.refuse(Severity::High, refusal);
    }

    /// A call that came without arguments does something all the same.
    pub(super) fn end_call(&mut self, session: &Session, now: Time) {
        if let Some(tool) = self.calling.due.take() {
            self.judge_call(&tool, b"{}", session, now);
        }
    }

    /// A call with its arguments.
    pub(super) fn judge_call(
        &mut self,
        tool: &str,
        arguments: &[u8],
        session: &Session,
        now: Time,
    ) {
        self.calling.due = None;
        if self.is_stopped() || self.kind != CrossingKind::McpRequest {
            return;
        }
        let server = self.server();
        let call = Call {
            server: &server,
            tool,
            arguments,
        };
        let room = session
            .ledger()
            .room(call, &self.engine.policy.terms().limits, now.elapsed);
        if let Err(spent) = room {
            self.docket.refuse(
                Severity::Medium,
                refusal::calls_spent(self.called(&server, tool), &spent),
            );
            return;
        }
        let Ok(value) = serde_json::from_slice::<Value>(arguments) else {
            return self.break_rule(call, unreadable());
        };
        let told = session.ledger().told(&server, tool);
        let acts = tool::acts(&tool::material(tool, &told, &value));
        let broken = self.broken(call, &value, &acts, session, now);
        let mut is_refused = false;
        for (usual, broken) in broken.0 {
            is_refused |= self.settle_rule(call, usual, broken);
        }
        if !is_refused || self.is_audit() {
            session.ledger().make(call, broken.1);
        }
    }

    /// The rules and chains that a call breaks, and what it is to later chains.
    fn broken(
        &self,
        call: Call<'_>,
        arguments: &Value,
        acts: &Acts,
        session: &Session,
        now: Time,
    ) -> (Vec<(Treatment, Broken)>, Deed) {
        let mut broken = Vec::new();
        if acts.is_cut {
            broken.push((Treatment::Block, unreadable()));
        }
        let matches = tool::judge(acts);
        for own in &matches {
            let title = own.rule.title.clone();
            let broke = Broken {
                id: own.rule.id.as_str().into(),
                title,
                command: own.command.clone(),
                severity: own.rule.severity.into(),
            };
            broken.push((own.rule.action.into(), broke));
        }
        let terms = self.engine.policy.terms();
        for (rule, command) in terms.own(call.server, call.tool, arguments, acts) {
            let severity = tool::severity(rule.action);
            let broke = Broken {
                id: rule.id.clone(),
                title: rule.title.to_string(),
                command,
                severity,
            };
            broken.push((rule.action, broke));
        }
        let ledger = session.ledger();
        let deed = Deed {
            kinds: tool::kinds(call.tool, acts, &matches),
            paths: acts.subjects().map(|path| ledger.path(&path)).collect(),
            at: now.elapsed,
        };
        for ended in ledger.ends(&deed, &texts(arguments)) {
            let title = match ended.flows {
                true => format!("{}; what was read is in it", ended.chain.title),
                false => ended.chain.title.clone(),
            };
            let broke = Broken {
                id: ended.chain.id.as_str().into(),
                title,
                command: String::new(),
                severity: ended.severity().into(),
            };
            broken.push((ended.becomes().into(), broke));
        }
        (broken, deed)
    }

    /// Records a broken rule as the policy has it. Returns whether the call is refused.
    fn settle_rule(&mut self, call: Call<'_>, usual: Treatment, broken: Broken) -> bool {
        let terms = self.engine.policy.terms();
        let treatment = terms.treatment(&broken.id, call.server, call.tool, usual);
        let action = match treatment {
            Treatment::Off => return false,
            Treatment::Warn => Action::Warn,
            Treatment::Block | Treatment::Ask => Action::Block,
        };
        let finding = Finding {
            rule: broken.id.clone(),
            class: Class::Tool,
            severity: broken.severity,
            action,
            locus: Locus {
                surface: SurfaceKind::Call,
                name: shown_name(call.tool.as_bytes()).into(),
                offset: 0,
                via: Vec::new(),
            },
            fingerprint: self.engine.scanner.fingerprint(call.arguments),
            score: None,
        };
        if action == Action::Block {
            let called = self.called(call.server, call.tool);
            let asks = treatment == Treatment::Ask;
            let refusal = refusal::rule_broken(called, &broken, &finding.locus, asks);
            self.docket.refuse(broken.severity, refusal);
        }
        self.docket.record(finding);
        action == Action::Block
    }

    fn break_rule(&mut self, call: Call<'_>, broken: Broken) {
        self.settle_rule(call, Treatment::Block, broken);
    }

    fn called(&self, server: &str, tool: &str) -> Called {
        Called {
            server: shown_name(server.as_bytes()),
            tool: shown_name(tool.as_bytes()),
        }
    }

    fn server(&self) -> String {
        self.target.host.to_string()
    }
}

impl Inspection {
    /// A result names the tool whose call it answers.
    pub(super) fn begin_answer(&mut self, tool: &str, session: &Session) {
        self.calling.answers = session.ledger().answer(&self.server(), tool);
    }

    /// A text of a result: what matters of it is known again when it goes out.
    pub(super) fn note_result(&mut self, text: &[u8], session: &Session) {
        let is_secret = self
            .docket
            .findings()
            .iter()
            .any(|own| own.class == Class::Secret);
        let secret = if is_secret {
            Kinds::named("secret")
        } else {
            Kinds::NONE
        };
        let kinds = self.calling.answers.and(secret);
        if let Ok(text) = std::str::from_utf8(text) {
            session.ledger().note(text, kinds);
        }
    }

    /// A text of a list of tools: what it says of a tool.
    pub(super) fn note_definition(&mut self, at: &str, text: &[u8]) {
        let Some((place, part)) = at
            .strip_prefix("/result/tools/")
            .and_then(|rest| rest.split_once('/'))
        else {
            return;
        };
        let (Ok(place), Ok(text)) = (place.parse(), std::str::from_utf8(text)) else {
            return;
        };
        let listed = &mut self.calling.listed;
        if listed.len() >= LISTED_MAX && !listed.contains_key(&place) {
            return;
        }
        let own = listed.entry(place).or_default();
        match part {
            // The name `name` itself comes first, then what it is.
            "name" => text.clone_into(&mut own.name),
            "description" | "title" | "annotations/title" => {
                own.families.extend(tool::of_description(text))
            }
            _ => {}
        }
    }

    /// The list has passed: what it said of tools holds from now on.
    pub(super) fn end_list(&mut self, session: &Session) {
        let server = self.server();
        for listed in std::mem::take(&mut self.calling.listed).into_values() {
            if !listed.families.is_empty() {
                session
                    .ledger()
                    .tell(&server, &listed.name, listed.families);
            }
        }
    }
}

fn unreadable() -> Broken {
    Broken {
        id: UNREADABLE.into(),
        title: "A call that is too long or too deep to be read".to_owned(),
        command: String::new(),
        severity: Severity::High,
    }
}

/// All strings of the arguments, one a line.
fn texts(value: &Value) -> String {
    let mut out = String::new();
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    out
}
