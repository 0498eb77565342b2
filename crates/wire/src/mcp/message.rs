//! JSON-RPC 2.0 as the model context protocol uses it: what a message is, and what it belongs to.

use std::borrow::Cow;
use std::fmt;

use super::glance::names_known;
use super::json::{self, Node, Value};

/// Messages in one batch. Revision 2025-03-26 has batches; honest ones hold a handful.
pub const BATCH_MAX: usize = 256;

/// The longest id that is a string. UUIDs have 36 bytes.
pub const ID_BYTES_MAX: usize = 256;

/// The largest integer that all parsers read alike (I-JSON, RFC 7493, section 2.2).
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// The id of a request. A number and a string are never the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A string of at most [`ID_BYTES_MAX`].
    Text(Box<str>),
}

/// What a client or server sends at once: a message, or several in a batch.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Whether it came as a batch.
    pub is_batch: bool,
    /// Each message, or what is wrong with it.
    pub messages: Vec<Result<Message<'a>, Flawed>>,
}

/// One message.
#[derive(Debug)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// All of it.
    pub node: Node<'a>,
}

/// The kinds of message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Wants an answer.
    Request {
        /// Under this id.
        id: Id,
        /// What it asks.
        method: Method<'a>,
    },
    /// Wants none.
    Notification {
        /// What it says.
        method: Method<'a>,
    },
    /// Answers a request.
    Result {
        /// The request's id.
        id: Id,
    },
    /// Answers a request with an error.
    Error {
        /// The request's id; none where the request could not be read.
        id: Option<Id>,
    },
}

/// A method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method<'a> {
    /// As it was sent.
    pub text: Cow<'a, str>,
    /// Its name, where a revision of the protocol has it.
    pub known: Option<&'static str>,
}

/// A call of a tool.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The tool's name.
    pub tool: &'a str,
    /// What it is called with.
    pub arguments: Option<&'a Node<'a>>,
}

/// A message that is refused for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flawed {
    /// What is wrong.
    pub flaw: Flaw,
    /// The id that an answer to it would have, where it is a request and has one.
    pub asks: Option<Id>,
    /// The id of the request that it would answer, where it is no request and has one.
    pub answers: Option<Id>,
    /// Whether it names a method that a revision of the protocol has.
    pub is_of_known: bool,
}

/// Why a message is refused for its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is no JSON that all read alike.
    #[error(transparent)]
    Json(#[from] json::Flaw),
    /// Not an object.
    #[error("a message is a JSON object")]
    NotObject,
    /// No `"jsonrpc": "2.0"`.
    #[error("a message says `\"jsonrpc\": \"2.0\"`")]
    Version,
    /// An id that is neither a short string nor an integer, written plainly.
    #[error("an id is an integer written plainly, or a string of at most {ID_BYTES_MAX} bytes")]
    Id,
    /// Neither a method, a result nor an error, or more than one of them.
    #[error("a message has one of `method`, `result` and `error`")]
    Ambiguous,
    /// A method that is no string.
    #[error("a method is a string")]
    Method,
    /// A result without an id.
    #[error("a result has the id of its request")]
    NoId,
    /// Parameters that are neither an object nor an array, or an error that is no object.
    #[error("`params` is an object or an array, and `error` an object")]
    Shape,
    /// A name that a parser which does not tell cases apart takes for one that matters.
    #[error("a name differs from one that the protocol has only in its letters' case")]
    Case,
    /// A call without a tool, or whose arguments are no object.
    #[error("a call names a tool, and its arguments are an object")]
    Call,
    /// A list of tools one of which has no name.
    #[error("a list of tools is an array, and each tool has a name")]
    Tools,
    /// An agent's card whose skills have no id, or that of the card itself.
    #[error("an agent's card has a list of skills, each with an id of its own")]
    Card,
    /// An empty batch.
    #[error("a batch holds a message at least")]
    EmptyBatch,
    /// A batch of more than [`BATCH_MAX`].
    #[error("a batch holds at most {BATCH_MAX} messages")]
    LongBatch,
}

