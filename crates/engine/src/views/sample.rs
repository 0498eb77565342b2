//! Looks at eight bytes in every few for what decoders that nothing else wakes can read.

/// What a sample looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Digits and what separates them.
    Numeric,
    /// No white space, quotes or commas.
    Dense,
    /// Several capitals, as base64 of text has in every few bytes.
    Capitals,
}

/// A view of at least this many bytes is sampled less closely.
const LONG_MIN: usize = 512;

/// How far apart samples of a long view are: a run of five more than this and a sample's length
/// cannot be missed.
const LONG_STEP: usize = 32;

const SHORT_STEP: usize = 8;

const SAMPLE: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Tells of each sample that looks like something. `tell` gives how far it looked, and samples of
/// the same look before that are passed over.
pub(super) fn samples<E>(
    bytes: &[u8],
    mut tell: impl FnMut(Look, usize) -> Result<usize, E>,
) -> Result<(), E> {
    let step = match bytes.len() {
        LONG_MIN.. => LONG_STEP,
        _ => SHORT_STEP,
    };
    let mut seen = [0; 3];
    for (index, chunk) in bytes.chunks(step).enumerate() {
        let Some(sample) = chunk.first_chunk::<SAMPLE>() else {
            break;
        };
        let word = u64::from_le_bytes(*sample);
        let Some(look) = look(word) else {
            continue;
        };
        let at = index * step;
        if at >= seen[look as usize] {
            seen[look as usize] = tell(look, at)?;
        }
        // Base85 has about as many capitals as base64.
        if look == Look::Capitals && at >= seen[Look::Dense as usize] && is_dense(word) {
            seen[Look::Dense as usize] = tell(Look::Dense, at)?;
        }
    }
    Ok(())
}

#[inline]
fn look(word: u64) -> Option<Look> {
    // Letters, and most of what is neither digit nor separator, have one of the two upper bits.
    if word & (ONES * 0xc0) == 0 {
        let digits = (word & (ONES << 4)).count_ones();
        return (digits >= 2).then_some(Look::Numeric);
    }
    if is_capital_twice(word) {
        return Some(Look::Capitals);
    }
    is_dense(word).then_some(Look::Dense)
}

/// Whether two bytes are of `@` to `_`, as capitals are.
#[inline]
fn is_capital_twice(word: u64) -> bool {
    let capitals = word & !(word << 1) & (ONES << 6);
    capitals & capitals.wrapping_sub(1) != 0
}

/// Whether no byte is a control, a space, `!`, `"` or `,` (Hacker's Delight, section 6-1).
#[inline]
fn is_dense(word: u64) -> bool {
    let is_below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & HIGHS != 0;
    !is_below(word, 0x23) && !is_below(word ^ (ONES * u64::from(b',')), 1)
}

#[cfg(test)]
mod tests {
    use super::{Look, look};

    #[test]
    fn samples_are_told_apart() {
        for (sample, expect) in [
            (b"103, 104", Some(Look::Numeric)),
            (b"01100111", Some(Look::Numeric)),
            (b"        ", None),
            (b"the word", None),
            (b"Z2hw X0F", Some(Look::Capitals)),
            (b"AoDTs@<)", Some(Look::Capitals)),
            (b"(a.b)(c)", Some(Look::Dense)),
            (b"\"a\": 1, ", None),
            (b"function", Some(Look::Dense)),
        ] {
            assert_eq!(look(u64::from_le_bytes(*sample)), expect, "{sample:?}");
        }
    }
}
