//! What becomes of what was seen: strictest wins, with destinations, exemptions, directions and the
//! floor; and audit mode, once, at the end.

use crate::crossing::{Direction, Scheme, SurfaceKind, Target, Time};
use crate::finding::{Action, Class, Finding, Severity};
use crate::host::HostPattern;
use crate::inspection::Engine;
use crate::known::{Part, is_piece};
use crate::policy::{Listing, Mode, Place};
use crate::refusal::may_add_home;
use crate::rules::{Origin, Rule};
use crate::scan::{Sighting, is_bomb};
use crate::verdict::{Decision, Digest, Refusal, Verdict};

/// Findings kept of one crossing. What blocks is decided before this limit is looked at.
const FINDINGS_MAX: usize = 64;

/// Where a rule's credential belongs.
#[derive(Debug)]
pub(crate) enum Home {
    /// At whichever host it is sent to, as a session's token is.
    Anywhere,
    /// At these hosts.
    At(Vec<HostPattern>),
}

impl Home {
    /// Whether a rule knows credentials by their surroundings alone.
    pub(crate) fn is_anywhere(rule: &Rule) -> bool {
        rule.home == ["*"]
    }

    /// As the rule says: `*` is anywhere.
    pub(crate) fn of(rule: &Rule) -> Self {
        if Self::is_anywhere(rule) {
            return Self::Anywhere;
        }
        let parse = |text: &&str| HostPattern::parse(text);
        let homes = rule.home.iter().map(parse).collect::<Result<_, _>>();
        Self::At(homes.expect("every rule's homes are tested to parse"))
    }
}

/// Why a credential is not at home although the host that it goes to is its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Astray {
    /// It goes in clear text, for anyone on the way to read.
    ClearText,
    /// It goes to another port.
    Port,
    /// It goes in another part of the crossing than such credentials do.
    Surface,
}

/// How a credential belongs where it goes.
enum Belonging {
    /// This is its home.
    Here,
    /// It has no home of its own, and goes where such credentials go: worth a record.
    Anywhere,
}

/// What a sighting is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) direction: Direction,
    pub(crate) target: &'a Target,
    pub(crate) path: &'a str,
    /// Whether the body is a form for an endpoint where tokens are exchanged.
    pub(crate) is_exchange: bool,
    pub(crate) now: Time,
}

