//! The login that a proxy's clients must give.

use std::fmt;

use carboy_wire::login::Given;
use sha2::{Digest, Sha256};

/// What is not carried.
pub(crate) const NOT_ADMITTED: &str = "a client that does not give the proxy's login";

/// What clients must give, as a hash: comparing it takes as long whatever they give.
pub struct Login([u8; 32]);

impl Login {
    /// Of `user:password`; none where that has no colon.
    pub fn new(text: &str) -> Option<Self> {
        let is_one = text.contains(':');
        is_one.then(|| Self(Sha256::digest(text).into()))
    }

    /// Whether it is what a client gave.
    pub(crate) fn admits(&self, given: &Given) -> bool {
        let hash: [u8; 32] = Sha256::digest(given.bytes()).into();
        hash == self.0
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}
