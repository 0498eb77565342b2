//! Several values end to end.

/// Bytes of values that are kept together: as much as a common server takes of headers.
const BYTES_MAX: usize = 32 * 1024;
/// Values that are kept together.
const PIECES_MAX: usize = 512;

/// Values in the order they came, without anything between them. What is beyond the limits is left
/// out: each value has been judged by itself.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Joined {
    pub(crate) fn add(&mut self, value: &[u8]) {
        if self.bytes.len() + value.len() <= BYTES_MAX && self.ends.len() < PIECES_MAX {
            self.bytes.extend_from_slice(value);
            self.ends.push(self.bytes.len());
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn pieces(&self) -> usize {
        self.ends.len()
    }

    /// Whether a range lies over the end of a value.
    pub(crate) fn is_cut(&self, offset: u64, len: u64) -> bool {
        let inside = |end: &usize| offset < *end as u64 && (*end as u64) < offset + len;
        self.ends.iter().any(inside)
    }
}
