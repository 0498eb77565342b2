//! Content that is replaced, cut out or put back on its way.

use std::sync::Arc;

use carboy_engine::{Restorer, Surface};

use super::pass::State;
use super::{Gate, Pass, Refused};

/// Puts back values in a body as it goes on to the client.
pub(crate) struct Restoring {
    gate: Arc<Gate>,
    restorer: Restorer,
}

impl Restoring {
    /// What of the body may go on, of bytes that were released.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.restorer.feed(bytes, &self.gate.session)
    }

    /// The rest of it.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        self.restorer.end(&self.gate.session)
    }
}

impl Pass {
    /// Whether the policy wants content replaced: then it goes through [`Pass::redact`] before it is
    /// pushed.
    pub fn redacts(&self) -> bool {
        match &self.state {
            State::Open(inspection) => inspection.redacts(),
            State::Closed | State::Refused(_) => false,
        }
    }

    /// Whether the policy wants placeholders that come back replaced by what they stand for: then
    /// content goes through [`Pass::restore`] once it was pushed.
    pub fn restores(&self) -> bool {
        match &self.state {
            State::Open(inspection) => inspection.restores(),
            State::Closed | State::Refused(_) => false,
        }
    }

    /// A body's content as the client is to have it; `None` to leave it.
    pub fn restore(&mut self, next: Surface<'_>) -> Option<Vec<u8>> {
        let (gate, inspection) = self.inspection().ok()?;
        inspection.restore(next, &gate.session)
    }

    /// A surface's content with what the policy wants redacted replaced; `None` to leave it.
    pub fn redact(&mut self, next: Surface<'_>) -> Option<Vec<u8>> {
        let now = self.now;
        let (gate, inspection) = self.inspection().ok()?;
        inspection.redact(next, &gate.session, now)
    }

    /// What puts values back in a body that goes on as it comes, where the policy wants so.
    pub(crate) fn restoring(&self) -> Option<Restoring> {
        let State::Open(inspection) = &self.state else {
            return None;
        };
        inspection.restorer().map(|restorer| Restoring {
            gate: Arc::clone(&self.gate),
            restorer,
        })
    }

    /// Takes the content coding off a body that is rewritten as it comes, if it is in one that can be: it
    /// is then pushed as [`Pass::uncode`] gives it.
    pub(crate) fn take_coding_off(&mut self) -> bool {
        match &mut self.state {
            State::Open(inspection) => inspection.take_coding_off(),
            State::Closed | State::Refused(_) => false,
        }
    }

    /// What the next bytes of such a body are without their coding.
    ///
    /// # Errors
    /// The refusal: they cannot be read.
    pub(crate) fn uncode(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let (gate, inspection) = self.inspection()?;
        let (content, step) = inspection.uncode(bytes, gate.clock.now());
        self.take_step(step).map(|_| content)
    }

    /// The rest of such a body, of which no more comes.
    ///
    /// # Errors
    /// As [`Pass::uncode`].
    pub(crate) fn end_uncoding(&mut self) -> Result<Vec<u8>, Refused> {
        let (gate, inspection) = self.inspection()?;
        let (content, step) = inspection.end_uncoding(gate.clock.now());
        self.take_step(step).map(|_| content)
    }
}
