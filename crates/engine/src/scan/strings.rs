//! The strings of a body that has a structure, put together: what is cut over them is whole where they
//! meet.
//!
//! Only a body that begins like a structure is read so, and only strings that could be a part of a
//! credential are kept, so that prose costs little and joins nothing.

mod binary;
mod text;

use std::ops::Range;

/// The longest string that is kept. A credential longer than that, cut in two, shows its beginning.
const STRING_BYTES_MAX: usize = 256;

/// Strings put together.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) bytes: Vec<u8>,
    /// Where each begins here and in the body, in their order.
    parts: Vec<(usize, usize)>,
}

/// Takes the strings of a structure as they are found.
#[derive(Default)]
struct Strings {
    joined: Joined,
}

impl Strings {
    /// Takes the string at a place. One that is no part of a credential parts those beside it.
    fn take(&mut self, bytes: &[u8], at: Range<usize>) {
        let Joined { bytes: out, parts } = &mut self.joined;
        let string = &bytes[at.clone()];
        let is_part = string.len() <= STRING_BYTES_MAX && string.iter().all(u8::is_ascii_graphic);
        parts.push((out.len(), at.start));
        match is_part {
            true => out.extend_from_slice(string),
            false => out.push(b'\n'),
        }
    }
}

impl Joined {
    /// Where each string begins here.
    pub(super) fn starts(&self) -> Vec<usize> {
        self.parts.iter().map(|(out, _)| *out).collect()
    }

    /// Where a range of it stands in the body, if it is cut.
    pub(super) fn origin(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let part_of = |at: usize| self.parts.partition_point(|(out, _)| *out <= at) - 1;
        let (first, last) = (part_of(range.start), part_of(range.end.checked_sub(1)?));
        let place = |part: usize, at: usize| self.parts[part].1 + at - self.parts[part].0;
        (first < last).then(|| place(first, range.start)..place(last, range.end))
    }
}

/// The strings of a body, put together in each way that they may be meant; none of one without a
/// structure.
pub(super) fn joined(bytes: &[u8]) -> Vec<Joined> {
    let found = match bytes.trim_ascii_start().first() {
        None => Vec::new(),
        Some(b'{' | b'[') => text::json(bytes),
        Some(b'<') => vec![text::markup(bytes)],
        Some(b'-') if bytes.starts_with(b"--") && !bytes.starts_with(b"---\n") => {
            vec![text::multipart(bytes)]
        }
        Some(_) if text::is_form(bytes) => vec![text::form(bytes)],
        Some(_) if text::is_lines(bytes) => vec![text::lines(bytes)],
        Some(_) if binary::is_binary(bytes) => binary::strings(bytes),
        Some(_) => Vec::new(),
    };
    let joined = found.into_iter().map(|strings| strings.joined);
    joined.filter(|joined| joined.parts.len() > 1).collect()
}
