//! Content with its secrets replaced and its instructions cut out, where the policy says `redact` or
//! `strip`, and commands written anew, where it says `rewrite`.
//!
//! It is done before a surface is pushed: what comes out is inspected like anything else, so that what
//! was not replaced, or must not be, is refused.

mod carrier;
mod drawing;
mod place;
mod restore;
mod uncoded;

use std::borrow::Cow;

use super::Inspection;
use super::content::shown_name;
use crate::crossing::{CrossingKind, Direction, Surface, SurfaceKind, Time};
use crate::finding::{Action, Finding, Locus, Severity};
use crate::scan::{Sighting, decode};
use crate::session::Session;
use carrier::Form;
use place::{Edit, Spelling};
pub use restore::Restorer;

/// Replacements in one surface. Content with more is not the odd secret in a text: it is refused.
const EDITS_MAX: usize = 256;

/// How often content is looked through again after something was cut out of it: with each sentence
/// that goes, the next may show.
const ROUNDS_MAX: usize = 4;

/// Decoded content that is rewritten. Larger content is inspected as ever.
const DECODED_BYTES_MAX: usize = 16 << 20;

/// Content in which something that would block cannot be replaced.
struct Unfit;

impl Inspection {
    /// Whether the policy wants anything replaced or cut out, so that there is reason to call
    /// [`Inspection::redact`]. Audit mode changes nothing.
    pub fn redacts(&self) -> bool {
        let policy = &self.engine.policy;
        let wants = match self.kind.direction() {
            Direction::Outbound => {
                let calls = self.kind == CrossingKind::McpRequest;
                policy.redacts() || (calls && policy.terms().rewrites())
            }
            Direction::Inbound => {
                let knows = !self.engine.known().is_empty();
                policy.strips() || (policy.redacts_secrets() && knows) || self.strips_drawing()
            }
        };
        wants && !self.is_audit()
    }

    /// A surface's content with every finding replaced or cut out that the policy wants so, and that
    /// can be, and a call's command as the policy writes it anew; `None` where there is none. A
    /// [`SurfaceKind::Body`] must be whole, or whole events of it. One in a content coding comes back without it, and is taken to be in none from then on. A
    /// [`SurfaceKind::Path`] is only noted, for the exemptions that name it.
    ///
    /// Each placeholder is `<carboy:RULE:N>`, spelt as the place wants it; the same secret has the same
    /// number all session long. What is pushed afterwards must be what this returns.
    pub fn redact(&mut self, next: Surface<'_>, session: &Session, now: Time) -> Option<Vec<u8>> {
        if next.kind == SurfaceKind::Path {
            self.keep_path(next.bytes);
        }
        if !self.redacts() || self.is_stopped() || !may_redact(next.kind) {
            return None;
        }
        let safer = self.rewrite_command(next, session);
        let is_safer = safer.is_some();
        let decoded = match safer {
            Some(safer) => Some(safer),
            None => self.decoded(next).ok()?,
        };
        let is_coded = decoded.is_some();
        let mut content = decoded.map_or(Cow::Borrowed(next.bytes), Cow::Owned);
        let mut findings = Vec::new();
        if let Some(cut) = self.cut_drawing(next.kind, &content, &mut findings, now) {
            content = Cow::Owned(cut);
        }
        for _ in 0..ROUNDS_MAX {
            let surface = Surface {
                bytes: &content,
                ..next
            };
            match self.rewrite(surface, &mut findings, session, now) {
                Ok(Some(rewritten)) => content = Cow::Owned(rewritten),
                Ok(None) => break,
                Err(Unfit) => return None,
            }
        }
        if findings.is_empty() && !is_safer {
            return None;
        }
        for finding in findings {
            self.docket.record(finding);
        }
        if is_coded && !is_safer {
            self.encoding.clear();
        }
        Some(content.into_owned())
    }

    /// What a body's coding makes of it; none where it has none.
    fn decoded(&self, next: Surface<'_>) -> Result<Option<Vec<u8>>, Unfit> {
        if next.kind != SurfaceKind::Body || self.encoding.is_empty() {
            return Ok(None);
        }
        let decoded = decode(&self.encoding, next.bytes, DECODED_BYTES_MAX);
        decoded.map(Some).ok_or(Unfit)
    }

