//! What the scanner must see, and what it must let pass.

mod examples;
mod streams;
mod views;

use std::sync::LazyLock;

use super::{Budget, Scanner, Sighting};
use crate::crossing::{Direction, SurfaceKind};

/// Synthetic: no such token was ever made, and its checksum fails.
const TOKEN: &str = concat!("ghp_", "0123456789abcdefghijABCDEFGHIJ012345");

fn scan_as(kind: SurfaceKind, direction: Direction, bytes: &[u8]) -> Vec<Sighting> {
    // Shared, so that each regex is compiled once.
    static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new([7; 32]));
    let (mut out, mut budget) = (Vec::new(), Budget::default());
    SCANNER
        .scan(kind, direction, bytes, &mut budget, &mut out)
        .expect("the budget covers it");
    out
}

fn scan(direction: Direction, bytes: &[u8]) -> Vec<Sighting> {
    scan_as(SurfaceKind::Body, direction, bytes)
}
