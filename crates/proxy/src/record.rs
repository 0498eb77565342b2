//! A verdict in the receipt's words.

use std::borrow::Cow;

use carboy_engine::{Action, Decision, Direction, Finding, Host, Refusal, Target, Verdict};
use carboy_receipt::{Digest, Fingerprint, Record, Shadow, Withhold};

/// The part of a receipt that tells the verdict.
pub(crate) fn of(verdict: &Verdict) -> Record<'_> {
    let (decision, refusal) = match &verdict.decision {
        Decision::Allow => (carboy_receipt::Decision::Allow, None),
        Decision::Block(refusal) => (carboy_receipt::Decision::Block, Some(refusal)),
    };
    Record {
        decision,
        reason: refusal.map(|refusal| refusal.reason.as_str().into()),
        rule: refusal
            .filter(|refusal| !refusal.rule.is_empty())
            .map(|it| (&*it.rule).into()),
        findings: verdict.findings.iter().map(finding).collect(),
        ruling: verdict.ruling.as_ref().map(|own| own.to_string().into()),
        shadow: verdict.shadow.as_ref().map(shadow),
        policy: Digest::new(verdict.policy.0),
        ..Record::default()
    }
}

pub(crate) fn direction(direction: Direction) -> carboy_receipt::Direction {
    match direction {
        Direction::Outbound => carboy_receipt::Direction::Outbound,
        Direction::Inbound => carboy_receipt::Direction::Inbound,
    }
}

/// The far end.
pub(crate) fn target(target: &Target) -> carboy_receipt::Target<'_> {
    carboy_receipt::Target {
        host: match &target.host {
            Host::Name(name) => Cow::Borrowed(name),
            host @ Host::Addr(_) => host.to_string().into(),
        },
        port: target.port,
        scheme: target.scheme.as_str().into(),
    }
}

/// What a receipt with these findings leaves out.
pub(crate) fn withhold(far: &Target, findings: &[Finding]) -> Withhold {
    let told = Record {
        target: target(far),
        findings: findings.iter().map(finding).collect(),
        ..Record::default()
    };
    told.withhold()
}

fn finding(finding: &Finding) -> carboy_receipt::Finding<'_> {
    let action = match finding.action {
        Action::Warn => "warn",
        Action::Redact => "redact",
        Action::Strip => "strip",
        Action::Rewrite => "rewrite",
        Action::Block => "block",
    };
    let score = finding.score.as_ref();
    carboy_receipt::Finding {
        action: action.into(),
        class: finding.class.as_str().into(),
        fingerprint: Fingerprint::new(finding.fingerprint.0),
        name: (&*finding.locus.name).into(),
        offset: finding.locus.offset,
        rule: (&*finding.rule).into(),
        score: score.map(|score| score.points),
        severity: finding.severity.as_str().into(),
        signals: score
            .iter()
            .flat_map(|score| &score.signals)
            .map(|signal| (*signal).into())
            .collect(),
        surface: finding.locus.surface.as_str().into(),
        via: finding
            .locus
            .via
            .iter()
            .map(|step| (*step).into())
            .collect(),
    }
}

fn shadow(refusal: &Refusal) -> Shadow<'_> {
    Shadow {
        reason: refusal.reason.as_str().into(),
        rule: (&*refusal.rule).into(),
    }
}
