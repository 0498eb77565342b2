//! A log as its writer and its reader see it.

mod chain;
mod ledger;
mod tamper;
mod vectors;
mod world;
