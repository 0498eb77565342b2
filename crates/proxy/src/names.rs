//! The synthetic addresses that stand for names inside a bottle.
//!
//! Every name that the bottle may ask for gets one IPv4 and one IPv6 address out of reserved ranges
//! and keeps them, so that a later connection's original destination tells its name, whatever
//! protocol it speaks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

/// The network of the IPv4 addresses, 198.18.0.0/15 (RFC 2544, appendix C.2.2: benchmarking; never
/// routed).
pub const POOL_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);

/// The network of the IPv6 addresses: a unique local one (RFC 4193) with "carboy" for its random
/// part.
pub const POOL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd63, 0x6172, 0x626f, 0x79, 0, 0, 0, 0), 64);

/// The names that one bottle may know. With the longest names this is 8 MiB, an eighth of what a
/// gate may take; the IPv4 pool itself has four times as many addresses.
pub const NAMES_MAX: NonZeroUsize = NonZeroUsize::new(32_768).expect("32768 is not zero");

/// How long a name keeps its address after its last use once the pool is full. Programs that
/// remember addresses beyond their lifetime (Java for good, by default) use them meanwhile.
const KEPT: Duration = Duration::from_secs(3600);

/// The names of one bottle and their addresses. All operations take constant time.
#[derive(Debug)]
pub struct Names {
    inner: Mutex<Pool>,
}

/// What stands for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synthetic {
    /// The answer to an `A` question.
    pub v4: Ipv4Addr,
    /// The answer to an `AAAA` question.
    pub v6: Ipv6Addr,
}

/// All names are in use, and none is old enough to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bottle has asked for too many names within an hour")]
pub struct PoolExhausted;

#[derive(Debug)]
struct Pool {
    /// Name to slot, in the order of use.
    slots: LruCache<Arc<str>, Used>,
    names: HashMap<u32, Arc<str>>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    slot: u32,
    at: Instant,
}

impl Default for Names {
    fn default() -> Self {
        Self::with_capacity(NAMES_MAX)
    }
}

impl Names {
    /// A pool of at most `names_max` names; more than [`NAMES_MAX`] are not given.
    pub fn with_capacity(names_max: NonZeroUsize) -> Self {
        let inner = Pool {
            slots: LruCache::new(names_max.min(NAMES_MAX)),
            names: HashMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// The addresses of a canonical name: its old ones, or new ones.
    ///
    /// # Errors
    /// [`PoolExhausted`], when every name was used within the last hour.
    pub fn address(&self, name: &str, now: Instant) -> Result<Synthetic, PoolExhausted> {
        let mut pool = self.inner.lock();
        if let Some(used) = pool.slots.get_mut(name) {
            used.at = now;
            return Ok(Synthetic::of(used.slot));
        }
        let slot = pool.free_slot(now)?;
        let name: Arc<str> = name.into();
        pool.slots.put(Arc::clone(&name), Used { slot, at: now });
        pool.names.insert(slot, name);
        Ok(Synthetic::of(slot))
    }

    /// The name that an address stands for, if it stands for one. It counts as a use of the name.
    pub fn name(&self, address: IpAddr, now: Instant) -> Option<Arc<str>> {
        let slot = slot_of(address)?;
        let mut pool = self.inner.lock();
        let name = Arc::clone(pool.names.get(&slot)?);
        if let Some(used) = pool.slots.get_mut(&name) {
            used.at = now;
        }
        Some(name)
    }

    /// Whether an address is out of a pool, whether or not it stands for a name.
    pub fn holds(address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits() >> V4_HOST_BITS == POOL_V4.0.to_bits() >> V4_HOST_BITS,
            IpAddr::V6(v6) => v6.to_bits() >> V6_HOST_BITS == POOL_V6.0.to_bits() >> V6_HOST_BITS,
        }
    }
}

const V4_HOST_BITS: u32 = 32 - POOL_V4.1 as u32;
const V6_HOST_BITS: u32 = 128 - POOL_V6.1 as u32;

impl Pool {
    fn free_slot(&mut self, now: Instant) -> Result<u32, PoolExhausted> {
        if self.slots.len() < self.slots.cap().get() {
            let used = u32::try_from(self.slots.len());
            return Ok(used.expect("the pool holds at most NAMES_MAX names"));
        }
        let (_, oldest) = self.slots.peek_lru().ok_or(PoolExhausted)?;
        if now.saturating_duration_since(oldest.at) < KEPT {
            return Err(PoolExhausted);
        }
        let (_, oldest) = self.slots.pop_lru().ok_or(PoolExhausted)?;
        self.names.remove(&oldest.slot);
        Ok(oldest.slot)
    }
}

impl Synthetic {
    /// The addresses of a slot. The networks' first addresses are left out.
    fn of(slot: u32) -> Self {
        let host = slot + 1;
        Self {
            v4: Ipv4Addr::from_bits(POOL_V4.0.to_bits() + host),
            v6: Ipv6Addr::from_bits(POOL_V6.0.to_bits() + u128::from(host)),
        }
    }
}

fn slot_of(address: IpAddr) -> Option<u32> {
    if !Names::holds(address) {
        return None;
    }
    let host = match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_bits() - POOL_V4.0.to_bits(),
        IpAddr::V6(v6) => u32::try_from(v6.to_bits() - POOL_V6.0.to_bits()).ok()?,
    };
    host.checked_sub(1)
}

#[cfg(test)]
mod tests;
