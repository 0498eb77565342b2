//! What a response is by its head, and how much of it has come.

use super::Inspection;
use crate::crossing::{CrossingKind, SurfaceKind};
use crate::finding::Severity;
use crate::media::{Declared, Watch};
use crate::refusal;

/// A response's content so far.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) declared: Declared,
    /// Bytes of the body that have come, as they came.
    came: u64,
    /// Whether its type was judged.
    is_judged: bool,
}

impl Inspection {
    pub(super) fn hear_of_content(&mut self, name: &str, value: &[u8]) {
        if self.kind == CrossingKind::HttpResponse {
            self.intake.declared.hear(name, value);
        }
    }

    /// Judges that content has come: what it is, and how much it is. What has no content, such as the
    /// answer to `HEAD`, may be of any type and length.
    pub(super) fn take_in(&mut self, bytes: u64) {
        if self.kind != CrossingKind::HttpResponse || bytes == 0 {
            return;
        }
        self.intake.came = self.intake.came.saturating_add(bytes);
        let (host, port) = (&self.target.host, self.target.port);
        let terms = self.engine.policy.response(host, port);
        let is_first = !std::mem::replace(&mut self.intake.is_judged, true);
        let declared = &self.intake.declared;
        if is_first && let Some(key) = terms.refuses(declared.kind()) {
            let refusal = refusal::content_type(self.named(), declared.kind(), key);
            self.docket.refuse(Severity::High, refusal);
        }
        let announced = declared.length().filter(|_| is_first).unwrap_or(0);
        let bytes = self.intake.came.max(announced);
        if let Some(limit) = terms.bytes.filter(|limit| bytes > *limit) {
            let refusal = refusal::too_long(self.named(), limit);
            self.docket.refuse(Severity::High, refusal);
        }
    }

    /// What tells whether a body is what its head says.
    pub(super) fn watch(&self, kind: SurfaceKind) -> Option<Watch> {
        let is_content = kind == SurfaceKind::Body && self.kind == CrossingKind::HttpResponse;
        is_content.then(|| Watch::of(&self.intake.declared))?
    }
}
