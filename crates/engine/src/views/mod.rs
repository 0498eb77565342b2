//! A surface's bytes as decoded or normalised one way, with the path of decodings that led there.

mod alphabet;
mod base85;
mod branch;
mod clue;
mod compressed;
mod decoder;
mod dump;
mod escape;
mod hidden;
mod joined;
mod mail;
mod markup;
mod misspelt;
mod numbers;
mod plain;
mod radix;
mod respell;
mod runs;
mod sample;
mod spelt;
mod wide;

pub(crate) use clue::{Clue, ClueKind};
pub(crate) use compressed::is_compression;
pub(crate) use joined::is_parted;
pub(crate) use markup::DOCUMENT;
pub use plain::folded_name;
pub(crate) use respell::swap_case;
pub(crate) use runs::{is_encoding_byte, token_runs};

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::detect::Literals;
use crate::scan::{Budget, BudgetSpent};
use branch::{Decoded, Places};
use plain::Edits;
use runs::Coding;

/// Decodings on top of each other: what honest clients nest is at most three deep.
const DEPTH_MAX: usize = 5;

/// Views of one window: a bound on memory for the de-duplication, far above what content that
/// keeps within its work budget reaches.
const VIEWS_MAX: usize = 16 * 1024;

/// One view.
pub(crate) struct View<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    /// The literals that it holds, once it was looked at.
    pub(crate) literals: Literals,
    origin: Origin<'a>,
    depth: usize,
    /// Whether it, or a view that it came from, is another spelling of a whole: one in a row is made.
    is_respelt: bool,
    /// Whether the parent was cut off before this view's first or after its last byte.
    clipped: bool,
}

/// How a view came from its parent.
enum Origin<'a> {
    /// It is the surface's own bytes.
    Raw,
    /// Escapes undone and Unicode folded, in place.
    Plain { parent: &'a View<'a>, edits: Edits },
    /// A run of symbols of some coding, decoded.
    Decoded {
        parent: &'a View<'a>,
        coding: Coding,
    },
    /// Decoded or spelled another way, with the places that it came from.
    Grown {
        parent: &'a View<'a>,
        name: &'static str,
        places: Places,
    },
}

/// Where in the raw bytes a part of a view came from.
pub(crate) struct Origins {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The decodings, outermost first.
    pub(crate) via: Vec<&'static str>,
}

impl<'a> View<'a> {
    /// The view of raw bytes; `clipped` when they are a window of more.
    pub(crate) fn raw(bytes: &'a [u8], clipped: bool) -> Self {
        Self {
            bytes: Cow::Borrowed(bytes),
            literals: Literals::default(),
            origin: Origin::Raw,
            depth: 0,
            is_respelt: false,
            clipped,
        }
    }

    /// How many decodings led here.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a part of this view differs from the view that it came from: the rest has been
    /// looked at there.
    pub(crate) fn is_fresh(&self, range: &Range<usize>) -> bool {
        self.edited().is_none_or(|(_, edits)| edits.touch(range))
    }

    /// The view that this is a part of, and how it differs from it, where it is another's part with
    /// escapes undone.
    pub(crate) fn edited(&self) -> Option<(&View<'a>, &Edits)> {
        match &self.origin {
            Origin::Plain { parent, edits } => Some((parent, edits)),
            Origin::Raw | Origin::Decoded { .. } | Origin::Grown { .. } => None,
        }
    }

    /// The parts of this view that are fresh, with so many bytes around each, in order.
    pub(crate) fn fresh(&self, around: usize) -> Vec<Range<usize>> {
        let len = self.bytes.len();
        let Some((_, edits)) = self.edited() else {
            return std::iter::once(0..len).collect();
        };
        let mut parts: Vec<Range<usize>> = Vec::new();
        for change in edits.changes() {
            let part = change.start.saturating_sub(around)..len.min(change.end + around);
            match parts.last_mut() {
                Some(last) if last.end >= part.start => last.end = part.end,
                Some(_) | None => parts.push(part),
            }
        }
        parts
    }

