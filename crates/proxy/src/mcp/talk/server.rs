//! What the server says.

use carboy_engine::{CrossingKind, Fault, Objection, Surface, SurfaceKind};
use carboy_wire::mcp::{
    Fingerprint, Flawed, Id, Kind, Message, Method, Page, TOOLS_LIST, is_card_method,
};

use super::reply::{Reply, answer};
use super::see::see;
use super::{Asking, Carried, Heard, Talk, hear_event};
use crate::gate::Refused;
use crate::limits::MCP_ANSWERED_MAX;

/// What an answer was found to be.
struct Answered {
    /// Where the next page of tools is, if it is a page.
    next: Option<Box<str>>,
    /// The answer anew, where the policy had some of it replaced.
    rewritten: Option<String>,
}
impl Talk {
    pub(super) fn server_message(
        &self,
        message: &Message<'_>,
        carried: Carried<'_>,
        reply: &mut Reply,
    ) {
        let raw = message.node.raw;
        match &message.kind {
            Kind::Request { id, method } => match self.server_asks(message, id, method, carried) {
                Ok(rewritten) => reply.pass(rewritten.as_deref().unwrap_or(raw)),
                Err(refused) => reply.back.push(answer(Some(id), &refused)),
            },
            Kind::Notification { method } => {
                let passed = self.let_in(message, method.known, None, carried);
                if let Ok(rewritten) = passed {
                    if let Some(id) = message.cancels() {
                        self.by_server.lock().cancel(&id);
                    }
                    reply.pass(rewritten.as_deref().unwrap_or(raw));
                }
            }
            Kind::Result { id } | Kind::Error { id: Some(id) } => {
                self.server_answers(message, id, carried, reply);
            }
            Kind::Error { id: None } => {
                let passed = self.let_in(message, None, None, carried);
                if let Ok(rewritten) = passed {
                    reply.pass(rewritten.as_deref().unwrap_or(raw));
                }
            }
        }
    }

    fn server_asks(
        &self,
        message: &Message<'_>,
        id: &Id,
        method: &Method<'_>,
        carried: Carried<'_>,
    ) -> Result<Option<String>, Refused> {
        let mut pass = self.open(CrossingKind::McpResponse, method.known)?;
        hear_event(&mut pass, carried)?;
        let rewritten = see(&mut pass, message, None)?;
        let free = self.by_server.lock().check(id);
        if let Err(why) = free {
            return Err(pass.fail(Fault::Malformed(why.to_string())));
        }
        pass.close()?;
        // Only this side asks under these ids.
        let _ = self.by_server.lock().ask(id.clone(), method.known);
        Ok(rewritten)
    }

    fn server_answers(
        &self,
        message: &Message<'_>,
        id: &Id,
        carried: Carried<'_>,
        reply: &mut Reply,
    ) {
        let raw = message.node.raw;
        let print = Fingerprint::of_bytes(raw.as_bytes());
        let asking = self.by_client.lock().answer(id);
        let Some(mut asking) = asking else {
            let is_again = carried.heard == Heard::Again && self.has_answered(id, print);
            let objection = (!is_again).then_some(Objection::Unsolicited);
            let passed = self.let_in(message, None, objection, carried);
            if let Ok(rewritten) = passed {
                reply.pass(rewritten.as_deref().unwrap_or(raw));
            }
            return;
        };
        let own = asking.own.take();
        let heard = self.hear(message, &asking, carried);
        let is_part = Method::is_answered_in_parts(asking.method) && heard.is_ok();
        match (heard, own) {
            // Whoever asked may have given up waiting.
            (Ok(heard), Some(own)) => drop(own.send(heard.next)),
            (Ok(heard), None) => {
                self.note_answered(id, print);
                reply.pass(heard.rewritten.as_deref().unwrap_or(raw));
            }
            (Err(_), Some(_)) => {}
            (Err(refused), None) => reply.pass_bytes(answer(Some(id), &refused)),
        }
        self.has_answered.notify_waiters();
        if is_part && matches!(message.kind, Kind::Result { .. }) {
            // More may come under the same id, or none: then another request may have its place.
            let mut by_client = self.by_client.lock();
            if by_client.ask(id.clone(), asking).is_ok() {
                by_client.cancel(id);
            }
        }
    }

    fn has_answered(&self, id: &Id, print: Fingerprint) -> bool {
        let answered = self.answered.lock();
        answered.iter().any(|own| own.0 == *id && own.1 == print)
    }

    fn note_answered(&self, id: &Id, print: Fingerprint) {
        let mut answered = self.answered.lock();
        if answered.len() >= MCP_ANSWERED_MAX {
            answered.pop_front();
        }
        answered.push_back((id.clone(), print));
    }

    /// Judges the answer to a request.
    fn hear(
        &self,
        message: &Message<'_>,
        asking: &Asking,
        carried: Carried<'_>,
    ) -> Result<Answered, Refused> {
        let mut pass = self.server.gate.open_answer(&asking.asked)?;
        pass.follow(&self.said.by_server);
        hear_event(&mut pass, carried)?;
        if let Some(tool) = &asking.tool {
            pass.push(Surface {
                kind: SurfaceKind::Tool,
                name: "",
                bytes: tool.as_bytes(),
            })?;
        }
        let rewritten = see(&mut pass, message, asking.method)?;
        let mut answered = Answered {
            next: None,
            rewritten,
        };
        if asking.method.is_some_and(is_card_method)
            && let Some(card) = message.node.member("result")
        {
            let server = &self.server;
            server.hear_card_again(&mut pass, card.raw.as_bytes())?;
        }
        let lists_tools = asking.method == Some(TOOLS_LIST);
        if !lists_tools || matches!(message.kind, Kind::Error { .. }) {
            return pass.close().map(|()| answered);
        }
        let page = match Page::read(message) {
            Ok(page) => page,
            Err(flaw) => return Err(pass.fail(Fault::Malformed(flaw.to_string()))),
        };
        match self.server.judge_tools(&page.tools) {
            Ok(None) => {}
            Ok(Some(objection)) => pass.object(&objection)?,
            Err(error) => return Err(pass.fail(Fault::State(error.to_string()))),
        }
        pass.close()?;
        self.server.catalogue.lock().adopt(&page.tools);
        answered.next = page.next;
        Ok(answered)
    }

    pub(super) fn server_flawed(&self, flawed: &Flawed, refused: &Refused, reply: &mut Reply) {
        if let Some(id) = &flawed.answers {
            let asking = self.by_client.lock().answer(id);
            if asking.is_some_and(|asking| asking.own.is_none()) {
                reply.pass_bytes(answer(Some(id), refused));
            }
        }
        if let Some(id) = &flawed.asks {
            reply.back.push(answer(Some(id), refused));
        }
    }
}
