//! The engine's tests: policies, hosts and addresses, and the shared corpus of crossings.

mod case;
mod corpus;
mod host;
mod policy;
mod stream;
