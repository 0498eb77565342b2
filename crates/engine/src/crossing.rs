//! What wants to cross: the crossing, where it goes, and the surfaces that hold its content.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::host::Host;

/// One unit of content that wants to pass the wall in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Crossing<'a> {
    /// What kind of unit it is; it fixes the direction.
    pub kind: CrossingKind,
    /// The far end, outside the bottle. For a response, where the request went.
    pub target: &'a Target,
    /// The method of HTTP or JSON-RPC, where there is one.
    pub method: Option<&'a str>,
}

/// The kinds of crossing that adapters open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrossingKind {
    /// A DNS question. It is answered with a synthetic address and never leaves.
    DnsQuery,
    /// A tunnel whose content Carboy does not read: a `CONNECT` or a TLS connection to a
    /// `tls.passthrough` host.
    Tunnel,
    /// A raw TCP connection to a `name:port` that the policy lists, and what its client says.
    TcpConnection,
    /// What the server says on a raw TCP connection.
    TcpResponse,
    /// An HTTP request, whatever listener or interception it came by.
    HttpRequest,
    /// The response to an HTTP request that crossed before.
    HttpResponse,
    /// A message of a model context protocol client to its server: a request, a notification, or
    /// the response to what the server asked.
    McpRequest,
    /// A message of a model context protocol server to its client, of any of these kinds.
    McpResponse,
    /// A message that the client sends over a WebSocket that was opened before.
    WsMessage,
    /// A message that the server sends over it.
    WsReply,
}

/// Which way content moves through the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the bottle to the world.
    Outbound,
    /// From the world into the bottle.
    Inbound,
}

impl CrossingKind {
    /// The way this kind of crossing moves. A tunnel is judged as it opens, outbound.
    pub fn direction(self) -> Direction {
        match self {
            Self::DnsQuery
            | Self::Tunnel
            | Self::TcpConnection
            | Self::HttpRequest
            | Self::McpRequest
            | Self::WsMessage => Direction::Outbound,
            Self::TcpResponse | Self::HttpResponse | Self::McpResponse | Self::WsReply => {
                Direction::Inbound
            }
        }
    }

    /// The kind of crossing that answers this one, where there is one.
    pub fn answer(self) -> Option<Self> {
        match self {
            Self::HttpRequest => Some(Self::HttpResponse),
            Self::TcpConnection => Some(Self::TcpResponse),
            Self::McpRequest => Some(Self::McpResponse),
            Self::DnsQuery
            | Self::Tunnel
            | Self::HttpResponse
            | Self::TcpResponse
            | Self::McpResponse
            | Self::WsMessage
            | Self::WsReply => None,
        }
    }

    /// The stable name that receipts and refusals use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DnsQuery => "dns-query",
            Self::Tunnel => "tunnel",
            Self::TcpConnection => "tcp",
            Self::TcpResponse => "tcp-response",
            Self::HttpRequest => "http-request",
            Self::HttpResponse => "http-response",
            Self::McpRequest => "mcp-request",
            Self::McpResponse => "mcp-response",
            Self::WsMessage => "ws-message",
            Self::WsReply => "ws-reply",
        }
    }
}

/// The far end of a crossing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The protocol spoken to it.
    pub scheme: Scheme,
    /// Its name, or its address where no name is known.
    pub host: Host,
    /// Its port; 53 for a DNS question.
    pub port: u16,
}

impl Target {
    /// Stands for the target of a crossing that does not tell one: it is opened only to be refused
    /// for a fault. No list is asked about it, and there is no address to dial.
    pub const UNKNOWN: Self = Self {
        scheme: Scheme::Http,
        host: Host::Addr(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        port: 0,
    };

    /// Whether this is [`Target::UNKNOWN`].
    pub fn is_unknown(&self) -> bool {
        self.port == 0 && self.host == Self::UNKNOWN.host
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

/// The protocol of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear-text HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// TLS whose content is not read.
    Tls,
    /// Raw TCP.
    Tcp,
    /// DNS.
    Dns,
    /// The model context protocol, with a server on this machine's side of a pipe: the target's
    /// host is the server's name, given by who started it, and its port is 0.
    Mcp,
}

impl Scheme {
    /// The stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Mcp => "mcp",
        }
    }
}

/// One place in a crossing where content sits.
#[derive(Clone, Copy)]
pub struct Surface<'a> {
    /// The kind of place.
    pub kind: SurfaceKind,
    /// The item's name where the kind has one: a header's or a query item's, or the path of a
    /// string in a JSON document (RFC 6901).
    pub name: &'a str,
    /// The raw content, as the peer sent it.
    pub bytes: &'a [u8],
}

impl fmt::Debug for Surface<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surface({:?}, {} bytes)", self.kind, self.bytes.len())
    }
}

/// The kinds of surface.
///
/// All but [`SurfaceKind::Body`], [`SurfaceKind::Stream`] and [`SurfaceKind::WsMessage`] are pushed
/// once, whole; those three are streams, pushed in any number of pieces, and only they hold bytes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SurfaceKind {
    /// The host name as the peer spelt it.
    Host,
    /// The whole URL in absolute form.
    Url,
    /// The path.
    Path,
    /// One query item's value; its key is the surface's name.
    Query,
    /// One header's value; its lower-case name is the surface's name.
    Header,
    /// One trailer's value.
    Trailer,
    /// The next bytes of the body.
    Body,
    /// The next bytes of a raw TCP stream.
    Stream,
    /// The name of the tool that a call is for.
    Tool,
    /// One string, key or number of a called tool's arguments; its path in them, such as `/command`
    /// or `/env/0`, is the surface's name.
    Argument,
    /// All arguments of one call, as JSON; the tool's name is the surface's.
    Call,
    /// Any other string, key or number of a JSON-RPC message; its path is the surface's name.
    Message,
    /// One string, key or number of a tool's definition in a list of tools; its path is the
    /// surface's name.
    Definition,
    /// The next bytes of a WebSocket message, either way.
    WsMessage,
}

impl SurfaceKind {
    /// The stable name that receipts and refusals use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Url => "url",
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Trailer => "trailer",
            Self::Body => "body",
            Self::Stream => "stream",
            Self::Tool => "tool",
            Self::Argument => "argument",
            Self::Call => "call",
            Self::Message => "message",
            Self::Definition => "definition",
            Self::WsMessage => "ws-message",
        }
    }
}

/// The time of an event, as the shell knows it. The engine has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Monotonic time since the gate started.
    pub elapsed: Duration,
    /// Wall-clock seconds since 1970-01-01T00:00Z, for expiry dates.
    pub unix_seconds: u64,
}