    /// Maps a part of this view to the raw bytes.
    pub(crate) fn origins(&self, start: usize, end: usize) -> Origins {
        match &self.origin {
            Origin::Raw => Origins {
                start,
                end,
                via: Vec::new(),
            },
            Origin::Plain { parent, edits } => {
                let (from, to) = edits.map(start, end);
                let mut origins = parent.origins(from, to);
                origins.via.extend(edits.kinds(start, end));
                origins
            }
            Origin::Decoded { parent, coding } => {
                let (from, to) = coding.map(&parent.bytes, start, end);
                let mut origins = parent.origins(from, to);
                origins.via.push(coding.name());
                origins
            }
            Origin::Grown {
                parent,
                name,
                places,
            } => {
                let (from, to) = places.map(start, end);
                let mut origins = parent.origins(from, to);
                origins.via.push(name);
                origins
            }
        }
    }
}

/// Looks at a view, and leaves clues of others.
type Visit<'v> =
    &'v mut dyn FnMut(&mut View<'_>, &mut Budget, &mut Vec<Clue>) -> Result<(), BudgetSpent>;

/// Whether a view is a few bytes over and over, but for its ends, where a run's symbols may be cut within
/// a group. Nothing grows out of that: neither those bytes nor the ends have room for anything encoded
/// once more, yet every coding reads the whole as something.
fn is_repeated(bytes: &[u8]) -> bool {
    const PERIOD_MAX: usize = 16;
    const END_BYTES: usize = 8;
    const BYTES_MIN: usize = 256;
    if bytes.len() < BYTES_MIN {
        return false;
    }
    let middle = &bytes[END_BYTES..bytes.len() - END_BYTES];
    (1..=PERIOD_MAX).any(|period| middle[period..] == middle[..middle.len() - period])
}

/// Walks every view of `root`, itself first, each distinct one once. The decodings named in
/// `without` are left out.
pub(crate) fn walk(
    root: View<'_>,
    without: &'static [&'static str],
    budget: &mut Budget,
    visit: Visit<'_>,
) -> Result<(), BudgetSpent> {
    Walk {
        seen: HashSet::new(),
        keys: RandomState::new(),
        without,
        visit,
    }
    .view(root, budget)
}

struct Walk<'v> {
    seen: HashSet<u64>,
    /// Drawn anew for each walk: no content can be made to look like other content.
    keys: RandomState,
    without: &'static [&'static str],
    visit: Visit<'v>,
}

