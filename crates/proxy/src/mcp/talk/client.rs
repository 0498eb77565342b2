//! What the client says.

use carboy_engine::{CrossingKind, Fault, Objection};
use carboy_wire::mcp::{Flawed, Frame, Id, Kind, Message, Method, list_tools};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::held::{HeldId, Ruled, Waiting};
use super::reply::{Reply, answer, answer_to_request};
use super::see::see;
use super::{Asking, Talk};
use crate::gate::Refused;
use crate::limits::{MCP_LISTING_TIMEOUT, MCP_PAGES_MAX};

/// What the gate's own requests are called; their answers go to no one else.
const OWN_ID: &str = "carboy";

/// What became of a request.
enum Passed {
    /// It may go on, anew where the policy had some of it replaced.
    On(Option<String>),
    /// A person must let it pass first.
    Held(Box<Waiting>),
}

impl Talk {
    pub(super) fn client_message(&self, message: &Message<'_>, reply: &mut Reply) {
        let raw = message.node.raw;
        match &message.kind {
            Kind::Request { id, method } => match self.ask(message, id, method, None) {
                Ok(Passed::On(redacted)) => reply.pass(redacted.as_deref().unwrap_or(raw)),
                Ok(Passed::Held(waiting)) => reply.waiting.push(*waiting),
                Err(refused) => reply.back.push(answer_to_request(id, &refused)),
            },
            Kind::Notification { method } => {
                let passed = self.pass_on(message, method.known, None);
                if let Ok(redacted) = passed {
                    if let Some(id) = message.cancels() {
                        self.by_client.lock().cancel(&id);
                        self.held.lock().forget(&id);
                    }
                    reply.pass(redacted.as_deref().unwrap_or(raw));
                }
            }
            Kind::Result { id } | Kind::Error { id: Some(id) } => {
                let asked = self.by_server.lock().answer(id);
                let objection = asked.is_none().then_some(Objection::Unsolicited);
                let method = asked.flatten();
                let passed = self.pass_on(message, method, objection);
                match (passed, asked) {
                    (Ok(redacted), _) => reply.pass(redacted.as_deref().unwrap_or(raw)),
                    // The server must not wait for what will not come.
                    (Err(refused), Some(_)) => reply.pass_bytes(answer(Some(id), &refused)),
                    (Err(_), None) => {}
                }
            }
            Kind::Error { id: None } => {
                let passed = self.pass_on(message, None, None);
                if let Ok(redacted) = passed {
                    reply.pass(redacted.as_deref().unwrap_or(raw));
                }
            }
        }
    }

    /// Judges a request and remembers it.
    fn ask(
        &self,
        message: &Message<'_>,
        id: &Id,
        method: &Method<'_>,
        own: Option<oneshot::Sender<Option<Box<str>>>>,
    ) -> Result<Passed, Refused> {
        let mut pass = self.open(CrossingKind::McpRequest, method.known)?;
        let redacted = see(&mut pass, message, None)?;
        let call = message.call();
        let free = self.by_client.lock().check(id);
        if self.held.lock().holds(id) {
            let why = "a request whose id is that of one that waits for a person";
            return Err(pass.fail(Fault::Malformed(why.to_owned())));
        }
        let objection = call.and_then(|call| self.server.catalogue.lock().judge_call(call.tool));
        if let Err(why) = free {
            return Err(pass.fail(Fault::Malformed(why.to_string())));
        }
        if let Some(objection) = objection {
            pass.object(&objection)?;
        }
        let asking = Asking {
            asked: pass.asked(),
            method: method.known,
            tool: call.map(|call| call.tool.into()),
            own,
        };
        if let Some(plea) = pass.plead()? {
            return Ok(Passed::Held(Box::new(Waiting {
                pass,
                plea,
                asking,
                message: redacted.unwrap_or_else(|| message.node.raw.to_owned()),
                place: HeldId::new(&self.held, id),
            })));
        }
        pass.close()?;
        // Nobody else asks between the check and this: a client's messages come one by one, and
        // the gate's own ids are its own.
        let _ = self.by_client.lock().ask(id.clone(), asking);
        Ok(Passed::On(redacted))
    }

    /// Sends a call on that a person let pass, as long as its tool is still what it was.
    pub(super) fn settle(&self, ruled: Ruled, reply: &mut Reply) {
        let Waiting {
            mut pass,
            asking,
            message,
            place,
            ..
        } = ruled.waiting;
        let id = &place.id;
        let passed = ruled.outcome.and_then(|()| {
            let tool = asking.tool.as_deref();
            let objection = tool.and_then(|tool| self.server.catalogue.lock().judge_call(tool));
            if let Some(objection) = objection {
                pass.object(&objection)?;
            }
            pass.close()
        });
        match passed {
            Ok(()) => {
                // No other request could take its id while it waited.
                let _ = self.by_client.lock().ask(id.clone(), asking);
                reply.pass(&message);
            }
            // Who has cancelled a request wants no answer.
            Err(refused) if place.is_held() => reply.back.push(answer(Some(id), &refused)),
            Err(_) => {}
        }
    }

    pub(super) fn client_flawed(&self, flawed: &Flawed, refused: &Refused, reply: &mut Reply) {
        match &flawed.answers {
            Some(id) => {
                if self.by_server.lock().answer(id).is_some() {
                    reply.pass_bytes(answer(Some(id), refused));
                }
            }
            None => reply.back.push(answer(flawed.asks.as_ref(), refused)),
        }
    }

    /// Asks the server for its tools if a message calls one that it has not listed yet.
    pub(super) async fn list_for(&self, message: &Message<'_>, to_server: &mpsc::Sender<Vec<u8>>) {
        let Some(call) = message.call() else {
            return;
        };
        if self.server.catalogue.lock().is_listed(call.tool) {
            return;
        }
        let mut count = self.server.listing.lock().await;
        let mut cursor: Option<Box<str>> = None;
        for _ in 0..MCP_PAGES_MAX {
            *count += 1;
            let id = Id::Text(format!("{OWN_ID}-{count}").into());
            match self.list_page(id, cursor.as_deref(), to_server).await {
                Some(next @ Some(_)) => cursor = next,
                Some(None) | None => return,
            }
        }
    }

    /// One page of the server's tools; tells where the next is. None where there is no answer, or it
    /// was refused.
    async fn list_page(
        &self,
        id: Id,
        cursor: Option<&str>,
        to_server: &mpsc::Sender<Vec<u8>>,
    ) -> Option<Option<Box<str>>> {
        let bytes = list_tools(&id, cursor);
        let frame = Frame::parse(&bytes).ok()?;
        let message = frame.messages.first()?.as_ref().ok()?;
        let Kind::Request { method, .. } = &message.kind else {
            return None;
        };
        let (own, answered) = oneshot::channel();
        self.ask(message, &id, method, Some(own)).ok()?;
        to_server.send(bytes.clone()).await.ok()?;
        let next = timeout(MCP_LISTING_TIMEOUT, answered).await;
        self.by_client.lock().cancel(&id);
        next.ok()?.ok()
    }
}
