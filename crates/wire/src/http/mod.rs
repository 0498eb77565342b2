//! HTTP heads: where a request goes, what content it carries, and what is sent on.
//!
//! The order in which an adapter uses it: [`request_target`], then [`check_upgrade`], then
//! [`redact_request`] where the policy wants it, then [`request_surfaces`] on the head as it is then, then [`upstream_head`] on the head that leaves.
//! For an answer: [`check_response`], [`response_surfaces`], [`downstream_head`].
//!
//! What a peer can put into a head either reaches the far end and is a surface, or is stripped.
//! Fragments are neither: the `http` crate drops them as it parses, and they are never sent.

mod chain;
mod events;
mod forward;
mod reverse;
mod surfaces;
mod target;
#[cfg(test)]
mod tests;

pub use chain::{Answered, basic_login, connect_answer, connect_request, for_proxy};
pub use events::whole_events;
pub(crate) use forward::tokens;
pub use forward::{
    Protocol, check_response, check_upgrade, downstream_head, filter_accept_encoding,
    strip_hop_by_hop, upstream_head,
};
pub use reverse::{BackendError, Backends, Facing};
pub use surfaces::{
    redact_request, redact_response, request_surfaces, response_surfaces, trailer_surfaces,
};
pub(crate) use target::parse_host;
pub use target::{Origin, absolute_url, connect_target, request_target};
