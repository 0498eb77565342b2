//! Content with its secrets replaced, where the policy says `redact`.
//!
//! It is done before a surface is pushed: what comes out is inspected like anything else, so that what
//! was not replaced, or must not be, is refused.

use std::ops::Range;

use memchr::memmem;
use serde::de::IgnoredAny;

use super::Inspection;
use super::content::shown_name;
use crate::crossing::{Direction, Surface, SurfaceKind, Time};
use crate::finding::{Action, Finding, Locus};
use crate::rules::Rule;
use crate::session::Session;

/// Replacements in one surface. Content with more is not the odd secret in a text: it is refused.
const EDITS_MAX: usize = 256;

/// How a placeholder is spelt, so that what it stands in stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    /// Within a URL or a form (RFC 3986, section 2.1).
    Percent,
    /// Within XML or HTML.
    Entity,
    /// Within JSON, which must be JSON afterwards.
    Json,
}

/// A part to be replaced.
struct Edit {
    range: Range<usize>,
    rule: &'static Rule,
    number: u32,
}

impl Inspection {
    /// Whether the policy wants anything replaced, so that there is reason to call
    /// [`Inspection::redact`]. Audit mode changes nothing.
    pub fn redacts(&self) -> bool {
        let is_outbound = self.kind.direction() == Direction::Outbound;
        is_outbound && self.engine.policy.redacts() && !self.is_audit()
    }

    /// A surface's content with every finding replaced that the policy wants redacted, and that can be;
    /// `None` where there is none. A [`SurfaceKind::Body`] must be whole and in no content coding. A
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
        let mut found = Vec::new();
        // Content too costly to look through meets the same end when it is pushed.
        self.scan_afresh(next.kind, next.bytes, &mut found).ok()?;
        let bench = self.bench(now);
        found.retain(|own| bench.action(own, next.kind) == Some(Action::Redact));
        let mut edits = Vec::new();
        let mut findings = Vec::new();
        for sighting in found {
            let range = plain_range(&sighting.via, sighting.offset, sighting.len, next.bytes)?;
            let number = session.placeholder(sighting.rule, sighting.fingerprint);
            edits.push(Edit {
                range,
                rule: sighting.rule,
                number,
            });
            findings.push(Finding {
                rule: sighting.rule.id.into(),
                class: sighting.rule.class,
                severity: bench.severity(&sighting),
                action: Action::Redact,
                locus: Locus {
                    surface: next.kind,
                    name: shown_name(next.name.as_bytes()).into(),
                    offset: sighting.offset,
                    via: sighting.via,
                },
                fingerprint: sighting.fingerprint,
                score: sighting.score,
            });
        }
        let redacted = rewrite(next.bytes, edits, self.spelling(next))?;
        for finding in findings {
            self.docket.record(finding);
        }
        Some(redacted)
    }

    fn spelling(&self, next: Surface<'_>) -> Spelling {
        match next.kind {
            SurfaceKind::Query => Spelling::Percent,
            SurfaceKind::Body if self.is_form => Spelling::Percent,
            SurfaceKind::Body | SurfaceKind::Argument | SurfaceKind::Message => {
                spelling(next.bytes)
            }
            _ => Spelling::Plain,
        }
    }
}

/// Where a placeholder can stand for what it replaces.
fn may_redact(kind: SurfaceKind) -> bool {
    matches!(
        kind,
        SurfaceKind::Query
            | SurfaceKind::Header
            | SurfaceKind::Body
            | SurfaceKind::Argument
            | SurfaceKind::Message
    )
}

/// What a text is, by itself: what it declares may be wrong.
fn spelling(bytes: &[u8]) -> Spelling {
    match bytes.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'"') if is_json(bytes) => Spelling::Json,
        Some(b'<') => Spelling::Entity,
        Some(_) | None => Spelling::Plain,
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Where a finding is, if it stands in the content as it is and takes nothing of its surroundings with
/// it.
fn plain_range(via: &[&str], offset: u64, len: u64, bytes: &[u8]) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    let value = bytes.get(start..end)?;
    let is_value =
        !value.is_empty() && !value.iter().any(|b| matches!(b, b'"' | b'&' | b'<' | b'>'));
    (via.is_empty() && is_value).then_some(start..end)
}

/// The content with each edit's bytes replaced wherever they stand. `None` where nothing is to be
/// replaced, or where it would no longer be what it was.
fn rewrite(bytes: &[u8], edits: Vec<Edit>, spelling: Spelling) -> Option<Vec<u8>> {
    if edits.is_empty() || edits.len() > EDITS_MAX {
        return None;
    }
    let mut places: Vec<(Range<usize>, String)> = Vec::new();
    for edit in &edits {
        let secret = &bytes[edit.range.clone()];
        let placeholder = placeholder(edit, spelling);
        for start in memmem::find_iter(bytes, secret) {
            places.push((start..start + secret.len(), placeholder.clone()));
        }
    }
    // Of two at one place the longer is the whole.
    places.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut redacted = Vec::with_capacity(bytes.len());
    let mut taken = 0;
    for (range, placeholder) in places {
        if range.start < taken {
            // What reaches beyond the one before goes with it.
            taken = taken.max(range.end);
            continue;
        }
        redacted.extend_from_slice(&bytes[taken..range.start]);
        redacted.extend_from_slice(placeholder.as_bytes());
        taken = range.end;
    }
    redacted.extend_from_slice(&bytes[taken..]);
    (spelling != Spelling::Json || is_json(&redacted)).then_some(redacted)
}

fn placeholder(edit: &Edit, spelling: Spelling) -> String {
    let (rule, number) = (edit.rule.id, edit.number);
    match spelling {
        Spelling::Plain | Spelling::Json => format!("<carboy:{rule}:{number}>"),
        Spelling::Percent => format!("%3Ccarboy%3A{rule}%3A{number}%3E"),
        Spelling::Entity => format!("&lt;carboy:{rule}:{number}&gt;"),
    }
}
