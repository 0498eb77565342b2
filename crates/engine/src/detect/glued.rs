//! Credentials that are written right behind or before something else, as in `id_AKIA...` or
//! `xghp_...x`: one letter more must not hide what its own form tells.

use std::ops::Range;

use super::{Detectors, Hit, is_whole_by_itself};
use crate::detect::check::{self, Check, Outcome};
use crate::finding::Class;
use crate::rules::{PATTERNS, RULES};
use crate::views::{is_encoding_byte, is_parted};

/// A shorter beginning is met by chance at the end of a word.
const STEM_MIN: usize = 4;

/// A beginning of this many bytes is told from a word's end, whatever its letters are.
const LONG_STEM_MIN: usize = 6;

/// So many letters of its case before a beginning that is letters only are a word that ends in it:
/// `slovakia`.
const WORD_MIN: usize = 3;

/// After so many symbols of an encoding in a row, four more that are a credential's beginning are
/// chance: once in some ten million.
const RUN_BYTES: usize = 64;

/// So many that are one are none: once in some hundred million million.
const SURE_STEM_MIN: usize = 8;

/// A beginning of so few symbols is met by chance in encoded random data even where a sign parts it from what is
/// before it.
const FAINT_STEM_MAX: usize = 3;

/// Prose has more white space than this among as many bytes.
const RUN_BREAKS_MAX: usize = 5;

impl Detectors {
    /// Searches a pattern where its literal is, as if the view began and ended with the credential.
    /// `window` begins with the literal.
    pub(super) fn search_glued(
        &self,
        number: u16,
        view: &[u8],
        window: Range<usize>,
        hits: &mut Vec<Hit>,
    ) {
        if !is_whole_by_itself(number) || !is_telling(number, view, window.start) {
            return;
        }
        let is_glued = window.start > 0 && is_word(view[window.start - 1]);
        let known = hits.len();
        if is_glued && self.search_part(number, view, window.clone(), hits) {
            // What could begin so by chance must be proved.
            let is_sure = !is_chance(number, view, window.start)
                || hits[known..]
                    .iter()
                    .all(|hit| is_proved(number, &view[hit.range.clone()]));
            if is_sure {
                return;
            }
            hits.truncate(known);
        }
        if let Some(whole) = whole(number, view, window.start) {
            let is_proved = is_proved(number, &view[whole.clone()]);
            let is_sure = is_apart(view, &whole) && !is_chance(number, view, window.start);
            if is_proved || is_sure {
                self.search_part(number, view, whole, hits);
            }
        }
    }

    /// Whether something is found in a part of the view, as if that were all.
    fn search_part(
        &self,
        number: u16,
        view: &[u8],
        part: Range<usize>,
        hits: &mut Vec<Hit>,
    ) -> bool {
        let known = hits.len();
        self.search(number, &view[part.clone()], 0..part.len(), hits);
        for hit in &mut hits[known..] {
            hit.range = part.start + hit.range.start..part.start + hit.range.end;
        }
        hits.len() > known
    }
}

/// Whether a credential begins at a place whose rest may stand apart.
pub(super) fn is_begun(number: u16, view: &[u8], at: usize) -> bool {
    let is_apart = at == 0 || !is_word(view[at - 1]);
    is_whole_by_itself(number) && is_apart && is_parted(view, at)
}

/// Whether the beginning of a credential at a place is no end of a word or chance.
fn is_telling(number: u16, view: &[u8], at: usize) -> bool {
    let stem = PATTERNS[usize::from(number)].stem;
    let text = view.get(at..at + stem).unwrap_or_default();
    let is_sign = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let before = &view[at.saturating_sub(RUN_BYTES)..at];
    let is_long = text.len() >= LONG_STEM_MIN;
    !ends_word(before, text) && (is_long || text.len() >= STEM_MIN && text.iter().any(is_sign))
}

/// Whether so many bytes are symbols of an encoding, which may have been cut into lines or have its plus
/// signs read as spaces.
fn is_in_run(before: &[u8]) -> bool {
    let is_break = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
    before.len() == RUN_BYTES
        && before
            .iter()
            .all(|byte| is_encoding_byte(*byte) || is_break(byte))
        && before.iter().filter(|byte| is_break(byte)).count() <= RUN_BREAKS_MAX
}

fn ends_word(before: &[u8], stem: &[u8]) -> bool {
    let is_upper = stem.iter().all(u8::is_ascii_uppercase);
    let is_lower = stem.iter().all(u8::is_ascii_lowercase);
    let is_alike =
        |byte: &&u8| is_upper && byte.is_ascii_uppercase() || is_lower && byte.is_ascii_lowercase();
    before.iter().rev().take_while(is_alike).count() >= WORD_MIN
}

