//! Drawings without what would run in them.

use super::{EDITS_MAX, Finding, Inspection, finding, place};
use crate::crossing::{CrossingKind, Surface, SurfaceKind, Time};
use crate::finding::Action;
use crate::media::active_parts;

impl Inspection {
    /// Whether the policy wants the active parts of drawings cut out, and this response may be one.
    pub(super) fn strips_drawing(&self) -> bool {
        let (host, port) = (&self.target.host, self.target.port);
        self.kind == CrossingKind::HttpResponse
            && self.intake.declared.may_be_drawing()
            && self.engine.policy.strips_media(host, port)
    }

    /// A drawing without its active parts; none where it has none that the policy wants cut, or more than
    /// can be: that one is refused when it is pushed.
    pub(super) fn cut_drawing(
        &mut self,
        kind: SurfaceKind,
        content: &[u8],
        findings: &mut Vec<Finding>,
        now: Time,
    ) -> Option<Vec<u8>> {
        if kind != SurfaceKind::Body || !self.strips_drawing() {
            return None;
        }
        let next = Surface {
            kind,
            name: "",
            bytes: content,
        };
        let bench = self.bench(now);
        let mut places = Vec::new();
        for part in active_parts(&self.intake.declared, content) {
            let range = part.range.start as usize..part.range.end as usize;
            let sighting = self.engine.scanner.media(part);
            if bench.action(&sighting, kind) == Some(Action::Strip) {
                let severity = bench.severity(&sighting);
                findings.push(finding(sighting, (severity, Action::Strip), next));
                places.push((range, String::new()));
            }
        }
        let can_be = !places.is_empty() && places.len() <= EDITS_MAX;
        can_be.then(|| place::apply(content, places))
    }
}
