//! The rules for content that cannot be read. They have no pattern: the decoder says so.

use super::inflate::Opaque;
use super::{Parties, Scanner, Sighting};
use crate::finding::{Class, Severity};
use crate::rules::{Origin, Rule, RuleDirection};

const fn rule(id: &'static str, title: &'static str) -> Rule {
    Rule {
        id,
        title,
        class: Class::Opaque,
        severity: Severity::High,
        direction: RuleDirection::Both,
        origin: Origin::Builtin,
        home: &[],
        home_in: &[],
        seen_in: &[],
        shape: None,
        checks: &[],
    }
}

pub(super) static RULES: &[Rule] = &[
    rule("opaque-encoding", "Content in an unknown coding"),
    rule("opaque-corrupt", "Content that is not what its coding says"),
    rule("opaque-ratio", "Content that decompresses out of bounds"),
    rule(
        "opaque-archive",
        "Compressed data within content that decompresses out of bounds",
    ),
];

/// Whether a rule is of content made to fill its reader's memory.
pub(crate) fn is_bomb(rule: &Rule) -> bool {
    *rule == RULES[2]
}

/// Whether a rule is of compressed data within content that was not looked at.
pub(super) fn is_of_archive(rule: &Rule) -> bool {
    *rule == RULES[3]
}

impl Scanner {
    /// Compressed data in the content from `offset` on that was not looked at.
    pub(super) fn burst(&self, offset: u64) -> Sighting {
        self.unread(&RULES[3], offset)
    }

    /// Content that cannot be read from `offset` of its decoded bytes on.
    pub(crate) fn opaque(&self, opaque: Opaque, offset: u64) -> Sighting {
        let rule = match opaque {
            Opaque::Encoding => &RULES[0],
            Opaque::Corrupt => &RULES[1],
            Opaque::Ratio => &RULES[2],
        };
        self.unread(rule, offset)
    }

    fn unread(&self, rule: &'static Rule, offset: u64) -> Sighting {
        Sighting {
            rule,
            also: Vec::new(),
            severity: rule.severity,
            offset,
            len: 0,
            via: Vec::new(),
            fingerprint: self.fingerprint(&[]),
            known: None,
            parties: Parties::default(),
            before: 0,
            score: None,
        }
    }
}
