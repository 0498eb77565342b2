//! The engine's tests: policies, hosts and addresses, and the shared corpus of crossings.

mod policy;
