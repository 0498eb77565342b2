//! Scans one window of a surface or stream through all of its views.

use std::ops::Range;

use super::{Budget, BudgetSpent, Parties, Scanner, Sighting, strings};
use crate::crossing::{Direction, SurfaceKind};
use crate::decide::Home;
use crate::detect::Hit;
use crate::finding::Class;
use crate::known::{Glimpse, is_piece};
use crate::views::{View, walk};

/// What starts in a block is decided by one scan of it and its surroundings.
pub(super) const BLOCK_BYTES: u64 = 64 * 1024;

/// Bytes after a block that its scan also sees: a credential, encoded, that starts at its end.
pub(super) const OVERLAP_BYTES: u64 = 4 * 1024;

/// Bytes before a block that its scan also sees: the words before a value that give it meaning.
pub(super) const BEFORE_BYTES: u64 = 1024;

/// The start of the window of the block at `block`.
pub(super) fn start(block: u64) -> u64 {
    block.saturating_sub(BEFORE_BYTES)
}

/// The end of the window of the block at `block`.
pub(super) fn end(block: u64) -> u64 {
    block + BLOCK_BYTES + OVERLAP_BYTES
}

/// A part of a surface.
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    /// Its offset in the surface.
    pub(super) base: u64,
    /// Where sightings must start to be reported.
    pub(super) owned: Range<u64>,
}

impl Scanner {
    /// Scans a window; sightings come in the order of their offsets.
    pub(super) fn window(
        &self,
        kind: SurfaceKind,
        direction: Direction,
        window: &Window<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<Sighting>, BudgetSpent> {
        let mut seen = Vec::new();
        self.views(direction, window, window.bytes, None, budget, &mut seen)?;
        if let Some((name, bytes)) = respelt(kind, window.bytes) {
            self.views(direction, window, &bytes, Some(name), budget, &mut seen)?;
        }
        let is_body = matches!(kind, SurfaceKind::Body | SurfaceKind::WsMessage);
        if is_body && direction == Direction::Outbound && window.base == 0 {
            self.joined(window, budget, &mut seen)?;
        }
        if budget.take_burst() {
            seen.push(self.burst(window.base.max(window.owned.start)));
        }
        drop_whole_pieces(&mut seen);
        let mut seen = distinct(seen);
        note_named(&mut seen);
        seen.retain(|own| window.owned.contains(&own.offset) && own.rule.looks_at(kind));
        Ok(seen)
    }

    fn views(
        &self,
        direction: Direction,
        window: &Window<'_>,
        bytes: &[u8],
        respelling: Option<&'static str>,
        budget: &mut Budget,
        seen: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let is_clipped = window.base > 0 || bytes.len() as u64 >= BLOCK_BYTES;
        let root = View::raw(bytes, is_clipped);
        let (mut hits, mut glimpses): (Vec<Hit>, Vec<Glimpse>) = Default::default();
        walk(root, self.without, budget, &mut |view, budget, clues| {
            self.detectors()
                .detect(view, direction, budget, &mut hits, clues)?;
            for hit in hits.drain(..) {
                let value = &view.bytes[hit.range.clone()];
                let origins = view.origins(hit.range.start, hit.range.end);
                let passage = hit.range.start - hit.before;
                let passage = view.origins(passage, hit.range.start).start;
                let raw = bytes.get(origins.start..origins.end);
                if raw.is_some_and(|raw| is_turned_hash(&origins.via, raw)) {
                    continue;
                }
                let via = respelling.into_iter().chain(origins.via).collect();
                seen.push(Sighting {
                    rule: hit.rule,
                    also: Vec::new(),
                    severity: hit.severity,
                    offset: window.base + origins.start as u64,
                    len: (origins.end - origins.start) as u64,
                    before: origins.start.saturating_sub(passage) as u64,
                    via,
                    fingerprint: self.fingerprint(value),
                    known: None,
                    parties: Parties::of(hit.rule, value),
                    score: hit.score,
                });
            }
            let view = &*view;
            let is_fresh = |range: &Range<usize>| view.is_fresh(range);
            self.known()
                .find(&view.bytes, direction, &is_fresh, budget, &mut glimpses)?;
            for glimpse in glimpses.drain(..) {
                let sighting = self.glimpsed(view, glimpse, window.base, respelling);
                seen.push(sighting);
            }
            Ok(())
        })
    }
}

impl Scanner {
    /// Credentials that are cut over the strings of a structure.
    fn joined(
        &self,
        window: &Window<'_>,
        budget: &mut Budget,
        seen: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let direction = Direction::Outbound;
        for joined in strings::joined(window.bytes) {
            budget.spend(joined.bytes.len())?;
            let (mut hits, starts) = (Vec::new(), joined.starts());
            let detectors = self.detectors();
            detectors.detect_cut(&joined.bytes, &starts, direction, budget, &mut hits)?;
            for hit in hits {
                let Some(place) = joined.origin(&hit.range) else {
                    continue;
                };
                let sighting = Sighting {
                    rule: hit.rule,
                    also: Vec::new(),
                    severity: hit.severity,
                    offset: window.base + place.start as u64,
                    len: place.len() as u64,
                    before: 0,
                    via: vec!["strings"],
                    fingerprint: self.fingerprint(&joined.bytes[hit.range]),
                    known: None,
                    parties: Parties::default(),
                    score: hit.score,
                };
                if sighting.is_sure_when_joined() {
                    seen.push(sighting);
                }
            }
        }
        Ok(())
    }

