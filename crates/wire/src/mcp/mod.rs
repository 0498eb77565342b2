//! The model context protocol: JSON-RPC messages of all revisions up to 2025-11-25. What agents say to
//! each other (A2A) has the same form, and is read here too.
//!
//! A message is passed on as it came, byte for byte, or not at all. So that nothing else is read from it
//! elsewhere, what two parsers could read differently is refused: see [`json`] and [`Flaw`].

mod answer;
mod card;
mod events;
mod glance;
pub mod json;
mod lines;
mod message;
mod pending;
mod sign_in;
mod surfaces;
#[cfg(test)]
mod tests;
mod tools;

pub use answer::{REFUSED, failed_call, list_tools, refused};
pub use card::Card;
pub use events::{EVENT_BYTES_MAX, Event, Events, LongEvent};
pub use glance::{
    asks_something, begins_session, holds_messages, is_begun, is_card_method, is_card_path,
    may_begin_messages, plain_path, revision,
};
pub use lines::{LINE_BYTES_MAX, Line, Lines};
pub use message::{
    BATCH_MAX, Call, Flaw, Flawed, Frame, ID_BYTES_MAX, Id, Kind, Message, Method, TOOLS_CALL,
    TOOLS_LIST,
};
pub use pending::{NotAsked, PENDING_MAX, Pending};
pub use sign_in::{Addresses, Metadata, Page as SignInPage};
pub use surfaces::{redacted, surfaces};
pub use tools::{Baseline, Catalogue, Fingerprint, Neighbour, Page, TOOLS_MAX, Tool};
