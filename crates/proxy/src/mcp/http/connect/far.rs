//! The far side of a client behind pipes: its messages posted one by one, and what the server answers.

use std::io;
use std::sync::{Arc, OnceLock};

use ::http::header::{HeaderMap, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, StatusCode};
use bytes::Bytes;
use carboy_engine::{Crossing, CrossingKind, Fault};
use carboy_wire::mcp::{
    Frame, Id, Kind, asks_something, begins_session, is_begun, refused, revision,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::stream::Bytestream;
use crate::gate::Refused;
use crate::limits::MCP_LISTING_TIMEOUT;
use crate::mcp::carry::{Said, Sink, Source};
use crate::mcp::http::Remote;
use crate::mcp::http::far::{Answer, own_fields};
use crate::mcp::http::link::{Content, whole};
use crate::mcp::http::sessions::SESSION;

/// What the server says.
pub(super) struct Heard(pub(super) mpsc::Receiver<Said>);

impl Source for Heard {
    async fn next(&mut self) -> io::Result<Option<Said>> {
        Ok(self.0.recv().await)
    }
}

/// What is said to the server.
pub(super) struct Spoken(Option<Arc<Far>>);

/// The server, and what is known of it.
pub(super) struct Far {
    pub(super) remote: Remote,
    /// The session and the revision, once they are known.
    fields: Mutex<HeaderMap>,
    /// Where messages are posted, once a stream of the older transport has said it.
    pub(super) posts_to: OnceLock<PathAndQuery>,
    heard: mpsc::Sender<Said>,
}

impl Spoken {
    pub(super) fn new(remote: Remote, heard: mpsc::Sender<Said>) -> Self {
        Self(Some(Arc::new(Far {
            fields: Mutex::default(),
            posts_to: OnceLock::new(),
            remote,
            heard,
        })))
    }
}

impl Sink for Spoken {
    async fn write(&mut self, mut messages: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        // With the last of them the server's side ends.
        let Some(far) = self.0.take() else {
            return Ok(());
        };
        let (mut asking, mut listening) = (JoinSet::new(), JoinSet::new());
        while let Some(message) = messages.recv().await {
            if begins_session(&message) {
                far.begin(&message, &mut listening).await;
            } else if asks_something(&message) {
                // Its answer may take long, and a cancellation must overtake it. How many there are is
                // bounded by how many may wait for their answer.
                let far = Arc::clone(&far);
                asking.spawn(async move { far.ask(&message).await });
            } else {
                far.ask(&message).await;
                if is_begun(&message) && listening.is_empty() {
                    listening.spawn(Arc::clone(&far).listen());
                }
            }
            while asking.try_join_next().is_some() {}
        }
        while asking.join_next().await.is_some() {}
        listening.shutdown().await;
        far.end().await;
        Ok(())
    }
}

impl Far {
    /// Begins a session: whatever is said after it knows its answer.
    async fn begin(self: &Arc<Self>, message: &[u8], listening: &mut JoinSet<()>) {
        match self.post(message).await {
            Ok(answer) if is_older(answer.head.status) => {
                let Answer { mut pass, head, .. } = answer;
                if let Err(refused) = pass.close() {
                    return self.fail(message, &refused).await;
                }
                // The protocol's "Backwards Compatibility": the older transport begins with a stream.
                match self.listen_older(listening).await {
                    true => self.ask(message).await,
                    false => self.fail(message, &self.refuse(unfit(head.status))).await,
                }
            }
            Ok(answer) => self.hear(message, answer).await,
            Err(refused) => self.fail(message, &refused).await,
        }
    }

    /// Says a message, and hears the answer to it.
    async fn ask(&self, message: &[u8]) {
        match self.post(message).await {
            Ok(answer) => self.hear(message, answer).await,
            Err(refused) => self.fail(message, &refused).await,
        }
    }

    async fn post(&self, message: &[u8]) -> Result<Answer, Refused> {
        let path = self.posts_to.get().unwrap_or(&self.remote.endpoint);
        let call = self.remote.call(Method::POST, path, self.fields()).await?;
        let answer = self.remote.send(call, message.to_vec().into()).await?;
        if let Some(session) = answer.head.headers.get(SESSION) {
            self.fields.lock().insert(SESSION, session.clone());
        }
        Ok(answer)
    }

    /// The fields of a request.
    pub(super) fn fields(&self) -> HeaderMap {
        own_fields(&self.fields.lock())
    }

    /// Hears an answer: whatever was asked is answered, be it with an error of the gate's.
    async fn hear(&self, message: &[u8], answer: Answer) {
        let waits = ids(message);
        let heard = match answer.head.status.is_success() {
            true => self.hear_success(&waits, answer).await,
            false => self.hear_failure(&waits, answer).await,
        };
        if let Err(refused) = heard {
            self.fail(message, &refused).await;
        }
    }

    async fn hear_success(&self, waits: &[Id], answer: Answer) -> Result<(), Refused> {
        let Answer {
            head,
            body,
            mut pass,
            lease,
        } = answer;
        match Content::of(&head.headers) {
            Content::Events => {
                pass.close()?;
                let from = Bytestream {
                    body,
                    _lease: lease,
                };
                match self.follow_to_answer(from, waits).await {
                    true => Ok(()),
                    false => {
                        let what = "it broke off before it had answered";
                        Err(self.refuse(Fault::Upstream(what.into())))
                    }
                }
            }
            Content::Json => match whole(body).await {
                // Servers call the nothing that they accept with JSON.
                Some(said) if said.is_empty() && waits.is_empty() => pass.close(),
                Some(said) => {
                    pass.close()?;
                    lease.give_back();
                    self.say(said.to_vec()).await;
                    Ok(())
                }
                None => {
                    let what = "an answer that is not whole, late, or too long";
                    Err(pass.fail(Fault::Upstream(what.into())))
                }
            },
            // What was asked by the older transport is answered by its stream.
            Content::Other if waits.is_empty() || self.posts_to.get().is_some() => pass.close(),
            Content::Other => {
                let what = "it accepted a request and answered with no message";
                Err(pass.fail(Fault::Upstream(what.into())))
            }
        }
    }

    /// Refuses what the server says, or does not.
    fn refuse(&self, fault: Fault) -> Refused {
        let server = &self.remote.server;
        let crossing = Crossing {
            kind: CrossingKind::McpResponse,
            target: server.target(),
            method: None,
        };
        server.gate().refuse(crossing, fault)
    }

    async fn hear_failure(&self, waits: &[Id], answer: Answer) -> Result<(), Refused> {
        let Answer {
            head,
            body,
            mut pass,
            ..
        } = answer;
        let said = match Content::of(&head.headers) {
            Content::Json => whole(body).await,
            Content::Events | Content::Other => None,
        };
        // An error in the protocol's own form says more than its status.
        let said = said.filter(|said| waits.iter().all(|id| answered(said).contains(id)));
        match said.filter(|_| !waits.is_empty()) {
            Some(said) => {
                pass.close()?;
                self.say(said.to_vec()).await;
                Ok(())
            }
            None => Err(pass.fail(unfit(head.status))),
        }
    }

    /// Takes what the server says.
    pub(super) async fn say(&self, said: Vec<u8>) {
        if let Some(revision) = revision(&said)
            && let Ok(revision) = HeaderValue::try_from(revision)
        {
            let mut fields = self.fields.lock();
            fields.entry(REVISION).or_insert(revision);
        }
        // A client that hears no more needs none of it.
        let _ = self.heard.send(Said::Message(said)).await;
    }

    /// Answers whatever a message asks with a refusal.
    async fn fail(&self, message: &[u8], refused: &Refused) {
        for id in ids(message) {
            let crossing = refused.id.to_string();
            let answer = self::refused(Some(&id), &refused.refusal, &crossing);
            let _ = self.heard.send(Said::Message(answer)).await;
        }
    }

    /// Ends the session. A server that keeps it all the same forgets it in time.
    async fn end(&self) {
        if !self.fields.lock().contains_key(SESSION) {
            return;
        }
        let ending = async {
            let (fields, path) = (self.fields(), &self.remote.endpoint);
            let call = self.remote.call(Method::DELETE, path, fields).await?;
            let mut answer = self.remote.send(call, Bytes::new()).await?;
            answer.pass.close()
        };
        if let Ok(Err(refused)) = timeout(MCP_LISTING_TIMEOUT, ending).await {
            tracing::debug!(id = %refused.id, "a session was not ended");
        }
    }
}

/// The header that tells the protocol's revision.
const REVISION: &str = "mcp-protocol-version";

/// Whether a server that answers so to a first message may know the older transport alone.
fn is_older(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}

fn unfit(status: StatusCode) -> Fault {
    let remedy = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": it wants its clients to sign in. Give it a token with --header-env or --header-file"
        }
        StatusCode::NOT_FOUND => ": the session has ended, or nothing is there. Start again",
        _ => "",
    };
    Fault::Upstream(format!("it answered {status}{remedy}"))
}

/// The requests that wait for their answer.
fn ids(message: &[u8]) -> Vec<Id> {
    of_messages(message, |kind| match kind {
        Kind::Request { id, .. } => Some(id.clone()),
        Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. } => None,
    })
}

/// The requests that are answered.
pub(super) fn answered(said: &[u8]) -> Vec<Id> {
    of_messages(said, |kind| match kind {
        Kind::Result { id } => Some(id.clone()),
        Kind::Error { id } => id.clone(),
        Kind::Request { .. } | Kind::Notification { .. } => None,
    })
}

fn of_messages(bytes: &[u8], id: impl Fn(&Kind<'_>) -> Option<Id>) -> Vec<Id> {
    let frame = Frame::parse(bytes);
    let messages = frame.iter().flat_map(|frame| &frame.messages);
    let whole = messages.filter_map(|message| message.as_ref().ok());
    whole.filter_map(|message| id(&message.kind)).collect()
}