    fn glimpsed(
        &self,
        view: &View<'_>,
        glimpse: Glimpse,
        base: u64,
        respelling: Option<&'static str>,
    ) -> Sighting {
        let origins = view.origins(glimpse.range.start, glimpse.range.end);
        let via = respelling.into_iter().chain(origins.via);
        Sighting {
            rule: glimpse.rule,
            also: Vec::new(),
            severity: glimpse.rule.severity,
            offset: base + origins.start as u64,
            len: (origins.end - origins.start) as u64,
            before: 0,
            via: via.chain(glimpse.spelling).collect(),
            fingerprint: self.fingerprint(&view.bytes[glimpse.range]),
            known: Some(glimpse.part),
            parties: Parties::default(),
            score: None,
        }
    }
}

/// Whether a hash looks like something else only because its digits were turned into letters: with
/// enough hashes some of them do.
fn is_turned_hash(via: &[&str], bytes: &[u8]) -> bool {
    via.contains(&"rot47") && bytes.iter().all(u8::is_ascii_hexdigit)
}

/// Other spellings of the whole, whose offsets are the same or nearly so.
fn respelt(kind: SurfaceKind, bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    match kind {
        SurfaceKind::Host => {
            let joined = bytes.iter().copied().filter(|b| *b != b'.').collect();
            bytes.contains(&b'.').then_some(("joined", joined))
        }
        // A form's space is a plus (URL standard, section 5.1).
        SurfaceKind::Url
        | SurfaceKind::Query
        | SurfaceKind::Body
        | SurfaceKind::Argument
        | SurfaceKind::Message
        | SurfaceKind::Definition
            if bytes.contains(&b'+') && !bytes.iter().any(u8::is_ascii_whitespace) =>
        {
            let spaced = bytes
                .iter()
                .map(|b| if *b == b'+' { b' ' } else { *b })
                .collect();
            Some(("plus", spaced))
        }
        SurfaceKind::Url
        | SurfaceKind::Query
        | SurfaceKind::Body
        | SurfaceKind::Path
        | SurfaceKind::Header
        | SurfaceKind::Trailer
        | SurfaceKind::Stream
        | SurfaceKind::Tool
        | SurfaceKind::Argument
        | SurfaceKind::Call
        | SurfaceKind::Message
        | SurfaceKind::Definition
        | SurfaceKind::WsMessage => None,
    }
}

/// Drops pieces of values that are there whole: they tell nothing more.
fn drop_whole_pieces(seen: &mut Vec<Sighting>) {
    if !seen.iter().any(|own| is_piece(own.rule)) {
        return;
    }
    let value = |own: &Sighting| own.known.map(|part| part.value);
    let whole = seen.iter().filter(|own| !is_piece(own.rule));
    let whole: Vec<u16> = whole.filter_map(value).collect();
    seen.retain(|own| !is_piece(own.rule) || value(own).is_none_or(|own| !whole.contains(&own)));
}

/// The shortest value that a rule takes for a credential by its surroundings alone.
const VALUE_BYTES_MIN: u64 = 8;

/// Notes with each credential that is known by its surroundings alone which rules know it by its form.
fn note_named(seen: &mut [Sighting]) {
    for at in 0..seen.len() {
        if Home::is_anywhere(seen[at].rule) {
            let generic = &seen[at];
            let named = seen.iter().filter(|own| is_named(own, generic));
            let also = named.map(|own| own.rule).collect();
            let token = seen.iter().find(|own| is_same_token(own, generic));
            if let Some(parties) = token.map(|own| own.parties.clone()) {
                seen[at].parties = parties;
            }
            seen[at].also = also;
        }
    }
}

/// Whether two sightings are of one credential: there is no room beside it for another. Of what is
/// encoded, only the whole's place is known.
fn is_named(named: &Sighting, generic: &Sighting) -> bool {
    let start = named.offset.max(generic.offset);
    let end = (named.offset + named.len).min(generic.offset + generic.len);
    let is_plain = named.via.is_empty() && generic.via.is_empty();
    let is_same = named.fingerprint == generic.fingerprint
        || (is_plain && generic.len - end.saturating_sub(start) < VALUE_BYTES_MIN);
    named.rule.class == Class::Secret && !Home::is_anywhere(named.rule) && start < end && is_same
}

/// Whether a token that names its parties fills the place of a credential known by its surroundings.
fn is_same_token(token: &Sighting, generic: &Sighting) -> bool {
    let (start, end) = (token.offset, token.offset + token.len);
    let is_within = generic.offset <= end && start <= generic.offset + VALUE_BYTES_MIN;
    let is_filled = end + VALUE_BYTES_MIN > generic.offset + generic.len;
    !token.parties.is_empty() && is_within && is_filled
}

/// One sighting of each rule at each place: the one that took the fewest decodings.
fn distinct(mut seen: Vec<Sighting>) -> Vec<Sighting> {
    seen.sort_by(|a, b| {
        let order = |s: &Sighting| (s.rule.id, s.via.len(), s.offset, std::cmp::Reverse(s.len));
        order(a).cmp(&order(b)).then_with(|| a.via.cmp(&b.via))
    });
    let mut kept: Vec<Sighting> = Vec::new();
    let mut first_of_rule = 0;
    for sighting in seen {
        if kept
            .get(first_of_rule)
            .is_some_and(|kept| kept.rule.id != sighting.rule.id)
        {
            first_of_rule = kept.len();
        }
        let overlaps = |kept: &Sighting| {
            kept.offset < sighting.offset + sighting.len && sighting.offset < kept.offset + kept.len
        };
        match kept[first_of_rule..].iter_mut().find(|own| overlaps(own)) {
            Some(own) => own.hold_from(sighting.offset.saturating_sub(sighting.before)),
            None => kept.push(sighting),
        }
    }
    kept.sort_by(|a, b| (a.offset, a.rule.id).cmp(&(b.offset, b.rule.id)));
    kept
}
