//! What is remembered about one agent across crossings.

mod originals;
mod seen;
mod trails;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::crossing::{Direction, SurfaceKind, Time};
use crate::finding::Fingerprint;
use crate::known::{Coverage, Piece, Values};
use crate::policy::{Limits, Window};
use crate::rules::Rule;
use crate::tool::Ledger;
use originals::Originals;
use seen::Seen;
use trails::Trails;
use zeroize::Zeroizing;

/// Sites remembered at once. When there are more, the half least recently used is forgotten; the
/// session's own window still counts what went to them.
const SITES_MAX: usize = 4096;
/// Names remembered below one site, whatever the policy's limit: 32 KiB a site.
const NAMES_MAX: u64 = 4096;
/// Names remembered below all sites together: 8 MiB.
const NAMES_ALL_MAX: usize = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// How long a site's names are counted together, and all hosts.
const NAMES_WINDOW: Duration = HOUR;
/// Hosts remembered, whatever the policy's limit: 1 MiB.
const HOSTS_MAX: usize = 1 << 16;
/// Encoded runs remembered as counted, and as many as known from answers: 2 MiB each. The default
/// budgets are spent by fewer.
const RUNS_MAX: usize = 1 << 17;
/// Labels remembered as counted: 256 KiB.
const LABELS_MAX: usize = 1 << 14;
/// Replaced values whose numbers are kept: 512 KiB. Later ones are all of number 0.
const PLACEHOLDERS_MAX: usize = 1 << 13;

/// One agent's memory: rates, budgets and counts, behind a lock of its own so that scanning never
/// waits for another crossing's. Bounded, whatever the agent does.
#[derive(Debug, Default)]
pub struct Session {
    hasher: RandomState,
    state: Mutex<State>,
    calls: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct State {
    whole: Spent,
    sites: Sites,
    hosts: Seen<HOSTS_MAX>,
    /// Encoded runs that have been counted.
    runs: Seen<RUNS_MAX>,
    labels: Seen<LABELS_MAX>,
    /// Encoded runs that came in an answer's head, and may go out again.
    given: Seen<RUNS_MAX>,
    /// What has crossed of known values.
    pieces: Coverage,
    /// What crossed a few bytes at a time.
    trails: Trails,
    placeholders: Placeholders,
    originals: Originals,
}

/// The numbers of replaced values, by rule.
#[derive(Debug, Default)]
struct Placeholders {
    numbers: HashMap<(&'static str, Fingerprint), u32>,
    last: HashMap<&'static str, u32>,
}

#[derive(Debug, Default)]
struct Sites {
    known: HashMap<Box<str>, Site>,
    /// Names below all of them together.
    names: usize,
}

#[derive(Debug, Default)]
struct Site {
    spent: Spent,
    names: HashSet<u64>,
    names_since: Duration,
    used: Duration,
}

/// What one window has spent of each budget.
#[derive(Debug, Default)]
struct Spent {
    requests: Bucket,
    upload: Bucket,
    download: Bucket,
    encoded: Bucket,
    encoded_text: Bucket,
    encoded_labels: Bucket,
}

/// A leaky bucket: it holds a window's worth and drains evenly.
#[derive(Debug, Default)]
struct Bucket {
    level: f64,
    at: Duration,
}

/// The budgets that a crossing spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Meter {
    /// A crossing that leaves.
    Request,
    /// Body bytes that leave.
    Upload,
    /// Body bytes that come in.
    Download,
    /// Bytes that look encoded, outside of bodies.
    Encoded,
    /// Bytes of text that was encoded, outside of bodies.
    EncodedText,
    /// Bytes of host names that look encoded.
    EncodedLabels,
}

/// A budget that is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverLimit {
    /// The policy's key.
    pub(crate) key: String,
    /// The policy's value.
    pub(crate) limit: u64,
    /// Seconds until there is room again.
    pub(crate) retry_seconds: u64,
}

impl Session {
    /// The number of a replaced value: from 1 on for each rule, the same for the same value.
    pub(crate) fn placeholder(&self, rule: &'static Rule, value: Fingerprint) -> u32 {
        let placeholders = &mut self.lock().placeholders;
        let Placeholders { numbers, last } = placeholders;
        if let Some(number) = numbers.get(&(rule.id, value)) {
            return *number;
        }
        if numbers.len() >= PLACEHOLDERS_MAX {
            return 0;
        }
        let last = last.entry(rule.id).or_default();
        *last += 1;
        numbers.insert((rule.id, value), *last);
        *last
    }

