//! Keys that providers and standards print in their documentation: `rules/published.yaml`.

include!(concat!(env!("OUT_DIR"), "/published.rs"));

/// Whether a value is a documented example, or says that it is one.
pub(crate) fn is_published(value: &[u8]) -> bool {
    let contains = |part: &[u8]| memchr::memmem::find(value, part).is_some();
    contains(b"EXAMPLE") || PUBLISHED.iter().any(|known| contains(known.as_bytes()))
}
