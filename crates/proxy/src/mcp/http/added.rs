//! Fields that requests to a remote server get beside the client's.

use ::http::header::HeaderMap;
use arc_swap::ArcSwap;

/// Fields that are added to each request after its inspection, such as credentials. They may change while
/// clients are served.
#[derive(Default)]
pub struct AddedFields(ArcSwap<HeaderMap>);

impl AddedFields {
    /// These fields.
    pub fn new(fields: HeaderMap) -> Self {
        Self(ArcSwap::from_pointee(fields))
    }

    /// Takes others from the next request on. Returns whether they differ.
    pub fn replace(&self, fields: HeaderMap) -> bool {
        let is_other = **self.0.load() != fields;
        if is_other {
            self.0.store(fields.into());
        }
        is_other
    }

    /// Puts them in place of a request's own of the same names.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        headers.extend(HeaderMap::clone(&self.0.load()));
    }
}
