//! Answers the engine's questions about names. Nothing else resolves.

use std::collections::HashMap;
use std::net::IpAddr;

use carboy_engine::{Fault, Host};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;

use crate::limits::{ADDRESSES_MAX, RESOLVE_TIMEOUT};

/// A table of names in front of the system's DNS servers.
pub struct Resolver {
    table: HostsTable,
    system: Result<TokioResolver, NetError>,
}

/// Names with fixed addresses, as in `/etc/hosts`.
#[derive(Debug, Clone, Default)]
pub struct HostsTable {
    entries: HashMap<Box<str>, Vec<IpAddr>>,
}

/// A line of a hosts file that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct HostsError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Resolver {
    /// A resolver with a table before the system's servers (`/etc/resolv.conf`). A system without
    /// servers is not an error here: each name that the table lacks then fails with that cause.
    pub fn new(table: HostsTable) -> Self {
        Self {
            table,
            system: system_resolver(),
        }
    }

    /// All addresses of a host, in the resolver's order, at most [`ADDRESSES_MAX`].
    pub(crate) async fn resolve(&self, host: &Host) -> Result<Vec<IpAddr>, Fault> {
        let name = match host {
            Host::Addr(addr) => return Ok(vec![*addr]),
            Host::Name(name) => name,
        };
        if let Some(addresses) = self.table.entries.get(&**name) {
            return Ok(addresses.clone());
        }
        let system = self.system.as_ref().map_err(|error| {
            Fault::Unresolved(format!(
                "{name}: the system's resolver is not usable: {error}"
            ))
        })?;
        // The trailing dot keeps the system's search domains out of it.
        let lookup = Box::pin(system.lookup_ip(format!("{name}.")));
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, lookup)
            .await
            .map_err(|_| Fault::Unresolved(format!("{name}: no answer in {RESOLVE_TIMEOUT:?}")))?
            .map_err(|error| Fault::Unresolved(explain(name, &error)))?;
        Ok(found.iter().take(ADDRESSES_MAX).collect())
    }
}

impl HostsTable {
    /// Parses `/etc/hosts` form: an address, then its names; `#` starts a comment.
    ///
    /// # Errors
    /// The first line whose address or name is not one.
    pub fn parse(text: &str) -> Result<Self, HostsError> {
        let mut table = Self::default();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let Some(address) = words.next() else {
                continue;
            };
            let wrong = |problem: String| HostsError {
                line: index + 1,
                problem,
            };
            let address: IpAddr = address
                .parse()
                .map_err(|_| wrong(format!("`{address}` is not an IP address")))?;
            for word in words {
                let Ok(Host::Name(name)) = Host::parse(word) else {
                    return Err(wrong(format!("`{word}` is not a host name")));
                };
                table.insert(&name, address);
            }
        }
        Ok(table)
    }

    /// Adds one address to a canonical name.
    pub fn insert(&mut self, name: &str, address: IpAddr) {
        let known = self.entries.entry(name.into()).or_default();
        if !known.contains(&address) {
            known.push(address);
        }
    }
}

fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.timeout = RESOLVE_TIMEOUT / 2;
    options.attempts = 2;
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build()
}

fn explain(name: &str, error: &NetError) -> String {
    if error.is_nx_domain() {
        format!("{name}: there is no such name")
    } else if error.is_no_records_found() {
        format!("{name}: the name has no address")
    } else {
        format!("{name}: {error}")
    }
}
