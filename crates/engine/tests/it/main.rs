//! The engine's tests: policies, hosts and addresses, and the shared corpus of crossings.

mod case;
mod corpus;
mod docs;
mod host;
mod policy;
mod repeat;
mod secrets;
mod stream;
