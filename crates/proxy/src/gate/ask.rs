//! What a person is asked before a crossing goes on.

use std::sync::Arc;

use carboy_engine::{Answer, Plea, Question, Ruling, Step};

use super::{CrossingId, Pass, Refused};

/// A call that waits for a person, ready to show.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The crossing's id, by which it is answered.
    pub id: CrossingId,
    /// What is asked.
    pub plea: &'a Plea,
}

impl Pass {
    /// Says that all of a message has been pushed. Where the policy wants a person asked before it goes
    /// on, returns what is asked, for [`Pass::ask_person`].
    ///
    /// # Errors
    /// The refusal; nothing held may leave.
    pub fn plead(&mut self) -> Result<Option<Plea>, Refused> {
        let (gate, inspection) = self.inspection()?;
        match inspection.plead(&gate.session, gate.clock.now()) {
            Step::Ask(Question::Leave(plea)) => Ok(Some(plea)),
            step @ (Step::Release(_) | Step::Hold | Step::Stop | Step::Connect(_)) => {
                self.take_step(step).map(|_| None)
            }
            step @ Step::Ask(Question::Resolve(_)) => self.take_step(step).map(|_| None),
        }
    }

    /// Waits until a person has answered, nobody has in time, or `withdrawn` ends.
    ///
    /// # Errors
    /// The refusal, unless a person let the call pass.
    pub async fn ask_person(
        &mut self,
        plea: &Plea,
        withdrawn: impl Future<Output = ()>,
    ) -> Result<(), Refused> {
        let gate = Arc::clone(&self.gate);
        let ruling = match gate.approvals.post(&self.id.to_string(), plea) {
            Err(ruling) => ruling,
            Ok(posted) => {
                gate.observer.asked(&Asking { id: self.id, plea });
                tokio::select! {
                    ruling = posted.ruling() => ruling,
                    () = withdrawn => Ruling::Withdrawn,
                    () = gate.stopping() => Ruling::Withdrawn,
                }
            }
        };
        let (gate, inspection) = self.inspection()?;
        let answer = Answer::Ruled(ruling);
        let step = inspection.answer(answer, &gate.session, gate.clock.now());
        self.take_step(step).map(|_| ())
    }
}
