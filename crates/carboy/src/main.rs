//! Runs an AI agent in a sealed bottle.
fn main() {}
