//! The decoders beside those of runs and of escapes, and what wakes each: how a view begins, a
//! sample of it, a rare byte, a run, or a clue. A view that has none of these pays for the samples.

use std::ops::Range;

use super::branch::Decoded;
use super::sample::{Look, samples};
use super::{Branches, Clue, ClueKind};
use super::{
    alphabet, base85, compressed, dump, hidden, joined, mail, markup, numbers, radix, respell,
    spelt, wide,
};
use crate::scan::BudgetSpent;

type Grown = Result<(), BudgetSpent>;

/// Every decoder of a whole view, by what wakes it.
static WOKEN: [fn(&mut Branches<'_, '_, '_>) -> Grown; 3] = [by_start, by_rare_bytes, by_samples];

/// Grows every view out of one.
pub(super) fn grow(branches: &mut Branches<'_, '_, '_>, clues: &[Clue]) -> Grown {
    for grow in WOKEN {
        grow(branches)?;
    }
    for (index, clue) in clues.iter().enumerate() {
        // Clues of a kind come together, and the first of these goes for all that follows.
        let is_first = index == 0 || clues[index - 1].kind != clue.kind;
        let is_again = branches.view.is_respelt && clue.kind.is_spelling();
        if (is_first || clue.kind != ClueKind::Quoted) && !is_again {
            by_clue(branches, clue)?;
        }
    }
    Ok(())
}

/// What a run may hold beside base64, base32 and hexadecimal of text.
pub(super) fn by_run(branches: &mut Branches<'_, '_, '_>, run: &Range<usize>) -> Grown {
    let (bytes, clipped) = (branches.bytes(), branches.is_clipped());
    for decoded in alphabet::packed(bytes, run.clone(), clipped) {
        branches.add(decoded)?;
    }
    for word in alphabet::words(bytes, run.clone(), radix::SYMBOLS_MIN) {
        for decoded in alphabet::rare32(bytes, word.clone(), clipped) {
            branches.add(decoded)?;
        }
        for decoded in radix::decode(bytes, word) {
            branches.add(decoded)?;
        }
    }
    Ok(())
}

fn by_start(branches: &mut Branches<'_, '_, '_>) -> Grown {
    let bytes = branches.bytes();
    if let Some(decoded) = wide::decode(bytes, branches.is_clipped()) {
        branches.add(decoded)?;
    }
    // Of what is sent as it is, the strings are put together by its structure.
    if branches.is_unpacked()
        && markup::begins(bytes)
        && let Some(decoded) = markup::text(bytes, branches.is_clipped())
    {
        branches.add(decoded)?;
    }
    let format = compressed::unmarked(bytes);
    format.map_or(Ok(()), |format| unpack(branches, 0, format))
}

fn by_rare_bytes(branches: &mut Branches<'_, '_, '_>) -> Grown {
    let bytes = branches.bytes();
    if bytes.is_ascii() {
        return Ok(());
    }
    for at in compressed::starts(bytes) {
        if let Some(format) = compressed::marked(&bytes[at..]) {
            unpack(branches, at, format)?;
        }
    }
    for decoded in hidden::selectors(bytes) {
        branches.add(decoded)?;
    }
    Ok(())
}

fn by_samples(branches: &mut Branches<'_, '_, '_>) -> Grown {
    let (bytes, clipped) = (branches.bytes(), branches.is_clipped());
    let mut seen = base85::Seen::default();
    samples(bytes, |look, at| {
        let (end, found): (usize, Vec<Decoded>) = match look {
            Look::Numeric => numbers::decode(bytes, at, clipped),
            Look::Dense => (at, base85::decode(bytes, at, clipped, &mut seen)),
            Look::Capitals => alphabet::grouped(bytes, at, clipped),
            Look::Spelt => spelt::decode(bytes, at, clipped),
        };
        for decoded in found {
            branches.add(decoded)?;
        }
        Ok(end)
    })
}

/// How far a reversed credential may begin before the literal that ends it.
const REVERSED_BYTES: usize = 1280;

/// What before a literal gives it meaning.
const BEFORE_BYTES: usize = 256;

/// What after a literal at the end of a reversed text may belong to it.
const AFTER_BYTES: usize = 64;

fn by_clue(branches: &mut Branches<'_, '_, '_>, clue: &Clue) -> Grown {
    let (bytes, clipped) = (branches.bytes(), branches.is_clipped());
    let at = clue.range.start;
    let around = at.saturating_sub(BEFORE_BYTES)..clue.range.end;
    let turned = |name, turn| Some(respell::replaced(bytes, around.clone(), name, turn));
    let decoded = match clue.kind {
        ClueKind::Rot13 => turned("rot13", respell::rot13),
        ClueKind::Rot47 => {
            // Quotes around it turn into letters: without them, it ends where a token does.
            let rest = &bytes[clue.range.clone()];
            let len = rest.iter().position(|b| matches!(b, b'"' | b'\n'));
            for len in [Some(rest.len()), len].into_iter().flatten() {
                let token = at..at + len;
                branches.add(respell::replaced(bytes, token, "rot47", respell::rot47))?;
            }
            None
        }
        ClueKind::Swapped => turned("swapped-case", respell::swap_case),
        ClueKind::Reversed => {
            let start = at.saturating_sub(REVERSED_BYTES);
            let end = bytes.len().min(at + AFTER_BYTES);
            Some(respell::reversed(bytes, start..end))
        }
        ClueKind::Respelt => respell::put_right(bytes, around),
        ClueKind::Quoted => mail::quoted(bytes, around.start..bytes.len(), clipped),
        ClueKind::Uuencode => mail::uuencoded(bytes, at, clipped),
        ClueKind::Punycode => hidden::punycode(bytes, around, clipped),
        ClueKind::Utf7 if bytes[at..].starts_with(b"+A") => mail::utf7(bytes, around, clipped),
        ClueKind::Utf7 => None,
        ClueKind::Packed => {
            let packed = compressed::at_clue(bytes, at);
            return packed.map_or(Ok(()), |(at, format)| unpack(branches, at, format));
        }
        ClueKind::Joined => joined::decode(bytes, at),
        ClueKind::Marked => markup::unmarked(bytes, around),
        ClueKind::RunTogether => respell::parted(bytes, at),
        ClueKind::Dump => {
            for decoded in dump::decode(bytes, at, clipped) {
                branches.add(decoded)?;
            }
            None
        }
    };
    decoded.map_or(Ok(()), |decoded| branches.add(decoded))
}

fn unpack(branches: &mut Branches<'_, '_, '_>, at: usize, format: compressed::Format) -> Grown {
    branches.spend(format.attempt_bytes())?;
    let was_packed = branches.budget.enter_packed();
    let unpacked = match compressed::decode(branches.bytes(), at, format) {
        Ok(Some(decoded)) => branches.add(decoded),
        Ok(None) => Ok(()),
        Err(spent) => Err(spent),
    };
    branches.budget.leave_packed(was_packed, unpacked)
}
