//! The model context protocol: each message of a client or server is a crossing.
//!
//! A [`Talk`] judges what both sides of one connection say, whatever carries it. [`serve_pipes`] carries
//! it over pipes, a message a line; [`serve_remote`] over HTTP and WebSockets; [`serve_connected`] from
//! pipes to either.

mod carry;
mod http;
mod pipes;
mod server;
mod server_name;
mod shelf;
mod socket;
mod talk;

pub use http::{AddedFields, Carrier, Remote, serve_connected, serve_remote};
pub(crate) use http::{Exchange, Opening, Said, Speaks, Within, may_speak};
pub use pipes::serve_pipes;
pub use server::Server;
pub use server_name::ServerName;
pub use shelf::{Shelf, ShelfError, kept_servers};
pub(crate) use socket::serve_socket;
pub use talk::Talk;

/// The subprotocol of WebSockets that messages are carried by.
pub(crate) const SUBPROTOCOL: &str = "mcp";