    /// Looks through content once. None where nothing is to be changed.
    fn rewrite(
        &mut self,
        next: Surface<'_>,
        findings: &mut Vec<Finding>,
        session: &Session,
        now: Time,
    ) -> Result<Option<Vec<u8>>, Unfit> {
        let mut found = Vec::new();
        // Content too costly to look through meets the same end when it is pushed.
        self.scan_afresh(next.kind, next.bytes, &mut found)
            .map_err(|_| Unfit)?;
        let bench = self.bench(now);
        let (mut edits, mut passages) = (Vec::new(), Vec::new());
        for sighting in found {
            let Some(action) = bench.action(&sighting, next.kind) else {
                continue;
            };
            match action {
                Action::Warn | Action::Rewrite | Action::Block => continue,
                Action::Redact => edits.push(self.replacement(&sighting, next, session)?),
                Action::Strip if may_strip(next.kind) => {
                    passages.push(place::range(&sighting, next.bytes).ok_or(Unfit)?);
                }
                Action::Strip => return Err(Unfit),
            }
            let severity = bench.severity(&sighting);
            findings.push(finding(sighting, (severity, action), next));
        }
        if edits.len() + passages.len() > EDITS_MAX {
            return Err(Unfit);
        }
        let form = self.form(next);
        let mut places = place::everywhere(next.bytes, &edits);
        places.extend(carrier::cuts(next.bytes, form, passages).ok_or(Unfit)?);
        if places.is_empty() {
            return Ok(None);
        }
        let rewritten = place::apply(next.bytes, places);
        match place::is_still(form, next.bytes, &rewritten) {
            true => Ok(Some(rewritten)),
            false => Err(Unfit),
        }
    }

    fn replacement(
        &self,
        sighting: &Sighting,
        next: Surface<'_>,
        session: &Session,
    ) -> Result<Edit, Unfit> {
        let spelling = self.spelling(next);
        let range = place::value(sighting, next.bytes, spelling).ok_or(Unfit)?;
        let number = session.placeholder(sighting.rule, sighting.fingerprint);
        let is_plain = sighting.via.is_empty() && number > 0;
        if is_plain && self.kind.direction() == Direction::Outbound && self.engine.policy.restores()
        {
            let key = format!("{}:{number}", sighting.rule.id);
            let host = self.target.host.to_string();
            session.keep_original(&key, &next.bytes[range.clone()], &host);
        }
        Ok(Edit {
            range,
            text: place::placeholder(sighting.rule.id, number, spelling),
        })
    }

    fn spelling(&self, next: Surface<'_>) -> Spelling {
        match next.kind {
            SurfaceKind::Query => Spelling::Percent,
            SurfaceKind::Body if self.is_form => Spelling::Percent,
            _ => match self.form(next) {
                Form::Json => Spelling::Json,
                Form::Markup => Spelling::Entity,
                Form::Events | Form::Text => Spelling::Plain,
            },
        }
    }

    fn form(&self, next: Surface<'_>) -> Form {
        match next.kind {
            SurfaceKind::Body if self.events.is_some() => Form::Events,
            SurfaceKind::Body
            | SurfaceKind::Argument
            | SurfaceKind::Message
            | SurfaceKind::WsMessage => Form::of(next.bytes),
            SurfaceKind::Host
            | SurfaceKind::Url
            | SurfaceKind::Path
            | SurfaceKind::Query
            | SurfaceKind::Header
            | SurfaceKind::Trailer
            | SurfaceKind::Stream
            | SurfaceKind::Tool
            | SurfaceKind::Call
            | SurfaceKind::Definition => Form::Text,
        }
    }
}

/// Where a placeholder can stand for what it replaces.
fn may_redact(kind: SurfaceKind) -> bool {
    matches!(kind, SurfaceKind::Query | SurfaceKind::Header) || may_strip(kind)
}

/// Where a passage can be cut out.
fn may_strip(kind: SurfaceKind) -> bool {
    matches!(
        kind,
        SurfaceKind::Body | SurfaceKind::Argument | SurfaceKind::Message | SurfaceKind::WsMessage
    )
}

fn finding(
    sighting: Sighting,
    (severity, action): (Severity, Action),
    next: Surface<'_>,
) -> Finding {
    Finding {
        rule: sighting.rule.id.into(),
        class: sighting.rule.class,
        severity,
        action,
        locus: Locus {
            surface: next.kind,
            name: shown_name(next.name.as_bytes()).into(),
            offset: sighting.offset,
            via: sighting.via,
        },
        fingerprint: sighting.fingerprint,
        score: sighting.score,
    }
}
