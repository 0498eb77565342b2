//! What becomes of a frame's messages.

use carboy_engine::Reason;
use carboy_wire::mcp::{Frame, Id, failed_call, refused};

use super::Judged;
use super::held::Waiting;
use crate::gate::Refused;

/// Gathers what becomes of a frame's messages.
#[derive(Default)]
pub(super) struct Reply {
    is_batch: bool,
    on: Vec<Vec<u8>>,
    pub(super) back: Vec<Vec<u8>>,
    pub(super) waiting: Vec<Waiting>,
}

impl Reply {
    pub(super) fn new(frame: &Frame<'_>) -> Self {
        Self {
            is_batch: frame.is_batch,
            on: Vec::new(),
            back: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn pass(&mut self, raw: &str) {
        self.pass_bytes(raw.as_bytes().to_vec());
    }

    pub(super) fn pass_bytes(&mut self, bytes: Vec<u8>) {
        self.on.push(bytes);
    }

    pub(super) fn finish(mut self) -> Judged {
        let on = match (self.is_batch, self.on.len()) {
            (_, 0) => None,
            (true, _) => Some([b"[", &*self.on.join(&b","[..]), b"]"].concat()),
            (false, _) => self.on.pop(),
        };
        Judged {
            on,
            back: self.back,
        }
    }
}

/// Servers answer a call of a tool that they do not have with a result, and so does the gate.
pub(super) fn answer_to_request(id: &Id, refused: &Refused) -> Vec<u8> {
    match refused.refusal.reason == Reason::ToolUnlisted {
        true => failed_call(id, &refused.refusal, &refused.id.to_string()),
        false => answer(Some(id), refused),
    }
}

pub(super) fn answer(id: Option<&Id>, refused: &Refused) -> Vec<u8> {
    self::refused(id, &refused.refusal, &refused.id.to_string())
}
