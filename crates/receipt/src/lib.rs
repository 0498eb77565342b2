//! Receipts: what was decided about each crossing, as a signed chain of lines.
//!
//! A log is a file of lines, each one JSON object in RFC 8785 canonical form. Each line names the
//! SHA-256 of the line before it, so that an edit, a gap or a swap anywhere breaks the chain. An
//! Ed25519 key signs the chain's head in batches and when the log is closed. A ledger lists the logs.
//!
//! The crate is pure: it has no clock, no file and no random number. A shell passes the time in
//! and moves the bytes.
//!
//! ```
//! use carboy_receipt::{Chain, Digest, Opening, Record, Signer, Time, Verifier, Verify};
//!
//! let signer = Signer::new(&[7; 32]);
//! let mut log = Vec::new();
//! let time = Time::from_unix_micros(1_763_839_200_000_000);
//! let opening = Opening { time, policy: Digest::new([1; 32]), previous: None, version: "1.0.0" };
//! let mut chain = Chain::open(&opening, &signer, &mut log);
//! chain.append(Record::default(), &mut log);
//! chain.close(time, &signer, &mut log);
//!
//! let mut verifier = Verifier::new(Verify { key: Some(signer.public_key()), allow_open: false });
//! verifier.push(&log)?;
//! assert_eq!(verifier.finish()?.crossings, 1);
//! # Ok::<(), carboy_receipt::Fault>(())
//! ```
#![forbid(unsafe_code)]

mod chain;
mod hex;
mod ledger;
mod line;
mod record;
mod redact;
mod sign;
mod time;
mod verify;

pub use chain::{Batch, Chain, Head, Opening};
pub use hex::{Digest, Fingerprint, Hex, KeyId, PublicKey};
pub use ledger::{
    Entry, Event, LEDGER_LINE_BYTES_MAX, LedgerHead, Listed, Mismatch, NAME_BYTES_MAX, read_ledger,
};
pub use line::LINE_BYTES_MAX;
pub use record::{Decision, Direction, Finding, Record, Shadow, Target};
pub use redact::{HostCut, Withhold};
pub use sign::{SignedHead, Signer};
pub use time::Time;
pub use verify::{Fault, Report, Trust, UNSIGNED_LINES_MAX, Verifier, Verify, What};