impl<'a> Frame<'a> {
    /// Reads what came in one line, body or event.
    ///
    /// # Errors
    /// When it is not JSON, or a batch is empty or too long. What is wrong with one message of
    /// a batch is told in its place.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Flaw> {
        Self::of(json::parse(bytes)?)
    }

    /// Takes a document that was read.
    ///
    /// # Errors
    /// When a batch is empty or too long.
    pub(super) fn of(node: Node<'a>) -> Result<Self, Flaw> {
        let Value::List(items) = node.value else {
            return Ok(Self {
                is_batch: false,
                messages: vec![Message::read(node)],
            });
        };
        match items.len() {
            0 => Err(Flaw::EmptyBatch),
            1..=BATCH_MAX => Ok(Self {
                is_batch: true,
                messages: items.into_iter().map(Message::read).collect(),
            }),
            _ => Err(Flaw::LongBatch),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// When it is no message of JSON-RPC 2.0.
    pub fn read(node: Node<'a>) -> Result<Self, Flawed> {
        match Kind::of(&node) {
            Ok(kind) => {
                let message = Self { kind, node };
                message.check().map_err(|flaw| message.flawed(flaw))?;
                Ok(message)
            }
            Err(flaw) => {
                let id = node.member("id").and_then(|id| Id::read(id).ok());
                let (asks, answers) = match node.member("method") {
                    Some(_) => (id, None),
                    None => (None, id),
                };
                let is_of_known = names_known(&node, |text| known(text).is_some());
                Err(Flawed {
                    flaw,
                    asks,
                    answers,
                    is_of_known,
                })
            }
        }
    }

    /// The call of a tool, if this is one.
    pub fn call(&self) -> Option<Call<'_>> {
        match &self.kind {
            Kind::Request { method, .. } if method.known == Some(TOOLS_CALL) => {}
            Kind::Request { .. }
            | Kind::Notification { .. }
            | Kind::Result { .. }
            | Kind::Error { .. } => return None,
        }
        let params = self.node.member("params")?;
        Some(Call {
            tool: params.member("name")?.text()?,
            arguments: params.member("arguments"),
        })
    }

    /// The id of the request that a notification cancels.
    pub fn cancels(&self) -> Option<Id> {
        match &self.kind {
            Kind::Notification { method } if method.known == Some(CANCELLED) => {
                Id::read(self.node.member("params")?.member("requestId")?).ok()
            }
            Kind::Request { .. }
            | Kind::Notification { .. }
            | Kind::Result { .. }
            | Kind::Error { .. } => None,
        }
    }

    /// Whether this is the first page of what it asks for: it names no place to go on from.
    pub fn is_first_page(&self) -> bool {
        let params = self.node.member("params");
        params.and_then(|params| params.member("cursor")).is_none()
    }

    /// What must hold of some messages' content, so that it is clear what they are about.
    fn check(&self) -> Result<(), Flaw> {
        match &self.kind {
            Kind::Request { method, .. } => {
                let params = self.node.member("params");
                if method.known == Some(TOOLS_CALL) {
                    self.check_call(params)?;
                }
                Ok(())
            }
            Kind::Notification { method } if method.known == Some(CANCELLED) => {
                let params = self.node.member("params").and_then(Node::members);
                check_case(params.unwrap_or_default(), &["requestId"])
            }
            Kind::Notification { method } if method.known == Some(TOOLS_CALL) => Err(Flaw::NoId),
            Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. } => Ok(()),
        }
    }

    fn check_call(&self, params: Option<&Node<'_>>) -> Result<(), Flaw> {
        let params = params.and_then(Node::members).ok_or(Flaw::Call)?;
        check_case(params, &["name", "arguments"])?;
        let call = self.call().ok_or(Flaw::Call)?;
        match call.arguments.map(|node| &node.value) {
            None | Some(Value::Object(_) | Value::Null) => Ok(()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_)) => {
                Err(Flaw::Call)
            }
        }
    }

    fn flawed(&self, flaw: Flaw) -> Flawed {
        let asks = match &self.kind {
            Kind::Request { id, .. } => Some(id.clone()),
            Kind::Notification { .. } | Kind::Result { .. } | Kind::Error { .. } => None,
        };
        Flawed {
            flaw,
            asks,
            answers: None,
            is_of_known: true,
        }
    }
}

impl<'a> Kind<'a> {
    fn of(node: &Node<'a>) -> Result<Self, Flaw> {
        const NAMES: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
        let members = node.members().ok_or(Flaw::NotObject)?;
        check_case(members, &NAMES)?;
        if node.member("jsonrpc").and_then(Node::text) != Some("2.0") {
            return Err(Flaw::Version);
        }
        let id = node.member("id");
        match (
            node.member("method"),
            node.member("result"),
            node.member("error"),
        ) {
            (Some(method), None, None) => {
                check_shape(node.member("params"))?;
                let method = Method::read(method)?;
                match id {
                    Some(id) => Ok(Self::Request {
                        id: Id::read(id)?,
                        method,
                    }),
                    None => Ok(Self::Notification { method }),
                }
            }
            (None, Some(_), None) => Ok(Self::Result {
                id: Id::read(id.ok_or(Flaw::NoId)?)?,
            }),
            (None, None, Some(error)) => match (&error.value, id.map(|id| &id.value)) {
                (Value::Object(_), None | Some(Value::Null)) => Ok(Self::Error { id: None }),
                (Value::Object(_), Some(_)) => Ok(Self::Error {
                    id: id.map(Id::read).transpose()?,
                }),
                _ => Err(Flaw::Shape),
            },
            _ => Err(Flaw::Ambiguous),
        }
    }
}

