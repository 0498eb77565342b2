//! Scans surfaces and streams: what the rest of the engine calls.

mod budget;
mod events;
mod file;
mod inflate;
mod opaque;
mod party;
mod probe;
mod stream;
mod strings;
mod window;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use budget::Budget;
pub use budget::BudgetSpent;
pub(crate) use events::Event;
pub use events::EventForm;
pub use file::{FileFinding, FileScan, FileScanner};
pub use inflate::decode;
pub(crate) use inflate::{Inflate, Opaque};
pub(crate) use opaque::is_bomb;
pub(crate) use party::Parties;
pub use probe::Probe;
#[allow(unused_imports)]
pub(crate) use stream::Stream;

use crate::crossing::{Direction, SurfaceKind};
use crate::detect::{Check, Detectors};
use crate::finding::{Class, Fingerprint, Score, Severity};
use crate::known::{self, Known, Part, Values};
use crate::media::{self, Seen};
use crate::rules::{RULES, Rule};
use crate::views::{DOCUMENT, is_compression};
use window::Window;

/// All built-in rules; cheap to clone. Making one costs nothing: a rule's regexes are compiled when
/// content first wakes them.
#[derive(Clone)]
pub(crate) struct Scanner {
    detectors: Arc<Detectors>,
    known: Arc<Values>,
    key: Arc<Zeroizing<[u8; 32]>>,
    /// Decodings that are left out, to prove that no other stands in for them.
    without: &'static [&'static str],
}

/// What a detector saw. It holds no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) rule: &'static Rule,
    /// Where the rule knows credentials by their surroundings alone: the rules that know the same
    /// bytes by their form.
    pub(crate) also: Vec<&'static Rule>,
    /// The rule's, or lower where a checksum fails or the value is a published example.
    pub(crate) severity: Severity,
    /// Byte offset in the surface; in the decompressed content for a body.
    pub(crate) offset: u64,
    /// Bytes of the surface that it covers.
    pub(crate) len: u64,
    /// Bytes before it that belong to the same passage, and may not go on either.
    pub(crate) before: u64,
    /// The decodings that led to the view, outermost first.
    pub(crate) via: Vec<&'static str>,
    pub(crate) fingerprint: Fingerprint,
    /// Which known value it is of, and what of it.
    pub(crate) known: Option<Part>,
    /// Of a token that says so: who issued it, and for whom.
    pub(crate) parties: Parties,
    pub(crate) score: Option<Score>,
}

impl Sighting {
    /// Says that its passage begins at `start` or before.
    fn hold_from(&mut self, start: u64) {
        self.before = self.before.max(self.offset.saturating_sub(start));
    }

    /// Whether it is in a file of an archive. What is packed within text is there to be unpacked by who
    /// reads that, and an office document is an archive only to machines.
    pub(crate) fn is_packed(&self) -> bool {
        self.via.first().is_some_and(|step| is_compression(step)) && !self.via.contains(&DOCUMENT)
    }

    /// Whether the value is one that documentation prints, or that says so.
    pub(crate) fn is_published(&self) -> bool {
        self.rule.class == Class::Secret && self.severity < self.rule.severity.min(Severity::Medium)
    }

    /// Whether it counts where it was seen in joined text. What is known by its surroundings alone is
    /// not known by those of another message.
    pub(crate) fn is_sure_when_joined(&self) -> bool {
        let is_setting = self.rule.checks.contains(&Check::Setting);
        self.severity >= Severity::High && !is_setting && !known::is_piece(self.rule)
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scanner({} rules)", RULES.len())
    }
}

impl Scanner {
    /// A scanner by the built-in rules. `key` keys the fingerprints.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self {
            detectors: Arc::new(Detectors::new()),
            known: Arc::default(),
            key: Arc::new(Zeroizing::new(key)),
            without: &[],
        }
    }

    /// Leaves decodings out.
    fn leave_out(&mut self, decodings: &'static [&'static str]) {
        self.without = decodings;
    }

    /// The same, for known values too.
    pub(crate) fn knowing(key: [u8; 32], known: Known) -> Self {
        let mut scanner = Self::new(key);
        if !known.is_empty() {
            let rules_of = |name: &str, value: &[u8]| scanner.rules_of(name, value);
            scanner.known = Arc::new(Values::new(known, &key, rules_of));
        }
        scanner
    }

    /// The rules that know a value by its form, or by its form and its name, and know its home.
    fn rules_of(&self, name: &str, value: &[u8]) -> Vec<&'static Rule> {
        let name = name.rsplit('.').next().unwrap_or_default();
        let setting = [name.as_bytes(), b"=", value, b"\n"].concat();
        let setting = Zeroizing::new(setting);
        let (mut budget, mut found) = (Budget::default(), Vec::new());
        let kind = SurfaceKind::Body;
        let scanned = self.scan(kind, Direction::Outbound, &setting, &mut budget, &mut found);
        let rules = found.into_iter().map(|own| own.rule);
        match scanned {
            Ok(()) => rules.filter(|rule| !rule.home.is_empty()).collect(),
            Err(BudgetSpent) => Vec::new(),
        }
    }

    /// What is known of the values that a sighting is of.
    pub(crate) fn known(&self) -> &Values {
        &self.known
    }

    /// Every rule.
    pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
        let own = opaque::RULES.iter().chain(known::RULES);
        RULES.iter().chain(own).chain(media::rules())
    }

    fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    /// Scans one whole surface. Reports each sighting once.
    pub(crate) fn scan(
        &self,
        kind: SurfaceKind,
        direction: Direction,
        bytes: &[u8],
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        budget.earn(bytes.len());
        let len = bytes.len() as u64;
        for block in (0..len).step_by(window::BLOCK_BYTES as usize) {
            let (start, end) = (window::start(block), window::end(block).min(len));
            let bytes = &bytes[start as usize..end as usize];
            let owned = block..block + window::BLOCK_BYTES;
            out.extend(self.window(
                kind,
                direction,
                &Window {
                    bytes,
                    base: start,
                    owned,
                },
                budget,
            )?);
        }
        Ok(())
    }

    /// What was seen of what content is.
    pub(crate) fn media(&self, seen: Seen) -> Sighting {
        Sighting {
            rule: seen.rule,
            also: Vec::new(),
            severity: seen.rule.severity,
            offset: seen.range.start,
            len: seen.range.end - seen.range.start,
            before: 0,
            via: Vec::new(),
            fingerprint: self.fingerprint(seen.rule.id.as_bytes()),
            known: None,
            parties: Parties::default(),
            score: None,
        }
    }

    /// A keyed hash, cut short: equal content has equal fingerprints, and without the key nothing
    /// can be told from one.
    pub(crate) fn fingerprint(&self, matched: &[u8]) -> Fingerprint {
        let hash = Sha256::new()
            .chain_update(**self.key)
            .chain_update(matched)
            .finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&hash[..8]);
        Fingerprint(short)
    }
}

#[cfg(test)]
mod tests;