/// Where a credential that has one length only is, if something is written on behind it.
fn whole(number: u16, view: &[u8], at: usize) -> Option<Range<usize>> {
    let whole = at..at + PATTERNS[usize::from(number)].len?;
    view.get(whole.end)
        .is_some_and(|byte| is_word(*byte))
        .then_some(whole)
}

/// Whether the byte behind a token is of a kind that its own end has not.
fn is_apart(view: &[u8], token: &Range<usize>) -> bool {
    let (own, next) = (&view[token.clone()], view[token.end]);
    let tail = &own[own.len().saturating_sub(TAIL_BYTES)..];
    if tail.iter().all(u8::is_ascii_hexdigit) {
        return !next.is_ascii_hexdigit();
    }
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    tail.iter().all(|byte| kind(*byte) != kind(next))
}

/// So many random symbols show each kind that they have.
const TAIL_BYTES: usize = 16;

/// Whether a checksum says that a value ends where it does.
fn is_proved(number: u16, value: &[u8]) -> bool {
    let rule = &RULES[PATTERNS[usize::from(number)].rule];
    rule.checks.iter().any(|check| check.is_checksum())
        && check::outcome(rule.checks, value) == Outcome::Pass
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a beginning of few bytes stands in a run of symbols of an encoding, where it is chance.
pub(super) fn is_chance(number: u16, view: &[u8], at: usize) -> bool {
    PATTERNS[usize::from(number)].stem < SURE_STEM_MIN
        && is_in_run(&view[at.saturating_sub(RUN_BYTES)..at])
}

/// Whether a beginning of very few bytes stands in what looks like encoded random data.
pub(super) fn is_faint(number: u16, view: &[u8], at: usize) -> bool {
    is_whole_by_itself(number)
        && PATTERNS[usize::from(number)].stem <= FAINT_STEM_MAX
        && is_after_noise(view, at)
}

/// Whether a match is no more than the encoded random data that it stands in: a beginning of few letters, which a
/// sign parts from what is before it, and a rest as mixed as that.
pub(super) fn is_noise(number: u16, view: &[u8], value: &Range<usize>) -> bool {
    /// Four symbols after a sign are met once in some four hundred million.
    const STEM_MAX: usize = 4;
    /// Of random symbols more than a third are capitals, and as many are small letters.
    const LETTERS_SHARE: usize = 6;
    let stem = PATTERNS[usize::from(number)].stem;
    let text = &view[value.clone()];
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    let is_mixed = || {
        [u8::is_ascii_uppercase, u8::is_ascii_lowercase]
            .iter()
            .all(|is| count(*is) * LETTERS_SHARE >= text.len())
    };
    stem <= STEM_MAX
        && RULES[PATTERNS[usize::from(number)].rule].class == Class::Secret
        && text.iter().take(stem).all(u8::is_ascii_alphanumeric)
        && is_after_noise(view, value.start)
        && is_mixed()
        && !is_proved(number, text)
}

/// Whether what is before a place looks like encoded random data.
fn is_after_noise(view: &[u8], at: usize) -> bool {
    /// Of sixty-four random symbols some twenty-six are capitals, as many small letters, and ten digits.
    const LETTERS_MIN: usize = 10;
    const DIGITS_MIN: usize = 2;
    let before = &view[at.saturating_sub(RUN_BYTES)..at];
    let count = |is: fn(&u8) -> bool| before.iter().filter(|byte| is(byte)).count();
    is_in_run(before)
        && count(u8::is_ascii_uppercase) >= LETTERS_MIN
        && count(u8::is_ascii_lowercase) >= LETTERS_MIN
        && count(u8::is_ascii_digit) >= DIGITS_MIN
}

impl Check {
    /// Whether it passes what is cut at another place once in millions only.
    fn is_checksum(self) -> bool {
        match self {
            Self::Base58check
            | Self::Bech32
            | Self::Strkey
            | Self::GithubCrc
            | Self::GrafanaCrc => true,
            // Of most tokens it says nothing.
            Self::GitlabCrc
            | Self::Entropy(_)
            | Self::Mixed
            | Self::Filled
            | Self::Userinfo
            | Self::Setting
            | Self::Jwt
            | Self::Pem
            | Self::Basic
            | Self::Macaroon
            | Self::AwsKeyId
            | Self::Clamped
            | Self::Aba
            | Self::LuhnIssuer
            | Self::Mod97 => false,
        }
    }
}