impl Bench<'_> {
    /// What to make of a sighting; `None` when it is not worth a record.
    pub(crate) fn action(&self, sighting: &Sighting, kind: SurfaceKind) -> Option<Action> {
        let rule = sighting.rule;
        if let Some(part) = sighting.known {
            return self.known_action(rule, part, kind);
        }
        let score = sighting.score.as_ref();
        if score.is_some_and(|score| !self.engine.policy().records(score)) {
            return None;
        }
        if !is_judged(rule.class, self.direction) && rule.class == Class::Secret {
            return self.recorded(rule);
        }
        // A package is full of comments that read like orders, and no model reads it packed.
        if rule.class == Class::Injection && sighting.is_packed() {
            return self.recorded(rule);
        }
        if sighting.is_published() {
            return self.example_action(rule, kind);
        }
        let action = match rule.origin {
            Origin::Floor => Action::Block,
            // `Bearer` before a provider's own key says nothing more than the key does.
            Origin::Builtin if self.is_named_at_home(sighting, kind) => return None,
            Origin::Builtin if self.is_for_party(sighting) => return None,
            Origin::Builtin => {
                let (host, port) = (&self.target.host, self.target.port);
                let policy = self.engine.policy();
                policy.action_at(rule.class, self.severity(sighting), host, port)?
            }
        };
        match self.belonging(rule, kind) {
            Some(Belonging::Here) => return None,
            Some(Belonging::Anywhere) => return Some(Action::Warn),
            None => {}
        }
        if !is_judged(rule.class, self.direction) || self.is_exempt(rule, kind) {
            return Some(Action::Warn);
        }
        Some(action)
    }

    /// What to make of what is worth a record and no more, as a credential that comes in: who is sent it
    /// may have it, and what goes out is judged again.
    fn recorded(&self, rule: &Rule) -> Option<Action> {
        let action = self.engine.policy().action(rule.class, rule.severity);
        action.map(|_| Action::Warn)
    }

    /// What to make of an example key of a provider's documentation. Prompts, packages and pages that
    /// quote one go to services that are known; to any other host it may be a trial, or a key that only
    /// looks like an example.
    fn example_action(&self, rule: &Rule, kind: SurfaceKind) -> Option<Action> {
        let action = self.engine.policy().action(rule.class, rule.severity)?;
        Some(match self.is_stray_example(rule, kind) {
            true => action,
            false => Action::Warn,
        })
    }

    /// Whether an example of this rule's credentials goes to a host that neither the policy lists nor any
    /// rule knows as a provider.
    fn is_stray_example(&self, rule: &Rule, kind: SurfaceKind) -> bool {
        let (host, port) = (&self.target.host, self.target.port);
        let engine = self.engine;
        let is_provider = || self.target.scheme != Scheme::Http && engine.is_provider(host, port);
        let is_listed = || matches!(engine.policy().listing(host, Some(port)), Listing::Allowed);
        let is_own = matches!(engine.home(rule), Some(Home::At(_)));
        is_own
            && !engine.policy().adds_home(rule.id, host, port)
            && !self.is_exempt(rule, kind)
            && !is_listed()
            && !is_provider()
    }

    /// What to make of a known value. It is judged both ways: what comes back with it had it from
    /// somewhere.
    fn known_action(&self, rule: &Rule, part: Part, kind: SurfaceKind) -> Option<Action> {
        let known = self.engine.known();
        let policy = self.engine.policy();
        if is_piece(rule) {
            return None;
        }
        if rule.origin == Origin::Floor {
            // A decoy that comes back is replaced like any known value: it crosses neither way.
            let is_replaced = self.direction == Direction::Inbound && policy.redacts_secrets();
            return Some(match is_replaced {
                true => Action::Redact,
                false => Action::Block,
            });
        }
        let action = policy.action(rule.class, rule.severity)?;
        if self.is_known_home(part, kind) {
            return (self.direction == Direction::Inbound).then_some(Action::Warn);
        }
        let mut rules = known.rules(part).iter();
        let is_exempt = self.is_exempt(rule, kind) || rules.any(|own| self.is_exempt(own, kind));
        Some(if is_exempt { Action::Warn } else { action })
    }

    /// Whether a known value belongs at the target: where the policy says so, and where a rule that
    /// knows it too lets it travel.
    pub(crate) fn is_known_home(&self, part: Part, kind: SurfaceKind) -> bool {
        let known = self.engine.known();
        let (host, port) = (&self.target.host, self.target.port);
        let name = known.name(part);
        if kind != SurfaceKind::Host && self.engine.policy().is_known_home(name, host, port) {
            return true;
        }
        known.rules(part).iter().any(|rule| match self.direction {
            Direction::Outbound => matches!(self.belonging(rule, kind), Some(Belonging::Here)),
            Direction::Inbound => match self.engine.home(rule) {
                Some(Home::At(homes)) => homes.iter().any(|home| home.covers(host, port)),
                Some(Home::Anywhere) | None => false,
            },
        })
    }

    /// Whether the same bytes are a credential of a provider's own, at home where it was seen.
    fn is_named_at_home(&self, sighting: &Sighting, kind: SurfaceKind) -> bool {
        let is_here = |rule: &&Rule| matches!(self.belonging(rule, kind), Some(Belonging::Here));
        sighting.also.iter().any(is_here)
    }

    /// Whether a token goes to who issued it, or to whom it was issued for.
    fn is_for_party(&self, sighting: &Sighting) -> bool {
        self.direction == Direction::Outbound
            && self.target.scheme != Scheme::Http
            && sighting.parties.include(&self.target.host)
    }

    /// What is wrong with a credential's way to its own home, where it is on one.
    pub(crate) fn astray(&self, rule: &Rule) -> Option<Astray> {
        if rule.class != Class::Secret || self.direction != Direction::Outbound {
            return None;
        }
        let (host, port) = (&self.target.host, self.target.port);
        let own = match self.engine.home(rule) {
            Some(Home::At(homes)) => &homes[..],
            Some(Home::Anywhere) | None => &[],
        };
        let policy = self.engine.policy();
        let is_here = own.iter().any(|home| home.covers(host, port));
        if is_here && self.target.scheme == Scheme::Http {
            Some(Astray::ClearText)
        } else if is_here || policy.adds_home(rule.id, host, port) {
            Some(Astray::Surface)
        } else if own.iter().any(|home| home.covers_host(host)) || policy.has_home(rule.id, host) {
            Some(Astray::Port)
        } else {
            None
        }
    }

    /// What comes in unread is a lesser evil than what goes out unread, unless it is made to fill its
    /// reader's memory. A score is as bad as the policy takes it.
    pub(crate) fn severity(&self, sighting: &Sighting) -> Severity {
        let incoming = self.direction == Direction::Inbound;
        match &sighting.score {
            Some(score) => self.engine.policy().severity_of(score),
            None if incoming && sighting.rule.class == Class::Opaque && !is_bomb(sighting.rule) => {
                sighting.severity.min(Severity::Medium)
            }
            None => sighting.severity,
        }
    }

    /// Whether this credential belongs at the target and travels where credentials do. The rule's
    /// own homes want TLS; those that the policy adds are taken as written.
    fn belonging(&self, rule: &Rule, kind: SurfaceKind) -> Option<Belonging> {
        if rule.class != Class::Secret || self.direction != Direction::Outbound {
            return None;
        }
        let (host, port) = (&self.target.host, self.target.port);
        // After the handshake a message is the only place that a WebSocket has for a credential.
        let is_message = kind == SurfaceKind::WsMessage && !Home::is_anywhere(rule);
        let travels = rule.home_in.contains(&kind) || is_message;
        let may_add = rule.origin == Origin::Builtin && (travels || may_add_home(kind));
        if may_add && self.engine.policy().adds_home(rule.id, host, port) {
            return Some(Belonging::Here);
        }
        let is_anywhere = Home::is_anywhere(rule);
        let is_exchanged = is_anywhere && self.is_exchange && kind == SurfaceKind::Body;
        if !(travels || is_exchanged) || self.target.scheme == Scheme::Http {
            return None;
        }
        match self.engine.home(rule)? {
            Home::Anywhere => Some(Belonging::Anywhere),
            Home::At(homes) => {
                let here = homes.iter().any(|home| home.covers(host, port));
                here.then_some(Belonging::Here)
            }
        }
    }

    fn is_exempt(&self, rule: &Rule, surface: SurfaceKind) -> bool {
        let (host, port) = (&self.target.host, self.target.port);
        let place = Place {
            host,
            port,
            path: self.path,
            surface,
        };
        rule.origin == Origin::Builtin && self.engine.policy().exempts(rule.id, place, self.now)
    }
}

