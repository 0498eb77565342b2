//! Protocol bytes to crossings, and edits and refusals back.
//!
//! Pure: bytes and parsed heads go in; targets, surfaces, edited heads and rendered refusals come
//! out. Nothing here reads a socket, waits, or knows a policy.
#![forbid(unsafe_code)]

pub mod dns;
pub mod grpc;
pub mod http;
pub mod http1;
pub mod login;
pub mod mcp;
pub mod opening;
pub mod protocol;
pub mod readable;
pub mod refusal;
pub mod socks;
pub mod tls;
pub mod websocket;
