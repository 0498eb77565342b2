//! The fuzz seeds and the shared corpus of cases through this crate.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::print_stdout,
    reason = "a failing seed is named by what was printed last"
)]

mod corpus;
#[path = "../../../../cases/reader.rs"]
mod reader;
mod seeds;
