//! A body in a content coding whose content is rewritten as it comes: the coding is taken off first.

use super::Inspection;
use crate::crossing::{SurfaceKind, Time};
use crate::finding::Severity;
use crate::inspection::Step;
use crate::refusal;
use crate::scan::{Inflate, Opaque};

impl Inspection {
    /// Takes the content coding off a body that is to come: it is pushed as [`Inspection::uncode`] gives
    /// it, and goes on so. False where it is in none, or in one that is not known.
    pub fn take_coding_off(&mut self) -> bool {
        let Ok(Some(inflate)) = Inflate::new(&self.encoding) else {
            return false;
        };
        self.encoding.clear();
        self.uncoding = Some(Box::new(inflate));
        true
    }

    /// What the next bytes of such a body are without it; nothing of what cannot be read passes, whatever
    /// the policy says of it otherwise.
    pub fn uncode(&mut self, bytes: &[u8], now: Time) -> (Vec<u8>, Step) {
        let mut content = Vec::new();
        let mut read = Ok(());
        if let Some(inflate) = &mut self.uncoding {
            let mut pieces = bytes.chunks(Inflate::piece_bytes());
            read = pieces.try_for_each(|piece| inflate.feed(piece, &mut content));
        }
        self.settle_uncoded(read, content, now)
    }

    /// Says that no more of such a body comes, and returns the rest.
    pub fn end_uncoding(&mut self, now: Time) -> (Vec<u8>, Step) {
        let mut content = Vec::new();
        let read = match self.uncoding.take() {
            Some(mut inflate) => inflate.end(&mut content),
            None => Ok(()),
        };
        self.settle_uncoded(read, content, now)
    }

    fn settle_uncoded(
        &mut self,
        read: Result<(), Opaque>,
        content: Vec<u8>,
        now: Time,
    ) -> (Vec<u8>, Step) {
        if let Err(opaque) = read {
            let sighting = self.engine.scanner.opaque(opaque, 0);
            self.judge(sighting, SurfaceKind::Body, "", now);
            let refusal = refusal::cannot_rewrite(self.named());
            self.docket.refuse(Severity::Medium, refusal);
            return (Vec::new(), self.step(Step::Stop));
        }
        (content, self.step(Step::Release(0)))
    }
}