    /// Keeps what a placeholder stands for that goes to a host.
    pub(crate) fn keep_original(&self, key: &str, value: &[u8], host: &str) {
        self.lock().originals.keep(key, value, host);
    }

    /// What stands behind a placeholder that comes from a host which was sent it.
    pub(crate) fn original(&self, key: &str, host: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.lock().originals.value(key, host)
    }

    /// Spends `amount` of a budget, for the site and for the session. What does not fit is refused
    /// whole, so that a stream is judged alike however it is cut.
    pub(crate) fn spend(
        &self,
        site: &str,
        meter: Meter,
        amount: u64,
        limits: &Limits,
        now: Time,
    ) -> Result<(), OverLimit> {
        self.lock().spend(site, meter, amount, limits, now)
    }

    /// Spends the length of what looks encoded, once in a window; what the world gave costs nothing.
    pub(crate) fn spend_once(
        &self,
        site: &str,
        meter: Meter,
        content: &[u8],
        limits: &Limits,
        now: Time,
    ) -> Result<(), OverLimit> {
        let hash = self.hasher.hash_one((site, meter, content));
        let given = self.hasher.hash_one(content);
        let mut state = self.lock();
        if state.is_counted(meter, hash, given, now.elapsed) {
            return Ok(());
        }
        state.spend(site, meter, content.len() as u64, limits, now)?;
        state.note_counted(meter, hash);
        Ok(())
    }

    /// Notes an encoded run in the head of an answer: cookies, tags of content, redirects. An agent
    /// that sends it again tells nothing new.
    pub(crate) fn give(&self, run: &[u8], now: Time) {
        let hash = self.hasher.hash_one(run);
        let mut state = self.lock();
        state.given.advance(DAY, now.elapsed);
        state.given.insert(hash);
    }

    /// Counts a host, whatever its site.
    pub(crate) fn host(&self, name: &str, limits: &Limits, now: Time) -> Result<(), OverLimit> {
        let Some(limit) = limits.hosts_per_hour.map(|own| own.min(HOSTS_MAX as u64)) else {
            return Ok(());
        };
        let hash = self.hasher.hash_one(name);
        let hosts = &mut self.lock().hosts;
        hosts.advance(NAMES_WINDOW, now.elapsed);
        if hosts.len() as u64 >= limit && !hosts.has(hash) {
            return Err(OverLimit {
                key: "egress.limits.hosts_per_hour".to_owned(),
                limit,
                retry_seconds: hosts.seconds_left(NAMES_WINDOW, now.elapsed),
            });
        }
        hosts.insert(hash);
        Ok(())
    }

    /// Counts a name below a site.
    pub(crate) fn name(
        &self,
        site: &str,
        name: &str,
        limits: &Limits,
        now: Time,
    ) -> Result<(), OverLimit> {
        let Some(limit) = limits.subdomains_per_hour.map(|limit| limit.min(NAMES_MAX)) else {
            return Ok(());
        };
        let hash = self.hasher.hash_one(name);
        let mut state = self.lock();
        let sites = &mut state.sites;
        let known = sites.names;
        let own = sites.site(site, now.elapsed);
        let before = own.names.len();
        if now.elapsed.saturating_sub(own.names_since) >= NAMES_WINDOW {
            own.names.clear();
            own.names_since = now.elapsed;
        }
        let full = own.names.len() as u64 >= limit || known >= NAMES_ALL_MAX;
        if full && !own.names.contains(&hash) {
            let left = NAMES_WINDOW.saturating_sub(now.elapsed.saturating_sub(own.names_since));
            let key = "egress.limits.subdomains_per_hour".to_owned();
            return Err(OverLimit {
                key,
                limit,
                retry_seconds: left.as_secs() + 1,
            });
        }
        own.names.insert(hash);
        let after = own.names.len();
        sites.names = known + after - before;
        Ok(())
    }

    /// Counts words that went out and were looked at.
    pub(crate) fn pass_words(&self, words: u64) {
        self.lock().pieces.pass(words);
    }

