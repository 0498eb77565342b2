//! Looks for what the rules describe in content that crosses no wall: files, history, patches.

use std::fmt;

use super::opaque::is_of_archive;
use super::{Budget, BudgetSpent, Scanner, Sighting, Stream, window};
use crate::crossing::{Direction, SurfaceKind};
use crate::decide::Home;
use crate::finding::{Class, Fingerprint, Severity};
use crate::rules::{RULES, Rule};

/// Keys the fingerprints, so that equal content has equal ones in every run and on every machine. It
/// is no secret: what keeps content from being guessed by its fingerprint is the content's own
/// randomness, and [`GUESSABLE_BYTES`] where there is little of it.
const KEY: [u8; 32] = *b"carboy: fingerprints of files, 1";

/// Fingerprints are cut to so many bytes where few values are possible: among all card numbers, many
/// thousands share one.
const GUESSABLE_BYTES: usize = 2;

/// The classes that describe content itself, and not how a crossing is made.
const CLASSES: [Class; 3] = [Class::Secret, Class::Personal, Class::Injection];

/// Judges files by the built-in rules of some classes. Cheap to share between threads.
#[derive(Debug)]
pub struct FileScanner {
    scanner: Scanner,
    classes: Vec<Class>,
}

/// What was seen in a file. It holds no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFinding {
    /// The rule that describes it.
    pub rule: &'static Rule,
    /// The rule's severity, or a lower one where a checksum fails or the value is a published example.
    pub severity: Severity,
    /// Byte offset of its beginning, as near as the decodings let one tell.
    pub offset: u64,
    /// Bytes of the file that it covers.
    pub len: u64,
    /// The decodings that led to it, outermost first.
    pub via: Vec<&'static str>,
    /// The same for the same content in every run. All but its first two bytes are zero for what
    /// could be guessed: personal data, and values that are known by their surroundings alone.
    pub fingerprint: Fingerprint,
}

impl FileScanner {
    /// A scanner by the rules of `classes`: [`Class::Secret`], [`Class::Personal`] and
    /// [`Class::Injection`] have rules for files, other classes have none.
    pub fn new(classes: &[Class]) -> Self {
        Self {
            scanner: Scanner::new(KEY),
            classes: classes.to_vec(),
        }
    }

    /// The rules of the scanner's classes.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        let has_rules = |rule: &&Rule| CLASSES.contains(&rule.class);
        let is_chosen = |rule: &&Rule| self.classes.contains(&rule.class);
        RULES.iter().filter(has_rules).filter(is_chosen)
    }

    /// Whether any built-in rule for files has this id.
    pub fn is_rule(id: &str) -> bool {
        let mut rules = RULES.iter();
        rules.any(|rule| rule.id == id && CLASSES.contains(&rule.class))
    }

    /// Scans a whole file. Appends what it shows, in the order of the offsets.
    ///
    /// # Errors
    /// When the work budget ended first: what was appended is not all.
    pub fn scan(&self, bytes: &[u8], out: &mut Vec<FileFinding>) -> Result<(), BudgetSpent> {
        let first = out.len();
        let mut result = Ok(());
        for direction in self.directions() {
            let (mut budget, mut seen) = (Budget::default(), Vec::new());
            let kind = SurfaceKind::Body;
            let scanned = self
                .scanner
                .scan(kind, direction, bytes, &mut budget, &mut seen);
            let kept = self.keep(direction, seen, out);
            result = result.and(scanned).and(kept);
        }
        out[first..].sort_by_key(|finding| finding.offset);
        result
    }

    /// Opens a file that comes in pieces. It shows the same as the whole.
    pub fn open(&self) -> FileScan<'_> {
        let open = |direction| {
            let stream = Stream::new(SurfaceKind::Body, direction, None);
            (direction, stream, Budget::default())
        };
        FileScan {
            scanner: self,
            streams: self.directions().map(open).collect(),
        }
    }

    /// Secrets and personal data are described as they go out, instructions as they come in.
    fn directions(&self) -> impl Iterator<Item = Direction> {
        let has = |class| self.classes.contains(&class);
        let outbound = has(Class::Secret) || has(Class::Personal);
        let outbound = outbound.then_some(Direction::Outbound);
        let inbound = has(Class::Injection).then_some(Direction::Inbound);
        outbound.into_iter().chain(inbound)
    }

    /// Keeps what is of the chosen classes, each in its direction. A credential that a rule knows by its
    /// form need not be told again as one that its surroundings give away.
    ///
    /// # Errors
    /// When compressed data in it cost too much to look at.
    fn keep(
        &self,
        direction: Direction,
        seen: Vec<Sighting>,
        out: &mut Vec<FileFinding>,
    ) -> Result<(), BudgetSpent> {
        let is_left_out = seen.iter().any(|own| is_of_archive(own.rule));
        let is_told = |class| (class == Class::Injection) == (direction == Direction::Inbound);
        let is_kept = |own: &Sighting| {
            let class = own.rule.class;
            self.classes.contains(&class) && is_told(class) && own.also.is_empty()
        };
        out.extend(seen.into_iter().filter(is_kept).map(FileFinding::from));
        match is_left_out {
            true => Err(BudgetSpent),
            false => Ok(()),
        }
    }
}

impl From<Sighting> for FileFinding {
    fn from(sighting: Sighting) -> Self {
        let rule = sighting.rule;
        let mut fingerprint = sighting.fingerprint;
        if rule.class == Class::Personal || Home::is_anywhere(rule) {
            fingerprint.0[GUESSABLE_BYTES..].fill(0);
        }
        Self {
            rule,
            severity: sighting.severity,
            offset: sighting.offset,
            len: sighting.len,
            via: sighting.via,
            fingerprint,
        }
    }
}

/// A file that comes in pieces. However it is cut, it shows the same.
pub struct FileScan<'a> {
    scanner: &'a FileScanner,
    /// One for each direction, with its budget.
    streams: Vec<(Direction, Stream, Budget)>,
}

impl fmt::Debug for FileScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.streams.iter().map(|(_, stream, _)| stream))
            .finish()
    }
}

impl FileScan<'_> {
    /// What a push appends begins at most so many bytes before the pushed piece does.
    pub const LAG_BYTES: u64 = window::BLOCK_BYTES + window::OVERLAP_BYTES;

    /// Takes the next piece and appends what is decided.
    ///
    /// # Errors
    /// When the work budget ended.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<FileFinding>) -> Result<(), BudgetSpent> {
        let mut result = Ok(());
        for (direction, stream, budget) in &mut self.streams {
            let mut seen = Vec::new();
            let scanner = &self.scanner.scanner;
            let pushed = stream.push(scanner, piece, &|_| false, budget, &mut seen);
            let kept = self.scanner.keep(*direction, seen, out);
            result = result.and(pushed.map(drop)).and(kept);
        }
        result
    }

    /// Says that no more comes, and appends what is left.
    ///
    /// # Errors
    /// When the work budget ended.
    pub fn finish(mut self, out: &mut Vec<FileFinding>) -> Result<(), BudgetSpent> {
        let mut result = Ok(());
        for (direction, stream, budget) in &mut self.streams {
            let mut seen = Vec::new();
            let scanner = &self.scanner.scanner;
            let finished = stream.finish(scanner, &|_| false, budget, &mut seen);
            let kept = self.scanner.keep(*direction, seen, out);
            result = result.and(finished).and(kept);
        }
        result
    }
}
