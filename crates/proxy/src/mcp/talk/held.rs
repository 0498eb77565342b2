//! Calls that wait for a person, apart from those that go on.

use std::sync::Arc;

use carboy_engine::Plea;
use carboy_wire::mcp::Id;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Asking;
use crate::gate::{Pass, Refused};

/// A call that waits for a person. Dropped, it is refused.
pub(in crate::mcp) struct Waiting {
    pub(super) pass: Box<Pass>,
    pub(super) plea: Plea,
    pub(super) asking: Asking,
    /// What goes on.
    pub(super) message: String,
    pub(super) place: HeldId,
}

/// A call, and what was said of it.
pub(in crate::mcp) struct Ruled {
    pub(super) waiting: Waiting,
    pub(super) outcome: Result<(), Refused>,
}

impl Waiting {
    /// Waits for the answer, or for the client to cancel the call.
    pub(in crate::mcp) async fn ruled(mut self) -> Ruled {
        let withdrawn = async {
            // Whichever way it ends, nobody wants the call any more.
            let _ = (&mut self.place.withdrawn).await;
        };
        let outcome = self.pass.ask_person(&self.plea, withdrawn).await;
        Ruled {
            waiting: self,
            outcome,
        }
    }
}

/// The ids of requests that wait, each with a sender whose end tells that it is cancelled.
#[derive(Default)]
pub(super) struct HeldIds(Vec<(Id, oneshot::Sender<()>)>);

impl HeldIds {
    pub(super) fn holds(&self, id: &Id) -> bool {
        self.0.iter().any(|(own, _)| own == id)
    }

    pub(super) fn forget(&mut self, id: &Id) {
        self.0.retain(|(own, _)| own != id);
    }
}

/// One of them. Dropped, the id is free again.
pub(super) struct HeldId {
    held: Arc<Mutex<HeldIds>>,
    pub(super) id: Id,
    withdrawn: oneshot::Receiver<()>,
}

impl HeldId {
    pub(super) fn new(held: &Arc<Mutex<HeldIds>>, id: &Id) -> Self {
        let (wanted, withdrawn) = oneshot::channel();
        held.lock().0.push((id.clone(), wanted));
        Self {
            held: Arc::clone(held),
            id: id.clone(),
            withdrawn,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.lock().holds(&self.id)
    }
}

impl Drop for HeldId {
    fn drop(&mut self) {
        self.held.lock().forget(&self.id);
    }
}