impl Walk<'_> {
    fn view(&mut self, mut view: View<'_>, budget: &mut Budget) -> Result<(), BudgetSpent> {
        budget.spend(view.bytes.len())?;
        if !self.is_new(&view)? {
            return Ok(());
        }
        let mut clues = Vec::new();
        (self.visit)(&mut view, budget, &mut clues)?;
        let view = &view;
        if view.depth == DEPTH_MAX || (view.depth > 0 && is_repeated(&view.bytes)) {
            return Ok(());
        }
        self.plain(view, budget)?;
        self.runs(view, budget)?;
        let mut branches = Branches {
            walk: self,
            view,
            budget,
        };
        decoder::grow(&mut branches, &clues)
    }

    fn plain(&mut self, view: &View<'_>, budget: &mut Budget) -> Result<(), BudgetSpent> {
        let pieces = match view.edited() {
            Some((_, edits)) => plain::unescape_again(&view.bytes, edits),
            None => plain::unescape(&view.bytes),
        };
        for piece in pieces {
            if self.is_without(&piece.edits.kinds(0, usize::MAX)) {
                continue;
            }
            let origin = Origin::Plain {
                parent: view,
                edits: piece.edits,
            };
            let clipped = view.clipped || piece.clipped;
            self.child(view, piece.bytes, origin, clipped, budget)?;
        }
        Ok(())
    }

    fn runs(&mut self, view: &View<'_>, budget: &mut Budget) -> Result<(), BudgetSpent> {
        let parts = runs::parts(&view.bytes, view.edited().map(|(_, edits)| edits));
        for run in runs::runs(&view.bytes, &parts, view.clipped) {
            if !view.is_fresh(&run.range()) {
                continue;
            }
            run.decode(&view.bytes, |part| {
                if self.is_without(&[part.coding.name()]) {
                    return Ok(());
                }
                let origin = Origin::Decoded {
                    parent: view,
                    coding: part.coding,
                };
                self.child(view, part.bytes, origin, part.clipped, budget)
            })?;
            let mut branches = Branches {
                walk: self,
                view,
                budget,
            };
            decoder::by_run(&mut branches, &run.range())?;
        }
        Ok(())
    }

    fn is_without(&self, names: &[&'static str]) -> bool {
        names.iter().any(|name| self.without.contains(name))
    }

    fn child(
        &mut self,
        parent: &View<'_>,
        bytes: Vec<u8>,
        origin: Origin<'_>,
        clipped: bool,
        budget: &mut Budget,
    ) -> Result<(), BudgetSpent> {
        let is_spelling = match &origin {
            Origin::Grown { name, .. } => respell::NAMES.contains(name),
            Origin::Raw | Origin::Plain { .. } | Origin::Decoded { .. } => false,
        };
        let bytes = Cow::Owned(bytes);
        self.view(
            View {
                bytes,
                literals: Literals::default(),
                origin,
                depth: parent.depth + 1,
                is_respelt: parent.is_respelt || is_spelling,
                clipped,
            },
            budget,
        )
    }

    /// Views of equal content at different places are different sightings, so the place counts.
    /// Only decodings of the same bytes can be equal.
    fn is_new(&mut self, view: &View<'_>) -> Result<bool, BudgetSpent> {
        match view.origin {
            Origin::Raw | Origin::Plain { .. } => return Ok(true),
            Origin::Decoded { .. } | Origin::Grown { .. } => {}
        }
        if self.seen.len() >= VIEWS_MAX {
            return Err(BudgetSpent);
        }
        let place = view.origins(0, 1.min(view.bytes.len())).start;
        Ok(self.seen.insert(self.keys.hash_one((&view.bytes, place))))
    }
}

/// A view out of which others grow.
struct Branches<'w, 'v, 'p> {
    walk: &'w mut Walk<'v>,
    view: &'w View<'p>,
    budget: &'w mut Budget,
}

impl<'w> Branches<'w, '_, '_> {
    fn bytes(&self) -> &'w [u8] {
        &self.view.bytes
    }

    fn is_clipped(&self) -> bool {
        self.view.clipped
    }

    /// Whether the view was decompressed.
    fn is_unpacked(&self) -> bool {
        match &self.view.origin {
            Origin::Grown { name, .. } => compressed::NAMES.contains(name),
            Origin::Raw | Origin::Plain { .. } | Origin::Decoded { .. } => false,
        }
    }

    /// Takes work away that makes no view.
    fn spend(&mut self, work_bytes: usize) -> Result<(), BudgetSpent> {
        self.budget.spend(work_bytes)
    }

    /// Walks on from what was decoded, unless another view has shown the same.
    fn add(&mut self, decoded: Decoded) -> Result<(), BudgetSpent> {
        let range = decoded.places.range(decoded.bytes.len());
        if !self.view.is_fresh(&range) || self.walk.is_without(&[decoded.name]) {
            return Ok(());
        }
        let origin = Origin::Grown {
            parent: self.view,
            name: decoded.name,
            places: decoded.places,
        };
        self.walk.child(
            self.view,
            decoded.bytes,
            origin,
            decoded.clipped,
            self.budget,
        )
    }
}
