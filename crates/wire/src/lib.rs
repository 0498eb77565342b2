//! Protocol bytes to crossings, and edits and refusals back.
//!
//! Pure: it parses and renders what an adapter read or will write.
#![forbid(unsafe_code)]

pub mod dns;
pub mod tls;
