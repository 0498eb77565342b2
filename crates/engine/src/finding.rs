//! What detectors saw. A finding never holds the content itself.

use std::fmt;

use crate::crossing::SurfaceKind;

/// What a detector saw in one view of one surface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, such as `github-token`.
    pub rule: Box<str>,
    /// The rule's class; the policy acts on classes.
    pub class: Class,
    /// How bad a true match is.
    pub severity: Severity,
    /// What the policy makes of it.
    pub action: Action,
    /// Where it was seen.
    pub locus: Locus,
    /// A keyed hash of the matched bytes, so that two sightings can be compared.
    pub fingerprint: Fingerprint,
    /// What a model of weak signals made of it; none where a rule tells by itself.
    pub score: Option<Score>,
}

/// How much speaks for a finding, where no single thing does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// The sum of what its signals are worth, words that talk about attacks taken off.
    pub points: u32,
    /// The signals by name, the weightiest first; never what they were seen in.
    pub signals: Vec<&'static str>,
    /// Whether it is cited in a text about attacks, and so a mention rather than an attempt.
    pub is_cited: bool,
}

/// The classes of rules. The policy sets an action for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Credentials and keys.
    Secret,
    /// Personal data: card numbers, IBANs, social security numbers.
    Personal,
    /// Instructions aimed at the agent.
    Injection,
    /// Content whose shape says it carries hidden data: entropy of labels, paths, query values.
    Entropy,
    /// Malformed or deceptive targets: CR/LF, traversal, userinfo, scheme, length.
    Shape,
    /// Content that could not be decoded within bounds.
    Opaque,
    /// What a called tool would do.
    Tool,
    /// Content that is not what it says, or that would run where it is shown.
    Media,
}

impl Class {
    /// The stable name that policy, receipts and refusals use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Personal => "personal",
            Self::Injection => "injection",
            Self::Entropy => "entropy",
            Self::Shape => "shape",
            Self::Opaque => "opaque",
            Self::Tool => "tool",
            Self::Media => "media",
        }
    }
}

/// How bad a true match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a record.
    Low,
    /// Worth a look.
    Medium,
    /// A leak or an attack.
    High,
    /// A leak or an attack that gives away much.
    Critical,
}

impl Severity {
    /// The stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What the policy makes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Recorded only.
    Warn,
    /// Replaced by a placeholder where that is safe; elsewhere the crossing is refused.
    Redact,
    /// Cut out, with what carries it, where that is safe; elsewhere the crossing is refused.
    Strip,
    /// Written anew as a safer command.
    Rewrite,
    /// The crossing is refused.
    Block,
}

/// Where in a crossing something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locus {
    /// The kind of surface.
    pub surface: SurfaceKind,
    /// The surface's name, such as a header's; empty where the kind has none.
    pub name: Box<str>,
    /// Byte offset in the surface's raw (for a body, decompressed) content, as near as the view lets one tell.
    pub offset: u64,
    /// The decodings that led to the view, outermost first, such as `["percent", "base64"]`.
    pub via: Vec<&'static str>,
}

impl fmt::Display for Locus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.surface.as_str())?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        write!(f, ", byte {}", self.offset)?;
        for step in &self.via {
            write!(f, ", {step}")?;
        }
        Ok(())
    }
}

/// A keyed hash of matched bytes: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
