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
    /// The same bytes between single ones.
    Spelt,
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
    let mut seen = [0; 4];
    for (index, chunk) in bytes.chunks(step).enumerate() {
        let Some(sample) = chunk.first_chunk::<SAMPLE>() else {
            break;
        };
        let word = u64::from_le_bytes(*sample);
        let at = index * step;
        if is_spelt(word) && at >= seen[Look::Spelt as usize] {
            seen[Look::Spelt as usize] = tell(Look::Spelt, at)?;
        }
        let Some(look) = look(word) else {
            continue;
        };
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

/// Whether single bytes stand between others that are the same each time, one to four of them.
#[inline]
fn is_spelt(word: u64) -> bool {
    /// Of letters, as of underscores.
    const UPPER: u64 = ONES << 6;
    // More than one byte between each is mostly marks.
    let periods = match (word & UPPER).count_ones() {
        0..=4 => 2..=5,
        _ => 2..=2,
    };
    let is_row = |period: usize| {
        let differ = word ^ (word >> (8 * period));
        REPEATED[period][..period]
            .iter()
            .any(|own| differ & own == 0)
    };
    periods.into_iter().any(is_row) && word != word.rotate_left(8)
}

/// Of each period, for each place in it that a spelt byte may have: the bytes that come again.
static REPEATED: [[u64; 6]; 6] = {
    let mut masks = [[0; 6]; 6];
    let mut period = 2;
    while period < 6 {
        let mut spelt = 0;
        while spelt < period {
            let mut at = 0;
            while at + period < 8 {
                if at % period != spelt {
                    masks[period][spelt] |= 0xff << (8 * at);
                }
                at += 1;
            }
            spelt += 1;
        }
        period += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::{Look, is_spelt, look};

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

    #[test]
    fn spelt_bytes_are_seen() {
        for (sample, expect) in [
            (b"A-K-I-A-", true),
            (b"-g-h-p-_", true),
            (b"A, K, I,", true),
            (b"g\",\"h\",\"", true),
            (b" \"g\", \"h", true),
            (b"A_K_I_A_", true),
            (b"        ", false),
            (b"the word", false),
            (b"function", false),
            (b"--------", false),
        ] {
            assert_eq!(is_spelt(u64::from_le_bytes(*sample)), expect, "{sample:?}");
        }
    }
}
