//! What placeholders stand for, where the policy wants it put back. It is wiped with the session.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// Values kept, in bytes. Later ones are not put back.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// Hosts that one value went to. It is put back in what comes from these alone.
const HOSTS_MAX: usize = 16;

/// Values by what stands for them, such as `gitlab-token:1`.
#[derive(Default)]
pub(super) struct Originals {
    values: BTreeMap<Box<str>, Original>,
    bytes: usize,
}

struct Original {
    value: Zeroizing<Vec<u8>>,
    hosts: Vec<Box<str>>,
}

impl Originals {
    /// Keeps what a placeholder stands for that goes to a host.
    pub(super) fn keep(&mut self, key: &str, value: &[u8], host: &str) {
        if !self.values.contains_key(key) {
            if self.bytes + value.len() > VALUES_BYTES_MAX {
                return;
            }
            self.bytes += value.len();
            let original = Original {
                value: Zeroizing::new(value.to_vec()),
                hosts: Vec::new(),
            };
            self.values.insert(key.into(), original);
        }
        if let Some(own) = self.values.get_mut(key)
            && own.hosts.len() < HOSTS_MAX
            && !own.hosts.iter().any(|own| **own == *host)
        {
            own.hosts.push(host.into());
        }
    }

    /// What stands behind a placeholder that comes from a host which was sent it.
    pub(super) fn value(&self, key: &str, host: &str) -> Option<Zeroizing<Vec<u8>>> {
        let own = self.values.get(key)?;
        let is_known = own.hosts.iter().any(|own| **own == *host);
        is_known.then(|| own.value.clone())
    }
}

impl fmt::Debug for Originals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Originals({})", self.values.len())
    }
}