/// Secrets and personal data are judged on their way out, instructions on their way in.
fn is_judged(class: Class, direction: Direction) -> bool {
    match (class, direction) {
        (Class::Secret | Class::Personal | Class::Entropy | Class::Shape, Direction::Outbound) => {
            true
        }
        (Class::Secret | Class::Personal | Class::Entropy | Class::Shape, Direction::Inbound) => {
            false
        }
        (Class::Injection, Direction::Inbound) => true,
        (Class::Injection, Direction::Outbound) => false,
        (Class::Tool, Direction::Outbound) => true,
        (Class::Tool, Direction::Inbound) => false,
        (Class::Opaque, Direction::Outbound | Direction::Inbound) => true,
        (Class::Media, Direction::Inbound) => true,
        (Class::Media, Direction::Outbound) => false,
    }
}

/// What one crossing has been found to be, so far.
#[derive(Debug, Default)]
pub(crate) struct Docket {
    findings: Vec<Finding>,
    /// With its severity, and that of its rule where nothing speaks against what it found.
    refusal: Option<((Severity, Severity), Refusal)>,
}

impl Docket {
    /// Keeps a finding, once for each rule, content and kind of surface.
    pub(crate) fn record(&mut self, finding: Finding) {
        let same = |own: &Finding| {
            own.rule == finding.rule
                && own.fingerprint == finding.fingerprint
                && own.locus.surface == finding.locus.surface
        };
        if self.findings.len() < FINDINGS_MAX && !self.findings.iter().any(same) {
            self.findings.push(finding);
        }
    }

    /// What has been kept so far.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether a rule has been seen in a kind of surface.
    pub(crate) fn has(&self, rule: &str, kind: SurfaceKind) -> bool {
        self.findings
            .iter()
            .any(|own| *own.rule == *rule && own.locus.surface == kind)
    }

    /// The strictest refusal stands; among equals the first.
    pub(crate) fn refuse(&mut self, severity: Severity, refusal: Refusal) {
        self.refuse_by(severity, severity, refusal);
    }

    /// The same, by a rule: among equals the graver rule's stands, as a provider's key says more than
    /// that a setting looks like one.
    pub(crate) fn refuse_by(&mut self, rule: Severity, severity: Severity, refusal: Refusal) {
        let weight = (severity, rule);
        let stricter = self.refusal.as_ref().is_none_or(|(own, _)| *own < weight);
        if stricter {
            self.refusal = Some((weight, refusal));
        }
    }

    /// Whether nothing more may pass. Audit mode goes on.
    pub(crate) fn is_stopped(&self, mode: Mode) -> bool {
        self.refusal.is_some() && is_enforced(mode)
    }

    /// The verdict on what was judged.
    pub(crate) fn decide(self, mode: Mode, policy: Digest) -> Verdict {
        let refusal = self.refusal.map(|(_, refusal)| refusal);
        let (decision, shadow) = match refusal {
            Some(refusal) if is_enforced(mode) => (Decision::Block(refusal), None),
            shadow => (Decision::Allow, shadow),
        };
        Verdict {
            decision,
            findings: self.findings,
            shadow,
            policy,
            ruling: None,
        }
    }

    /// The verdict when the shell met a fault: nothing can cross, whatever the mode. A refusal that
    /// came before it stands.
    pub(crate) fn fail(self, fault: Refusal, mode: Mode, policy: Digest) -> Verdict {
        let mut verdict = self.decide(mode, policy);
        if let Decision::Allow = verdict.decision {
            verdict.decision = Decision::Block(fault);
        }
        verdict
    }
}

/// The one place where audit mode is applied.
fn is_enforced(mode: Mode) -> bool {
    match mode {
        Mode::Strict | Mode::Balanced => true,
        Mode::Audit => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Home;
    use crate::scan::Scanner;

    #[test]
    fn every_home_parses() {
        for rule in Scanner::rules() {
            assert!(
                matches!(Home::of(rule), Home::At(_) | Home::Anywhere),
                "{}",
                rule.id
            );
        }
    }
}