impl Id {
    fn read(node: &Node<'_>) -> Result<Self, Flaw> {
        match &node.value {
            Value::Text(text) if text.len() <= ID_BYTES_MAX => Ok(Self::Text(text.as_ref().into())),
            Value::Number(text) => {
                let number: i64 = text.parse().map_err(|_| Flaw::Id)?;
                let is_plain = number.to_string() == *text && number.abs() <= INTEGER_MAX;
                is_plain.then_some(Self::Number(number)).ok_or(Flaw::Id)
            }
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                Err(Flaw::Id)
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&serde_json::Value::from(&**text).to_string()),
        }
    }
}

impl<'a> Method<'a> {
    fn read(node: &Node<'a>) -> Result<Self, Flaw> {
        let Value::Text(text) = &node.value else {
            return Err(Flaw::Method);
        };
        Ok(Self {
            known: known(text),
            text: text.clone(),
        })
    }

    /// Whether its answer comes in several results, each under the request's id, until the stream
    /// that carries them ends.
    pub fn is_answered_in_parts(method: Option<&str>) -> bool {
        method.is_some_and(|method| IN_PARTS.contains(&method))
    }
}

/// A call of a tool.
pub const TOOLS_CALL: &str = "tools/call";

/// A list of tools, page by page.
pub const TOOLS_LIST: &str = "tools/list";

/// Says that a request's answer is no longer wanted.
const CANCELLED: &str = "notifications/cancelled";

/// The methods of all revisions up to 2025-11-25.
const METHODS: [&str; 31] = [
    TOOLS_CALL,
    TOOLS_LIST,
    CANCELLED,
    "initialize",
    "ping",
    "completion/complete",
    "elicitation/create",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
];

/// The methods by which agents speak to each other (A2A, revisions 0.2 to 1.0), beside those that have
/// the same name above.
const AGENT_METHODS: [&str; 26] = [
    "agent/authenticatedExtendedCard",
    "agent/getAuthenticatedExtendedCard",
    "message/send",
    "message/stream",
    "tasks/pushNotification/get",
    "tasks/pushNotification/set",
    "tasks/pushNotificationConfig/delete",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/set",
    "tasks/resubscribe",
    "tasks/send",
    "tasks/sendSubscribe",
    "CancelTask",
    "CreateTaskPushNotificationConfig",
    "DeleteTaskPushNotificationConfig",
    "GetAgentCard",
    "GetExtendedAgentCard",
    "GetTask",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "ListTasks",
    "SendMessage",
    "SendStreamingMessage",
    "SubscribeToTask",
];

/// Those of them that are answered in parts.
const IN_PARTS: [&str; 5] = [
    "message/stream",
    "tasks/resubscribe",
    "tasks/sendSubscribe",
    "SendStreamingMessage",
    "SubscribeToTask",
];

fn known(method: &str) -> Option<&'static str> {
    let mut all = METHODS.iter().chain(&AGENT_METHODS).copied();
    all.find(|known| *known == method)
}

fn check_shape(params: Option<&Node<'_>>) -> Result<(), Flaw> {
    match params.map(|node| &node.value) {
        None | Some(Value::Object(_) | Value::List(_) | Value::Null) => Ok(()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Text(_)) => Err(Flaw::Shape),
    }
}

/// Parsers that do not tell cases apart, such as Go's, would take `Method` for `method`.
pub(super) fn check_case(
    members: &[(Cow<'_, str>, Node<'_>)],
    reserved: &[&str],
) -> Result<(), Flaw> {
    let fold = |name: &str| name.to_lowercase().to_uppercase();
    let is_other = |name: &str| {
        !reserved.contains(&name) && reserved.iter().any(|own| fold(own) == fold(name))
    };
    match members.iter().any(|(name, _)| is_other(name)) {
        true => Err(Flaw::Case),
        false => Ok(()),
    }
}
