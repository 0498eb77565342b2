//! Decides whether content may cross a bottle's wall.
//!
//! Pure: bytes and the time go in, steps and a [`Verdict`] come out. The order of checks exists
//! once, in [`Inspection`]; a protocol adapter only feeds it.
#![forbid(unsafe_code)]

mod address;
mod content_id;
mod crossing;
mod decide;
#[allow(dead_code)]
mod detect;
mod entropy;
mod finding;
mod host;
mod injection;
mod inspection;
mod known;
mod media;
mod policy;
mod presigned;
mod refusal;
mod rule_ids;
#[allow(dead_code)]
mod rules;
#[allow(dead_code)]
mod scan;
mod session;
mod shape;
mod strings;
mod structure;
mod surprise;
mod tool;
mod verdict;
#[allow(dead_code)]
mod views;

pub use address::AddressClass;
pub use crossing::{Crossing, CrossingKind, Direction, Scheme, Surface, SurfaceKind, Target, Time};
pub use finding::{Action, Class, Finding, Fingerprint, Locus, Score, Severity};
pub use host::{Host, HostError, HostPattern, PatternError};
pub use inspection::{Answer, Conversation, Engine, Inspection, Question, Restorer, Step};
pub use known::{Asked, Known};
pub use policy::{
    ClientCertificate, Durability, Evidence, Mode, Policy, PolicyError, Preset, Problem, TlsAction,
    UpstreamProxy,
};
pub use rules::{Origin, Rule, RuleDirection};
#[doc(hidden)]
pub use scan::Probe;
pub use scan::{BudgetSpent, EventForm, FileFinding, FileScan, FileScanner, decode};
pub use session::Session;
pub use verdict::{
    Decision, Digest, Fault, Objection, PLEA_BYTES_MAX, Permit, Plea, Reason, Refusal, Retry,
    Ruling, Verdict,
};
pub use views::folded_name;
