//! The engine's tests: policies, hosts and addresses, and the shared corpus of crossings.

mod calls;
mod case;
mod corpus;
mod docs;
mod encoding;
mod encodings;
mod events;
mod files;
mod host;
mod known;
mod message;
mod own_words;
mod policy;
mod prose;
#[path = "../../../../cases/reader.rs"]
mod reader;
mod redact;
mod remedy;
mod repeat;
mod responses;
mod secrets;
mod stream;
mod strip;
mod structures;