    /// Notes a piece of a known value that goes out. Returns the rule that it breaks, if with the
    /// pieces before it enough of its value has gone.
    pub(crate) fn cover(&self, values: &Values, piece: Piece) -> Option<&'static Rule> {
        values.cover(&mut self.lock().pieces, piece)
    }

    /// Adds a few bytes to what went out at a place before, and returns all of that if it may say something. A place is
    /// told by its site, kind and name.
    pub(crate) fn follow(
        &self,
        place: (&str, SurfaceKind, &[u8]),
        crumb: &[u8],
        now: Time,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let again = place.1 == SurfaceKind::Host;
        let place = self.hasher.hash_one(place);
        let mut state = self.lock();
        let trail = state.trails.add(place, crumb, again, now.elapsed)?;
        Some(Zeroizing::new(trail.to_vec()))
    }

    /// What is remembered of calls, until the guard goes.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No code that holds the lock can leave the counts half-changed in a way that matters, so a
    /// panic elsewhere does not end the session.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What does not fit is refused whole.
    fn spend(
        &mut self,
        site: &str,
        meter: Meter,
        amount: u64,
        limits: &Limits,
        now: Time,
    ) -> Result<(), OverLimit> {
        let (at, window) = (now.elapsed, meter.window());
        let own = meter.of_window(&limits.site);
        let whole = meter.of_window(&limits.session);
        if own.is_none() && whole.is_none() {
            return Ok(());
        }
        let Self {
            whole: spent,
            sites,
            ..
        } = self;
        let mut own = own.map(|limit| (limit, meter.of_spent(&mut sites.site(site, at).spent)));
        if let Some((limit, bucket)) = &mut own {
            bucket
                .check(*limit, window, amount, at)
                .map_err(|wait| meter.over("site", *limit, wait))?;
        }
        if let Some(limit) = whole {
            let bucket = meter.of_spent(spent);
            bucket
                .check(limit, window, amount, at)
                .map_err(|wait| meter.over("session", limit, wait))?;
            bucket.level += amount as f64;
        }
        if let Some((_, bucket)) = own {
            bucket.level += amount as f64;
        }
        Ok(())
    }

    fn is_counted(&mut self, meter: Meter, hash: u64, given: u64, at: Duration) -> bool {
        match meter {
            Meter::EncodedLabels => {
                self.labels.advance(DAY, at);
                self.labels.has(hash)
            }
            Meter::Encoded | Meter::EncodedText => {
                self.runs.advance(HOUR, at);
                self.given.advance(DAY, at);
                self.runs.has(hash) || self.given.has(given)
            }
            Meter::Request | Meter::Upload | Meter::Download => false,
        }
    }

    fn note_counted(&mut self, meter: Meter, hash: u64) {
        match meter {
            Meter::EncodedLabels => self.labels.insert(hash),
            Meter::Encoded | Meter::EncodedText => self.runs.insert(hash),
            Meter::Request | Meter::Upload | Meter::Download => {}
        }
    }
}

impl Sites {
    fn site(&mut self, site: &str, at: Duration) -> &mut Site {
        if !self.known.contains_key(site) {
            if self.known.len() >= SITES_MAX {
                self.forget_oldest();
            }
            let fresh = Site {
                names_since: at,
                ..Site::default()
            };
            self.known.insert(site.into(), fresh);
        }
        let own = self.known.get_mut(site).expect("it was inserted above");
        own.used = at;
        own
    }

    fn forget_oldest(&mut self) {
        let mut used: Vec<_> = self.known.values().map(|site| site.used).collect();
        let half = used.len() / 2;
        let (_, median, _) = used.select_nth_unstable(half);
        let median = *median;
        let mut spare = SITES_MAX / 2;
        self.known.retain(|_, site| {
            let keep = site.used > median || (site.used == median && spare > 0);
            spare = spare.saturating_sub(usize::from(keep && site.used == median));
            keep
        });
        if self.known.len() >= SITES_MAX {
            self.known.clear();
        }
        self.names = self.known.values().map(|site| site.names.len()).sum();
    }
}

impl Bucket {
    /// Drains, and says whether there is room; if not, how many seconds until there is, or until
    /// the bucket is empty where there never is.
    fn check(
        &mut self,
        limit: u64,
        window: Duration,
        amount: u64,
        at: Duration,
    ) -> Result<(), u64> {
        let rate = limit as f64 / window.as_secs_f64();
        let drained = at.saturating_sub(self.at).as_secs_f64() * rate;
        self.level = (self.level - drained).max(0.0);
        self.at = self.at.max(at);
        let over = self.level + amount as f64 - limit as f64;
        match over <= 0.0 {
            true => Ok(()),
            false => Err((over.min(self.level) / rate).ceil().max(1.0) as u64),
        }
    }
}

