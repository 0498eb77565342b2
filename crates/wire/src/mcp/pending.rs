//! Requests that wait for their answer.

use std::collections::{HashMap, VecDeque};

use super::message::Id;

/// Requests of one side that may wait at once. Clients have a handful under way.
pub const PENDING_MAX: usize = 10_000;

/// The requests of one side of a connection, each answered once. `T` is what their answers need.
#[derive(Debug)]
pub struct Pending<T> {
    waiting: HashMap<Id, T>,
    /// Ids whose answers are no longer wanted, and may still come.
    cancelled: VecDeque<Id>,
}

/// Why a request cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// Its id waits for another answer.
    #[error("the id of a request that still waits for its answer is used again")]
    InUse,
    /// [`PENDING_MAX`] others wait.
    #[error("{PENDING_MAX} requests wait for their answer")]
    Full,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            cancelled: VecDeque::new(),
        }
    }
}

impl<T> Pending<T> {
    /// Whether a request may be asked under an id.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, id: &Id) -> Result<(), NotAsked> {
        if self.waiting.contains_key(id) {
            Err(NotAsked::InUse)
        } else if self.waiting.len() >= PENDING_MAX && self.cancelled.is_empty() {
            Err(NotAsked::Full)
        } else {
            Ok(())
        }
    }

    /// Remembers a request that is asked. Where there is no room, the answer that was cancelled
    /// first is no longer expected.
    ///
    /// # Errors
    /// As [`Pending::check`].
    pub fn ask(&mut self, id: Id, request: T) -> Result<(), NotAsked> {
        self.check(&id)?;
        while self.waiting.len() >= PENDING_MAX
            && let Some(oldest) = self.cancelled.pop_front()
        {
            self.waiting.remove(&oldest);
        }
        self.waiting.insert(id, request);
        Ok(())
    }

    /// Takes the request that an answer belongs to; none when it was never asked, or answered before.
    pub fn answer(&mut self, id: &Id) -> Option<T> {
        let request = self.waiting.remove(id)?;
        self.cancelled.retain(|own| own != id);
        Some(request)
    }

    /// Says that an answer is no longer wanted. It may still come.
    pub fn cancel(&mut self, id: &Id) {
        if self.waiting.contains_key(id) && !self.cancelled.contains(id) {
            self.cancelled.push_back(id.clone());
        }
    }

    /// Whether no answer is wanted any more.
    pub fn is_idle(&self) -> bool {
        self.waiting.len() == self.cancelled.len()
    }

    /// Takes all that wait.
    pub fn drain(&mut self) -> impl Iterator<Item = (Id, T)> + '_ {
        self.cancelled.clear();
        self.waiting.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, NotAsked, PENDING_MAX, Pending};

    #[test]
    fn each_request_is_answered_once_under_its_own_id() {
        let mut pending = Pending::default();
        pending.ask(Id::Number(1), "a").expect("asked");
        assert_eq!(pending.ask(Id::Number(1), "b"), Err(NotAsked::InUse));
        pending.ask(Id::Text("1".into()), "c").expect("another id");
        assert_eq!(pending.answer(&Id::Text("1".into())), Some("c"));
        assert_eq!(pending.answer(&Id::Text("1".into())), None);
        assert_eq!(pending.answer(&Id::Number(2)), None);
        assert_eq!(pending.answer(&Id::Number(1)), Some("a"));
    }

    #[test]
    fn only_cancelled_requests_make_room() {
        let mut pending = Pending::default();
        for number in 0..PENDING_MAX as i64 {
            pending.ask(Id::Number(number), ()).expect("room");
        }
        assert_eq!(pending.ask(Id::Number(-1), ()), Err(NotAsked::Full));
        pending.cancel(&Id::Number(7));
        pending.cancel(&Id::Number(7));
        pending.ask(Id::Number(-1), ()).expect("room for one");
        assert_eq!(pending.ask(Id::Number(-2), ()), Err(NotAsked::Full));
        assert_eq!(pending.answer(&Id::Number(7)), None);
        assert_eq!(pending.drain().count(), PENDING_MAX);
    }
}
