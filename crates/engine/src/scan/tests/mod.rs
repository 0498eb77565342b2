//! What the scanner must see, and what it must let pass.

mod examples;
mod streams;
mod views;

use super::{Budget, Scanner, Sighting};
use crate::crossing::{Direction, SurfaceKind};

/// Synthetic: the checksum holds, no such token was ever made.
const TOKEN: &str = concat!("ghp_", "0123456789abcdefghijABCDEFGHIJ012345");

fn scan_as(kind: SurfaceKind, direction: Direction, bytes: &[u8]) -> Vec<Sighting> {
    let (mut out, mut budget) = (Vec::new(), Budget::default());
    Scanner::new([7; 32])
        .scan(kind, direction, bytes, &mut budget, &mut out)
        .expect("the budget covers it");
    out
}

fn scan(direction: Direction, bytes: &[u8]) -> Vec<Sighting> {
    scan_as(SurfaceKind::Body, direction, bytes)
}