impl Meter {
    /// The meter of body bytes that go this way.
    pub(crate) fn of(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::Upload,
            Direction::Inbound => Self::Download,
        }
    }

    /// How long a full bucket takes to drain.
    fn window(self) -> Duration {
        match self {
            Self::Request | Self::Upload | Self::Download => MINUTE,
            Self::Encoded | Self::EncodedText => HOUR,
            Self::EncodedLabels => DAY,
        }
    }

    fn of_window(self, window: &Window) -> Option<u64> {
        match self {
            Self::Request => window.requests,
            Self::Upload => window.upload,
            Self::Download => window.download,
            Self::Encoded => window.encoded,
            Self::EncodedText => window.encoded_text,
            Self::EncodedLabels => window.encoded_labels,
        }
    }

    fn of_spent(self, spent: &mut Spent) -> &mut Bucket {
        match self {
            Self::Request => &mut spent.requests,
            Self::Upload => &mut spent.upload,
            Self::Download => &mut spent.download,
            Self::Encoded => &mut spent.encoded,
            Self::EncodedText => &mut spent.encoded_text,
            Self::EncodedLabels => &mut spent.encoded_labels,
        }
    }

    fn over(self, scope: &str, limit: u64, retry_seconds: u64) -> OverLimit {
        let key = match self {
            Self::Request => "requests_per_minute",
            Self::Upload => "upload_per_minute",
            Self::Download => "download_per_minute",
            Self::Encoded => "encoded_per_hour",
            Self::EncodedText => "encoded_text_per_hour",
            Self::EncodedLabels => "encoded_labels_per_day",
        };
        OverLimit {
            key: format!("egress.limits.{scope}.{key}"),
            limit,
            retry_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, SITES_MAX, Session};
    use crate::crossing::Time;
    use crate::policy::Policy;
    use std::time::Duration;

    fn at(seconds: u64) -> Time {
        Time {
            elapsed: Duration::from_secs(seconds),
            unix_seconds: seconds,
        }
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        let text = "version: 1\negress: {limits: {site: {requests_per_minute: 60}}}\n";
        let policy = Policy::parse(text, "p").expect("a policy");
        let session = Session::default();
        let spend =
            |site, seconds| session.spend(site, Meter::Request, 1, policy.limits(), at(seconds));
        for _ in 0..60 {
            spend("a.example", 0).expect("within the limit");
        }
        let over = spend("a.example", 0).expect_err("over the limit");
        assert_eq!(over.key, "egress.limits.site.requests_per_minute");
        assert_eq!(over.retry_seconds, 1);
        spend("b.example", 0).expect("another site");
        spend("a.example", 1).expect("one has drained");
        spend("a.example", 1).expect_err("and no more");
    }

    #[test]
    fn names_are_counted_once_and_forgotten() {
        let text = "version: 1\negress: {limits: {subdomains_per_hour: 3}}\n";
        let policy = Policy::parse(text, "p").expect("a policy");
        let session = Session::default();
        let name =
            |name: &str, seconds| session.name("a.example", name, policy.limits(), at(seconds));
        for _ in 0..5 {
            for known in ["x", "y", "z"] {
                name(known, 0).expect("within the limit");
            }
        }
        assert_eq!(name("w", 10).expect_err("a fourth").retry_seconds, 3591);
        name("x", 10).expect("a known one");
        name("w", 3600).expect("in the next hour");
    }

    #[test]
    fn memory_is_bounded() {
        let policy = Policy::balanced();
        let session = Session::default();
        for index in 0..3 * SITES_MAX {
            let site = format!("s{index}.example");
            session
                .spend(&site, Meter::Request, 1, policy.limits(), at(0))
                .ok();
            session.name(&site, "x", policy.limits(), at(0)).ok();
        }
        let state = session.lock();
        assert!(state.sites.known.len() <= SITES_MAX);
        assert_eq!(
            state.sites.names,
            state
                .sites
                .known
                .values()
                .map(|site| site.names.len())
                .sum::<usize>()
        );
    }
}
