//! The gate between real clients and real upstreams, all on the loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unreachable_pub, reason = "the modules share what they have")]
#![allow(
    clippy::disallowed_methods,
    reason = "these are the clients and the upstreams"
)]

mod approvals;
mod autobahn;
mod bounds;
mod chain;
mod content;
mod corpus;
mod dialogues;
mod dns;
mod evidence;
mod exits;
mod faults;
mod forward;
mod framing;
mod http2;
mod identity;
mod intercept;
mod limits;
mod mcp;
mod mcp_elsewhere;
mod mcp_http;
mod mcp_places;
mod mcp_socket;
mod mcp_within;
mod passthrough;
#[path = "../../../../cases/reader.rs"]
mod reader;
mod redact;
mod responses;
mod reverse;
mod rewrite;
mod socks;
mod stalls;
mod streaming;
mod streams;
mod support;
mod tcp;
mod tls;
mod transparent;
mod tunnel;
mod websocket;
mod ws;
