//! The invariants that the fuzz targets try to break, as plain functions of bytes.
//!
//! The same functions run over `seeds/` as an ordinary test of `carboy-wire`.
#![forbid(unsafe_code)]

mod engine;
mod http;
mod mcp;
mod peek;
mod shell;
mod views;
mod websocket;

pub use engine::{policy_file, views};
pub use http::{http_head, url_target};
pub use mcp::mcp_message;
pub use peek::{client_hello, dns_message, socks};
pub use shell::shell;
pub use views::{
    alphabets, base85, compressed, escapes, hidden, literals, mail, numbers, radix, spellings, wide,
};
pub use websocket::ws_frames;
