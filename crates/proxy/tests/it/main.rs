//! The gate between real clients and real upstreams, all on the loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "these are the clients and the upstreams"
)]

mod bounds;
mod content;
mod evidence;
mod exits;
mod forward;
mod framing;
mod support;
