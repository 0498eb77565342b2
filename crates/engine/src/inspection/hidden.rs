//! Data hidden where names stand: what a value is worth beside words, and what has been spent.

use super::Inspection;
use crate::crossing::{Direction, Surface, SurfaceKind, Time};
use crate::detect::Check;
use crate::entropy::{self, Load, Where};
use crate::finding::Severity;
use crate::host::Host;
use crate::refusal;
use crate::rules::Rule;
use crate::scan::Sighting;
use crate::session::{Meter, OverLimit, Session};
use crate::shape;

/// Stores whose own signatures are long, and of whose hosts no one else reads the requests.
const STORES: [&str; 3] = [
    "storage.googleapis.com",
    ".storage.googleapis.com",
    ".cloudfront.net",
];

impl Inspection {
    /// Judges what a value holds, and spends the budgets of encoded bytes. What comes in may go out
    /// again.
    pub(super) fn judge_load(
        &mut self,
        next: Surface<'_>,
        place: Where,
        session: &Session,
        now: Time,
    ) -> Load {
        if self.is_stopped() {
            return Load::default();
        }
        if self.kind.direction() == Direction::Inbound {
            return Load::of(next.bytes, &mut |run| session.give(run, now));
        }
        let limits = self.engine.policy.limits();
        let is_free = self.is_signature(next);
        let mut over = None;
        let mut spend = |meter, content: &[u8]| {
            if over.is_none() && !is_free {
                let spent = session.spend_once(&self.site, meter, content, limits, now);
                over = spent.err();
            }
        };
        let load = Load::of(next.bytes, &mut |run| spend(Meter::Encoded, run));
        if load.lines > 0 {
            spend(Meter::EncodedText, next.bytes);
        }
        self.settle_over(over);
        if let Some(severity) = load.severity(place, next.bytes.len()) {
            self.sight_as(rule_of(next.kind), severity, next, 0, now);
        }
        load
    }

    pub(super) fn place_of_item(&self, key: &[u8]) -> Where {
        let is_signed = self.signed.is_some_and(|form| form.has(key));
        match is_signed || entropy::is_opaque_item(key) {
            true => Where::OpaqueItem,
            false => Where::Item,
        }
    }

    /// Whether a credential is but a part of a signed query: the key's id that it names, or what only
    /// its item's name makes a secret.
    pub(super) fn is_signing(&self, sighting: &Sighting, key: &str) -> bool {
        const KEY_IDS: [&str; 3] = ["aws-access-key-id", "alibaba-key-id", "tencent-key-id"];
        let rule = sighting.rule;
        let is_public = rule.checks.contains(&Check::Setting) || KEY_IDS.contains(&rule.id);
        is_public && self.signed.is_some_and(|form| form.has(key.as_bytes()))
    }

    /// Whether this is the signature of a signed query, and holds no more than one does.
    fn is_signature(&self, next: Surface<'_>) -> bool {
        let Some(form) = self.signed.filter(|_| next.kind == SurfaceKind::Query) else {
            return false;
        };
        let is_store = match &self.target.host {
            Host::Name(name) => STORES.iter().any(|store| match store.starts_with('.') {
                true => name.ends_with(store),
                false => **name == **store,
            }),
            Host::Addr(_) => false,
        };
        form.is_signature(next.name.as_bytes(), next.bytes, is_store)
    }

    /// Spends the budget of encoded host names, label by label.
    pub(super) fn spend_labels(&mut self, below: &str, session: &Session, now: Time) {
        let limits = self.engine.policy.limits();
        let spent = below.split('.').try_for_each(|label| {
            match entropy::labelled_bytes(label.as_bytes()) {
                0 => Ok(()),
                _ => {
                    let label = label.as_bytes();
                    session.spend_once(&self.site, Meter::EncodedLabels, label, limits, now)
                }
            }
        });
        self.settle_over(spent.err());
    }

    pub(super) fn settle_over(&mut self, over: Option<OverLimit>) {
        if let Some(over) = over {
            let refusal = refusal::over_limit(self.named(), &over);
            self.docket.refuse(Severity::High, refusal);
        }
    }
}

/// Whether a `content-type` is a form's.
pub(super) fn is_form(content_type: &[u8]) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let start = content_type.get(..FORM.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// Whether a path is of an endpoint where a form's tokens are exchanged, looked into or revoked
/// (RFC 6749, section 3.2; RFC 7009; RFC 7662).
pub(super) fn is_exchange(path: &str) -> bool {
    const ENDS: [&str; 8] = [
        "token",
        "tokens",
        "access_token",
        "introspect",
        "introspection",
        "revoke",
        "revocation",
        "par",
    ];
    let end = path.trim_end_matches('/').rsplit('/').next();
    end.is_some_and(|end| ENDS.contains(&end))
}

fn rule_of(kind: SurfaceKind) -> &'static Rule {
    match kind {
        SurfaceKind::Host => &shape::HOST_ENTROPY,
        SurfaceKind::Url | SurfaceKind::Path => &shape::PATH_ENTROPY,
        SurfaceKind::Query => &shape::QUERY_ENTROPY,
        SurfaceKind::Header
        | SurfaceKind::Trailer
        | SurfaceKind::Body
        | SurfaceKind::Stream
        | SurfaceKind::Tool
        | SurfaceKind::Argument
        | SurfaceKind::Call
        | SurfaceKind::Message
        | SurfaceKind::Definition
        | SurfaceKind::WsMessage => &shape::HEADER_ENTROPY,
    }
}
