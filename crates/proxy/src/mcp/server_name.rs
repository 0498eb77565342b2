//! What servers are called.

use carboy_engine::{Host, HostError, Target};
use carboy_wire::mcp::{Fingerprint, is_card_path};

/// The name of a server behind a pipe, in the form of a host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(Host);

impl ServerName {
    /// Takes a name: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter.
    ///
    /// # Errors
    /// When it is no such name.
    pub fn parse(name: &str) -> Result<Self, HostError> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(is_plain) {
            return Err(HostError::Character);
        }
        match Host::parse(name)? {
            host @ Host::Name(_) => Ok(Self(host)),
            Host::Addr(_) => Err(HostError::Invalid),
        }
    }

    /// The same as the host of a target.
    pub(super) fn host(&self) -> &Host {
        &self.0
    }

    /// The name of a server that nobody named, by where it is. A path may hold a key, so it is not
    /// shown.
    pub(super) fn of_place(target: &Target, path: &str) -> Self {
        let host = target.host.to_string().replace(':', "-");
        let digest = Fingerprint::of_bytes(format!("{target}{path}").as_bytes()).to_string();
        let is_plain = matches!(path, "/" | "/mcp" | "/sse") && matches!(target.port, 80 | 443);
        let is_card = is_card_path(path);
        let name = match (is_plain, is_card) {
            (true, _) => host.clone(),
            (false, true) => format!("{host}-agent-{}", &digest[..8]),
            (false, false) => format!("{host}-{}", &digest[..8]),
        };
        let named = [name.clone(), format!("at-{name}")];
        let made = named.iter().find_map(|name| Self::parse(name).ok());
        made.unwrap_or_else(|| {
            Self::parse(&format!("server-{}", &digest[..32])).expect("a plain name")
        })
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
