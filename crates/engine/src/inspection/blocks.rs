//! Texts of one message that its reader puts end to end: the blocks of a tool's result, the parts of an
//! agent's message.

use super::Inspection;
use crate::crossing::{SurfaceKind, Time};

/// What is kept of a block at either end. Longer than a passage with what it is about.
const END_BYTES: usize = 2048;
/// Bytes that are kept of one message: some thirty blocks of which both ends are.
const BYTES_MAX: usize = 128 * 1024;
/// Kinds of block in one message. Results have a handful.
const PLACES_MAX: usize = 32;
/// Stands for the middle of a long block: no rule looks across it.
const SEPARATOR: &[u8] = b"\n\n\0\n\n";

/// The texts of a message that stand in lists, by their place: what is beyond the limits is judged by
/// itself alone.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    rows: Vec<Row>,
    bytes: usize,
}

/// Texts of one place, in their order.
#[derive(Debug)]
struct Row {
    place: String,
    texts: Vec<Vec<u8>>,
}

/// Texts end to end, and where each but the last ends.
struct Course {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Blocks {
    pub(super) fn add(&mut self, path: &str, text: &[u8]) {
        let Some(place) = place_of(path) else {
            return;
        };
        let text = ends_of(text);
        if self.bytes + text.len() > BYTES_MAX {
            return;
        }
        let known = self.rows.iter().position(|row| row.place == place);
        let index = known.unwrap_or(self.rows.len());
        if known.is_none() {
            if self.rows.len() >= PLACES_MAX {
                return;
            }
            self.rows.push(Row {
                place,
                texts: Vec::new(),
            });
        }
        self.bytes += text.len();
        self.rows[index].texts.push(text);
    }
}

impl Row {
    fn joined(&self, between: &[u8]) -> Course {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for text in &self.texts {
            if !bytes.is_empty() {
                ends.push(bytes.len() as u64);
                bytes.extend_from_slice(between);
            }
            bytes.extend_from_slice(text);
        }
        Course { bytes, ends }
    }
}

impl Course {
    /// Whether a range lies over the end of a text.
    fn is_cut(&self, offset: u64, len: u64) -> bool {
        let inside = |end: &u64| offset < *end && *end < offset + len;
        self.ends.iter().any(inside)
    }
}

impl Inspection {
    /// What is cut over the blocks of one message is whole where they meet: within a word, or between
    /// two.
    pub(super) fn judge_blocks(&mut self, now: Time) {
        let blocks = std::mem::take(&mut self.blocks);
        let kind = SurfaceKind::Message;
        for row in blocks.rows.iter().filter(|row| row.texts.len() > 1) {
            for between in [&b""[..], b"\n"] {
                if self.is_stopped() {
                    return;
                }
                let course = row.joined(between);
                let mut found = Vec::new();
                let scanned = self.scan_into(kind, &course.bytes, &mut found);
                self.settle_scan(scanned, kind);
                found.retain(|own| {
                    own.is_sure_when_joined()
                        && course.is_cut(own.offset, own.len)
                        && !self.docket.has(own.rule.id, kind)
                });
                for mut sighting in found {
                    sighting.via.insert(0, "over-blocks");
                    self.judge(sighting, kind, "", now);
                }
            }
        }
    }
}

/// A path without its places in lists; none where it names none.
fn place_of(path: &str) -> Option<String> {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = path.split('/').collect();
    if !parts.iter().any(|part| is_index(part)) {
        return None;
    }
    let parts = parts.iter();
    let parts: Vec<_> = parts
        .map(|part| if is_index(part) { "*" } else { part })
        .collect();
    Some(parts.join("/"))
}

/// A text, or of a long one its beginning and its end.
fn ends_of(text: &[u8]) -> Vec<u8> {
    if text.len() <= 2 * END_BYTES + SEPARATOR.len() {
        return text.to_vec();
    }
    let (head, tail) = (&text[..END_BYTES], &text[text.len() - END_BYTES..]);
    [head, SEPARATOR, tail].concat()
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Blocks, END_BYTES, place_of};

    #[test]
    fn places_in_lists_are_one_place() {
        let cases = [
            ("/result/content/0/text", Some("/result/content/*/text")),
            ("/result/content/17/text", Some("/result/content/*/text")),
            ("/result/a/1/b/2", Some("/result/a/*/b/*")),
            ("/result/text", None),
            ("", None),
        ];
        for (path, place) in cases {
            assert_eq!(place_of(path).as_deref(), place, "{path}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut blocks = Blocks::default();
        for number in 0..1000 {
            blocks.add(&format!("/a{number}/0/b"), &[b'x'; 10 * END_BYTES]);
            blocks.add("/result/content/0/text", &[b'y'; 10 * END_BYTES]);
        }
        let kept = blocks.rows.iter().flat_map(|row| &row.texts);
        assert!(kept.map(Vec::len).sum::<usize>() <= BYTES_MAX);
    }
}
