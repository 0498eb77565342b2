//! The HTTP adapter: forward, intercepted and transparent HTTP are the same code, and differ only
//! in how the target is learnt.

use carboy_engine::{Host, Scheme};

/// How a request's target is learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A proxy's client: absolute-form targets and `CONNECT`.
    Forward,
    /// An intercepted or transparent connection: origin-form targets, for one far end. `Host` and
    /// `:authority` must agree with it.
    Fixed {
        /// `http` or `https`.
        scheme: Scheme,
        /// The far end's name, or its address where no name is known.
        host: Host,
        /// Its port.
        port: u16,
    },
}

/// The protocol that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2, by ALPN.
    Http2,
}
