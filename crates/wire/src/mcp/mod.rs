//! The model context protocol: JSON-RPC messages of all revisions up to 2025-11-25.
//!
//! A message is passed on as it came, byte for byte, or not at all. So that nothing else is read from it
//! elsewhere, what two parsers could read differently is refused: see [`json`] and [`Flaw`].

mod answer;
mod events;
pub mod json;
mod lines;
mod message;
mod pending;
mod surfaces;
#[cfg(test)]
mod tests;
mod tools;

pub use answer::{REFUSED, list_tools, refused};
pub use events::{EVENT_BYTES_MAX, Event, Events, LongEvent};
pub use lines::{LINE_BYTES_MAX, Line, Lines};
pub use message::{
    BATCH_MAX, Call, Flaw, Flawed, Frame, ID_BYTES_MAX, Id, Kind, Message, Method, TOOLS_CALL,
    TOOLS_LIST,
};
pub use pending::{NotAsked, PENDING_MAX, Pending};
pub use surfaces::{redacted, surfaces};
pub use tools::{Baseline, Catalogue, Fingerprint, Neighbour, Page, TOOLS_MAX, Tool};
