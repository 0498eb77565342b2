//! Scans surfaces and streams: what the rest of the engine calls.

mod budget;
mod stream;

use std::fmt;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use budget::{Budget, BudgetSpent};
#[allow(unused_imports)]
pub(crate) use stream::Stream;

use crate::crossing::{Direction, SurfaceKind};
use crate::finding::{Fingerprint, Severity};
use crate::rules::{PATTERNS, RULES, Rule};

/// All built-in rules, compiled; cheap to clone.
#[derive(Clone)]
pub(crate) struct Scanner {
    core: Arc<Core>,
    key: Arc<Zeroizing<[u8; 32]>>,
}

/// What a detector saw. It holds no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) rule: &'static Rule,
    /// The rule's, or lower where a checksum fails or the value is a published example.
    pub(crate) severity: Severity,
    /// Byte offset in the surface; in the decompressed content for a body.
    pub(crate) offset: u64,
    /// Bytes of the surface that it covers.
    pub(crate) len: u64,
    /// The decodings that led to the view, outermost first.
    pub(crate) via: Vec<&'static str>,
    pub(crate) fingerprint: Fingerprint,
}

struct Core {
    literals: AhoCorasick,
    /// The pattern of each literal.
    owners: Vec<usize>,
    regexes: Vec<OnceLock<Regex>>,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scanner({} rules)", RULES.len())
    }
}

impl Scanner {
    /// Compiles the built-in rules. `key` keys the fingerprints.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        let owned = PATTERNS.iter().enumerate();
        let owned = owned.flat_map(|(index, p)| p.literals.iter().map(move |l| (index, *l)));
        let (owners, literals): (Vec<_>, Vec<_>) = owned.unzip();
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(literals)
            .expect("the build script bounds the literals");
        let regexes = PATTERNS.iter().map(|_| OnceLock::new()).collect();
        Self {
            core: Arc::new(Core {
                literals,
                owners,
                regexes,
            }),
            key: Arc::new(Zeroizing::new(key)),
        }
    }

    /// Every rule.
    pub(crate) fn rules() -> &'static [Rule] {
        RULES
    }

    /// Scans one whole surface. Reports each sighting once.
    pub(crate) fn scan(
        &self,
        _kind: SurfaceKind,
        direction: Direction,
        bytes: &[u8],
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        budget.earn(bytes.len());
        budget.spend(bytes.len())?;
        let mut woken: Vec<usize> = self
            .core
            .literals
            .find_overlapping_iter(bytes)
            .map(|hit| self.core.owners[hit.pattern().as_usize()])
            .collect();
        woken.sort_unstable();
        woken.dedup();
        for pattern in woken {
            let rule = &RULES[PATTERNS[pattern].rule];
            if !rule.direction.covers(direction) {
                continue;
            }
            for found in self.core.regex(pattern).find_iter(bytes) {
                out.push(Sighting {
                    rule,
                    severity: rule.severity,
                    offset: found.start() as u64,
                    len: found.len() as u64,
                    via: Vec::new(),
                    fingerprint: self.fingerprint(found.as_bytes()),
                });
            }
        }
        Ok(())
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

impl Core {
    fn regex(&self, pattern: usize) -> &Regex {
        self.regexes[pattern].get_or_init(|| {
            RegexBuilder::new(PATTERNS[pattern].regex)
                .unicode(false)
                .build()
                .expect("the build script compiled it")
        })
    }
}

#[cfg(test)]
mod tests;
