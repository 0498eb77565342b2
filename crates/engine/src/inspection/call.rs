//! What a call of a tool does: judged by the policy's lists, rules, chains and budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Inspection;
use super::content::shown_name;
use crate::crossing::{CrossingKind, Surface, SurfaceKind, Time};
use crate::finding::{Action, Class, Finding, Locus, Severity};
use crate::refusal::{self, Broken, Called, Why};
use crate::session::Session;
use crate::tool::{self, Acts, Call, Deed, Families, Kinds, ToolListing, Treatment, UNREADABLE};
use crate::verdict::{PLEA_BYTES_MAX, Plea, Ruling};

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
    /// The call that a person must let pass.
    held: Option<Held>,
    /// What was said of it.
    pub(super) ruling: Option<Ruling>,
}

/// A call that a person must let pass.
#[derive(Debug)]
struct Held {
    tool: String,
    arguments: Vec<u8>,
    deed: Deed,
    /// What it breaks that the policy asks about.
    asked: Vec<Broken>,
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
        let (rules, deed) = self.broken(call, &value, &acts, session, now);
        let mut is_refused = false;
        let mut asked = Vec::new();
        for (usual, broken) in rules {
            let terms = self.engine.policy.terms();
            let treatment = terms.treatment(&broken.id, call.server, call.tool, usual);
            match treatment {
                Treatment::Ask if !self.is_audit() => asked.push(broken),
                _ => is_refused |= self.settle_rule(call, treatment, broken),
            }
        }
        if is_refused && !self.is_audit() {
            for broken in asked {
                self.settle_rule(call, Treatment::Ask, broken);
            }
        } else if asked.is_empty() {
            session.ledger().make(call, deed);
        } else {
            self.calling.held = Some(Held {
                tool: tool.to_owned(),
                arguments: arguments.to_vec(),
                deed,
                asked,
            });
        }
    }

    /// What a person is to be asked, if anything.
    pub(super) fn plea(&self) -> Option<Plea> {
        let held = self.calling.held.as_ref()?;
        let Called { server, tool } = self.called(&self.server(), &held.tool);
        let is_private = |own: &Finding| matches!(own.class, Class::Secret | Class::Personal);
        let is_private = self.docket.findings().iter().any(is_private);
        let rules = held.asked.iter();
        Some(Plea {
            server,
            tool,
            rules: rules
                .map(|own| (own.id.clone(), own.title.clone()))
                .collect(),
            arguments: (!is_private).then(|| shown_arguments(&held.arguments)),
            wait: self.engine.policy.terms().ask_wait,
        })
    }

    /// Hears what became of the plea.
    pub(super) fn rule_call(&mut self, ruling: Ruling, session: &Session, now: Time) {
        let Some(mut held) = self.calling.held.take() else {
            return;
        };
        let server = self.server();
        let call = Call {
            server: &server,
            tool: &held.tool,
            arguments: &held.arguments,
        };
        let may_pass = matches!(ruling, Ruling::Allowed(_));
        self.calling.ruling = Some(ruling);
        let treatment = match may_pass {
            true => Treatment::Warn,
            false => Treatment::Ask,
        };
        for broken in std::mem::take(&mut held.asked) {
            self.settle_rule(call, treatment, broken);
        }
        if may_pass {
            held.deed.at = now.elapsed;
            session.ledger().make(call, held.deed);
        }
    }

    /// A call whose plea was not answered does not pass.
    pub(super) fn refuse_unanswered(&mut self) {
        let Some(held) = self.calling.held.take() else {
            return;
        };
        let server = self.server();
        let call = Call {
            server: &server,
            tool: &held.tool,
            arguments: &held.arguments,
        };
        for broken in held.asked {
            self.settle_rule(call, Treatment::Ask, broken);
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
    fn settle_rule(&mut self, call: Call<'_>, treatment: Treatment, broken: Broken) -> bool {
        let action = match treatment {
            Treatment::Off => return false,
            Treatment::Warn => Action::Warn,
            // What could be rewritten was, before the call was judged.
            Treatment::Block | Treatment::Ask | Treatment::Rewrite => Action::Block,
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
            let why = match treatment {
                Treatment::Ask => Why::Asked(self.calling.ruling.as_ref()),
                Treatment::Rewrite => Why::CannotRewrite,
                Treatment::Block | Treatment::Warn | Treatment::Off => Why::Blocked,
            };
            let refusal = refusal::rule_broken(called, &broken, &finding.locus, why);
            self.docket.refuse(broken.severity, refusal);
        }
        self.docket.record(finding);
        action == Action::Block
    }

    /// A call's command, where the policy has a safer one for it. The receipt tells both by their
    /// fingerprints: what it was at the argument, what it is at the call.
    pub(super) fn rewrite_command(
        &mut self,
        next: Surface<'_>,
        session: &Session,
    ) -> Option<Vec<u8>> {
        let tool = self.calling.due.clone()?;
        let text = std::str::from_utf8(next.bytes).ok()?;
        if next.kind != SurfaceKind::Argument {
            return None;
        }
        let server = self.server();
        let told = session.ledger().told(&server, &tool);
        if !tool::is_command(&tool, &told, next.name) {
            return None;
        }
        let engine = Arc::clone(&self.engine);
        let rules = engine.policy.terms().rewriters(&server, &tool);
        let rewritten = tool::rewrite(text, &rules)?;
        for rule in rewritten.rules {
            let places = [
                (SurfaceKind::Argument, next.name, next.bytes),
                (SurfaceKind::Call, &*tool, rewritten.text.as_bytes()),
            ];
            for (surface, name, bytes) in places {
                self.docket.record(Finding {
                    rule: rule.id.clone(),
                    class: Class::Tool,
                    severity: tool::severity(rule.action),
                    action: Action::Rewrite,
                    locus: Locus {
                        surface,
                        name: shown_name(name.as_bytes()).into(),
                        offset: 0,
                        via: Vec::new(),
                    },
                    fingerprint: engine.scanner.fingerprint(bytes),
                    score: None,
                });
            }
        }
        Some(rewritten.text.into_bytes())
    }

    fn break_rule(&mut self, call: Call<'_>, broken: Broken) {
        let terms = self.engine.policy.terms();
        let treatment = terms.treatment(&broken.id, call.server, call.tool, Treatment::Block);
        self.settle_rule(call, treatment, broken);
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

/// The beginning of a call's arguments.
fn shown_arguments(arguments: &[u8]) -> String {
    let text = String::from_utf8_lossy(arguments);
    let mut end = text.len().min(PLEA_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match end < text.len() {
        true => format!("{}... ({} bytes in all)", &text[..end], text.len()),
        false => text.into_owned(),
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
