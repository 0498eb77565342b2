//! Where in content something is replaced, and by what.

use std::cmp::Reverse;
use std::ops::Range;

use memchr::memmem;
use serde::de::IgnoredAny;

use super::carrier::{Form, event_data};
use crate::scan::Sighting;

/// How a placeholder is spelt, so that what it stands in stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Plain,
    /// Within a URL or a form (RFC 3986, section 2.1).
    Percent,
    /// Within XML or HTML.
    Entity,
    /// Within JSON, which must be JSON afterwards.
    Json,
}

/// A value, and what stands for it wherever the content has it.
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// A place, and what is put there.
pub(super) type Place = (Range<usize>, String);

/// What stands for a value.
pub(super) fn placeholder(rule: &str, number: u32, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain | Spelling::Json => format!("<carboy:{rule}:{number}>"),
        Spelling::Percent => format!("%3Ccarboy%3A{rule}%3A{number}%3E"),
        Spelling::Entity => format!("&lt;carboy:{rule}:{number}&gt;"),
    }
}

/// The bytes that a sighting covers.
pub(super) fn range(sighting: &Sighting, bytes: &[u8]) -> Option<Range<usize>> {
    let start = usize::try_from(sighting.offset).ok()?;
    let end = start.checked_add(usize::try_from(sighting.len).ok()?)?;
    (start < end && end <= bytes.len()).then_some(start..end)
}

/// The bytes of a value that stands in the content as it is, or escaped as the content's own grammar
/// has it, and takes nothing of its surroundings with it.
pub(super) fn value(sighting: &Sighting, bytes: &[u8], spelling: Spelling) -> Option<Range<usize>> {
    let range = range(sighting, bytes)?;
    let own = match spelling {
        Spelling::Plain => "",
        Spelling::Percent => "percent",
        Spelling::Entity => "entity",
        Spelling::Json => "escape",
    };
    let value = &bytes[range.clone()];
    let is_bound = |at: usize| match value[at] {
        b'"' => spelling != Spelling::Json || at == 0 || value[at - 1] != b'\\',
        b'&' => spelling != Spelling::Entity || sighting.via.is_empty(),
        b'<' | b'>' => true,
        _ => false,
    };
    let is_own = sighting.via.iter().all(|via| *via == own);
    (is_own && !(0..value.len()).any(is_bound)).then_some(range)
}

/// Every place where the values of edits stand.
pub(super) fn everywhere(bytes: &[u8], edits: &[Edit]) -> Vec<Place> {
    let mut places = Vec::new();
    for edit in edits {
        let value = &bytes[edit.range.clone()];
        for start in memmem::find_iter(bytes, value) {
            places.push((start..start + value.len(), edit.text.clone()));
        }
    }
    places
}

/// The content with all of the places replaced.
pub(super) fn apply(bytes: &[u8], mut places: Vec<Place>) -> Vec<u8> {
    // Of two at one place the longer is the whole.
    places.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
    let mut rewritten = Vec::with_capacity(bytes.len());
    let mut taken = 0;
    for (range, text) in places {
        if range.start < taken {
            // What reaches beyond the one before goes with it.
            taken = taken.max(range.end);
            continue;
        }
        rewritten.extend_from_slice(&bytes[taken..range.start]);
        rewritten.extend_from_slice(text.as_bytes());
        taken = range.end;
    }
    rewritten.extend_from_slice(&bytes[taken..]);
    rewritten
}

/// Whether what was JSON is JSON still.
pub(super) fn is_still(form: Form, before: &[u8], after: &[u8]) -> bool {
    match form {
        Form::Json => is_json(after),
        Form::Events => documents(after) >= documents(before),
        Form::Markup | Form::Text => true,
    }
}

/// How many lines are JSON.
fn documents(bytes: &[u8]) -> usize {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter(|line| is_json(event_data(line))).count()
}

pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}
