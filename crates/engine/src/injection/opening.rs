//! How the words of the model may begin, as a set of bits. The build script fills it.

/// So many bytes of a word are looked at.
pub(crate) const LEN: usize = 3;

/// The bytes of the set: small beside the trie, which it saves most steps into.
pub(crate) const SET_LEN: usize = 8 * 1024;

/// The bit of a beginning: the byte of the set, and which of its bits.
#[inline]
pub(crate) fn bit(beginning: [u8; LEN]) -> (usize, u8) {
    let [a, b, c] = beginning;
    // Knuth, "The Art of Computer Programming", volume 3, section 6.4: the golden ratio spreads what
    // differs in few bits.
    let hash = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9e37_79b9) >> 16;
    ((hash >> 3) as usize % SET_LEN, 1 << (hash & 7))
}
