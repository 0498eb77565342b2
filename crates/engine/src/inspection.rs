//! The order of checks, once for every adapter.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::address::AddressClass;
use crate::crossing::{Crossing, CrossingKind, Direction, Surface, SurfaceKind, Target, Time};
use crate::decide::{Bench, Docket};
use crate::finding::{Action, Class, Finding, Locus, Severity};
use crate::host::{Host, HostPattern};
use crate::joined::Joined;
use crate::policy::{Listing, Mode, Policy};
use crate::refusal::{self, Named};
use crate::rules::Rule;
use crate::scan::{Budget, BudgetSpent, Scanner, Sighting, Stream};
use crate::session::{Meter, Session};
use crate::verdict::{Fault, Permit, Refusal, Verdict};
use crate::{entropy, shape};

/// Addresses of one name that are pinned; a client tries far fewer.
const ADDRESSES_MAX: usize = 32;
/// The longest `content-encoding` that is kept: ten codings.
const ENCODING_BYTES_MAX: usize = 128;
/// The longest path that exemptions are matched against.
const PATH_BYTES_MAX: usize = 4096;
/// The longest name of a surface that a finding repeats. A longer one may be content.
const NAME_BYTES_MAX: usize = 48;

/// A compiled policy and its rules: what judges. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    scanner: Scanner,
    homes: HashMap<&'static str, Vec<HostPattern>>,
}

/// What the shell must do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// This many held stream bytes may go on. Zero for surfaces that are not streams.
    Release(usize),
    /// Keep what is held and give more.
    Hold,
    /// Find this out and call [`Inspection::answer`].
    Ask(Question),
    /// The upstream may be opened with this permit.
    Connect(Permit),
    /// [`Inspection::finish`] now returns a block.
    Stop,
}

/// What only the shell can find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// All addresses of this host.
    Resolve(Host),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, in the resolver's order.
    Addresses(Vec<IpAddr>),
}

/// One crossing being judged. Every inspection ends in [`Inspection::finish`] or
/// [`Inspection::fail`].
#[derive(Debug)]
pub struct Inspection {
    engine: Arc<Engine>,
    kind: CrossingKind,
    target: Target,
    site: Box<str>,
    /// The path, for exemptions.
    path: String,
    /// The URL as pushed: what it contains need not be scanned again.
    url: Vec<u8>,
    secret_host: bool,
    queries: Joined,
    headers: Joined,
    encoding: String,
    stream: Option<Stream>,
    budget: Budget,
    docket: Docket,
}

impl Engine {
    /// Compiles a policy. `key` keys the fingerprints of findings.
    pub fn new(policy: Policy, key: [u8; 32]) -> Self {
        let homes = Scanner::rules().iter().map(|rule| {
            let home = rule.home.iter().map(|text| HostPattern::parse(text));
            (
                rule.id,
                home.map(|pattern| pattern.expect("every rule's homes are tested to parse"))
                    .collect(),
            )
        });
        Self {
            policy,
            scanner: Scanner::new(key),
            homes: homes.collect(),
        }
    }

    /// The policy that judges.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Opens an inspection of one crossing: host lists, the shape of the name and its content are
    /// judged at once.
    pub fn open(
        self: &Arc<Self>,
        head: Crossing<'_>,
        session: &Session,
        now: Time,
    ) -> (Inspection, Step) {
        let mut inspection = Inspection {
            engine: Arc::clone(self),
            kind: head.kind,
            target: head.target.clone(),
            site: head.target.host.site(),
            path: String::new(),
            url: Vec::new(),
            secret_host: false,
            queries: Joined::default(),
            headers: Joined::default(),
            encoding: String::new(),
            stream: None,
            budget: Budget::default(),
            docket: Docket::default(),
        };
        if head.kind.direction() == Direction::Outbound {
            inspection.judge_host(session, now);
        }
        let step = inspection.step(Step::Release(0));
        (inspection, step)
    }

    pub(crate) fn is_home(&self, rule: &Rule, host: &Host, port: u16) -> bool {
        let homes = self.homes.get(rule.id);
        homes.is_some_and(|homes| homes.iter().any(|home| home.covers(host, port)))
    }
}

impl Inspection {
    /// Judges the next piece of content.
    ///
    /// For a stream ([`SurfaceKind::Body`], [`SurfaceKind::Stream`]) the shell holds the bytes and
    /// sends on only what [`Step::Release`] names, oldest first.
    pub fn push(&mut self, next: Surface<'_>, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        let mut released = 0;
        match next.kind {
            SurfaceKind::Host => self.push_host(next.bytes, now),
            SurfaceKind::Url => self.push_url(next.bytes, now),
            SurfaceKind::Path => self.push_path(next, now),
            SurfaceKind::Query => self.push_query(next, now),
            SurfaceKind::Header | SurfaceKind::Trailer => self.push_header(next, now),
            SurfaceKind::Body | SurfaceKind::Stream => {
                released = self.push_stream(next, session, now);
            }
        }
        self.step(Step::Release(released))
    }

    /// Says that everything that decides where the crossing goes has been pushed, and asks for
    /// leave to connect: [`Step::Ask`], [`Step::Connect`] or [`Step::Stop`].
    pub fn connect(&mut self, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        self.judge_joined(now);
        if !self.is_stopped() {
            self.spend(Meter::Request, 1, session, now);
        }
        if self.is_stopped() {
            return Step::Stop;
        }
        match &self.target.host {
            host if host.is_host_internal() => self.pin_host_service(),
            Host::Name(_) => Step::Ask(Question::Resolve(self.target.host.clone())),
            Host::Addr(addr) => self.pin(&[*addr]),
        }
    }

    /// Takes the answer to a [`Step::Ask`].
    pub fn answer(&mut self, answer: Answer, _session: &Session, _now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        let Answer::Addresses(addresses) = answer;
        self.pin(&addresses)
    }

    /// Ends the inspection: after it, and after the receipt, the last held bytes may go on.
    pub fn finish(mut self, _session: &Session, now: Time) -> Verdict {
        if !self.is_stopped() {
            self.judge_joined(now);
            self.finish_stream(now);
        }
        let (mode, digest) = (self.mode(), self.engine.policy.digest());
        self.docket.decide(mode, digest)
    }

    /// Ends the inspection with a fault that the shell met. Always a block.
    pub fn fail(self, fault: Fault, _session: &Session, _now: Time) -> Verdict {
        let refusal = refusal::fault(&fault, self.named());
        let (mode, digest) = (self.mode(), self.engine.policy.digest());
        self.docket.fail(refusal, mode, digest)
    }
}

/// Where it goes.
impl Inspection {
    fn judge_host(&mut self, session: &Session, now: Time) {
        let host = self.target.host.clone();
        let name = match &host {
            Host::Name(name) => &**name,
            Host::Addr(_) => "",
        };
        // What the name holds is known before any refusal could repeat it.
        self.scan_name(name, now);
        if let Some(refusal) = self.listed_refusal() {
            return self.docket.refuse(Severity::Critical, refusal);
        }
        let below = name.strip_suffix(&*self.site).unwrap_or_default();
        if below.is_empty() || self.is_stopped() {
            return;
        }
        if entropy::is_encoded_name(below) {
            self.sight(
                &shape::HOST_ENTROPY,
                SurfaceKind::Host,
                "",
                0,
                name.as_bytes(),
                now,
            );
        }
        if !self.is_stopped() && !host.is_host_internal() {
            let counted = session.name(&self.site, name, self.engine.policy.limits(), now);
            if let Err(over) = counted {
                self.docket
                    .refuse(Severity::High, refusal::over_limit(self.named(), &over));
            }
        }
    }

    /// The name as it is, and as a tunnel would spell a credential with it: in one piece, and in
    /// the capitals that names do not keep.
    fn scan_name(&mut self, name: &str, now: Time) {
        const SPLIT_BYTES_MIN: usize = 20;
        if name.is_empty() {
            return;
        }
        self.scan(SurfaceKind::Host, "", name.as_bytes(), now);
        let labels = name.strip_suffix(&*self.site).unwrap_or(name);
        if labels.len() >= SPLIT_BYTES_MIN {
            let whole: String = labels.split('.').collect();
            self.scan(SurfaceKind::Host, "", whole.as_bytes(), now);
            self.scan(
                SurfaceKind::Host,
                "",
                whole.to_ascii_uppercase().as_bytes(),
                now,
            );
        }
    }

    fn listed_refusal(&self) -> Option<Refusal> {
        let (policy, host, named) = (&self.engine.policy, &self.target.host, self.named());
        let port = match self.kind {
            CrossingKind::DnsQuery => None,
            CrossingKind::Tunnel
            | CrossingKind::TcpConnection
            | CrossingKind::HttpRequest
            | CrossingKind::HttpResponse => Some(self.target.port),
        };
        let listing = policy.listing(host, port);
        if let Listing::Denied(pattern) = listing {
            return Some(refusal::denied(named, pattern));
        }
        if host.is_host_internal() && !policy.lists_host_service(host, port) {
            return Some(refusal::host_service_not_listed(&self.target));
        }
        match (self.kind, listing) {
            (CrossingKind::TcpConnection, _) => {
                let listed = policy.allows_tcp(host, self.target.port);
                (!listed).then(|| refusal::tcp_not_allowed(named))
            }
            (_, Listing::Unlisted) if policy.mode() == Mode::Strict => {
                Some(refusal::not_allowed(named))
            }
            (_, Listing::Allowed | Listing::Unlisted | Listing::Denied(_)) => None,
        }
    }

    fn pin_host_service(&mut self) -> Step {
        let port = self.target.port;
        let loopback = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ];
        Step::Connect(Permit::new(self.target.clone(), loopback.to_vec()))
    }

    /// One address that may not be reached refuses them all: an honest name does not mix them, a
    /// rebinding one does.
    fn pin(&mut self, addresses: &[IpAddr]) -> Step {
        let addresses = addresses
            .iter()
            .take(ADDRESSES_MAX)
            .map(IpAddr::to_canonical);
        let addresses: Vec<_> = addresses.collect();
        if addresses.is_empty() {
            // Not even audit mode can dial a name that has no address.
            self.docket
                .refuse(Severity::Low, refusal::no_address(self.named()));
            return Step::Stop;
        }
        let refused = addresses
            .iter()
            .find_map(|addr| self.address_refusal(*addr));
        if let Some(refusal) = refused {
            self.docket.refuse(Severity::Critical, refusal);
        }
        let port = self.target.port;
        let pinned = addresses
            .into_iter()
            .map(|addr| SocketAddr::new(addr, port));
        let permit = Permit::new(self.target.clone(), pinned.collect());
        self.step(Step::Connect(permit))
    }

    fn address_refusal(&self, addr: IpAddr) -> Option<Refusal> {
        let (policy, host, port) = (&self.engine.policy, &self.target.host, self.target.port);
        if let Some(pattern) = policy.denied_addr(addr, port) {
            return Some(refusal::denied_address(self.named(), addr, pattern));
        }
        let class = AddressClass::of(addr);
        let permitted = class == AddressClass::Public
            || (class.is_permissible() && policy.permits_private(host, addr, port));
        (!permitted).then(|| refusal::address(self.named(), addr, class))
    }
}

/// What it holds.
impl Inspection {
    fn push_host(&mut self, raw: &[u8], now: Time) {
        let same = matches!(&self.target.host, Host::Name(name) if name.as_bytes() == raw);
        if !same {
            self.scan(SurfaceKind::Host, "", raw, now);
        }
    }

    fn push_url(&mut self, url: &[u8], now: Time) {
        let parts = shape::Parts::of(url);
        self.keep_path(parts.path(url));
        let mut wrong = Vec::new();
        let length_max = self.engine.policy.limits().url_bytes as usize;
        shape::judge(url, length_max, &mut wrong);
        for (rule, at) in wrong {
            self.sight(rule, SurfaceKind::Url, "", at, url, now);
        }
        if self.is_stopped() {
            return;
        }
        let mut found = Vec::new();
        let scanned = self.scan_into(SurfaceKind::Url, url, &mut found);
        self.settle_scan(scanned, SurfaceKind::Url);
        for sighting in found {
            let offset = usize::try_from(sighting.offset).unwrap_or(usize::MAX);
            let (kind, key) = parts.locate(url, offset);
            self.judge(sighting, kind, &shown_name(key), now);
        }
        self.url.clear();
        self.url
            .extend_from_slice(&url[..url.len().min(length_max)]);
    }

    fn keep_path(&mut self, path: &[u8]) {
        let path = &path[..path.len().min(PATH_BYTES_MAX)];
        self.path = String::from_utf8_lossy(path).into_owned();
    }

    /// Whether the scan of the URL has seen these bytes.
    fn is_seen(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(&self.url, bytes).is_some()
    }

    fn push_path(&mut self, next: Surface<'_>, now: Time) {
        if !self.is_seen(next.bytes) {
            self.keep_path(next.bytes);
            self.scan(next.kind, next.name, next.bytes, now);
        }
        let mut segments = next.bytes.split(|b| *b == b'/');
        if let Some(odd) = segments.find(|segment| entropy::is_encoded_value(segment)) {
            self.sight(&shape::PATH_ENTROPY, next.kind, "", 0, odd, now);
        }
    }

    fn push_query(&mut self, next: Surface<'_>, now: Time) {
        if !self.is_seen(next.bytes) {
            self.scan(next.kind, next.name, next.bytes, now);
        }
        self.queries.add(next.bytes);
        if !entropy::is_signature_item(next.name.as_bytes())
            && entropy::is_encoded_value(next.bytes)
        {
            self.sight(
                &shape::QUERY_ENTROPY,
                next.kind,
                next.name,
                0,
                next.bytes,
                now,
            );
        }
    }

    fn push_header(&mut self, next: Surface<'_>, now: Time) {
        if next.name.eq_ignore_ascii_case("content-encoding") && next.kind == SurfaceKind::Header {
            self.keep_encoding(next.bytes);
        }
        self.headers.add(next.bytes);
        self.scan(next.kind, next.name, next.bytes, now);
    }

    fn keep_encoding(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(&value[..value.len().min(ENCODING_BYTES_MAX)]);
        if self.encoding.len() + value.len() <= 2 * ENCODING_BYTES_MAX {
            if !self.encoding.is_empty() {
                self.encoding.push_str(", ");
            }
            self.encoding.push_str(&value);
        }
    }

    /// A credential cut over several query items or headers is whole where they meet.
    fn judge_joined(&mut self, now: Time) {
        if self.kind.direction() == Direction::Inbound {
            return;
        }
        let queries = std::mem::take(&mut self.queries);
        let headers = std::mem::take(&mut self.headers);
        for (joined, kind) in [
            (queries, SurfaceKind::Query),
            (headers, SurfaceKind::Header),
        ] {
            if joined.pieces() < 2 || self.is_stopped() {
                continue;
            }
            let mut found = Vec::new();
            let scanned = self.scan_into(kind, joined.bytes(), &mut found);
            self.settle_scan(scanned, kind);
            found.retain(|own| {
                own.rule.class == Class::Secret
                    && own.severity >= Severity::High
                    && joined.is_cut(own.offset, own.len)
                    && !self.docket.has(own.rule.id, kind)
            });
            for sighting in found {
                self.judge(sighting, kind, "", now);
            }
        }
    }

    fn push_stream(&mut self, next: Surface<'_>, session: &Session, now: Time) -> usize {
        let meter = match self.kind.direction() {
            Direction::Outbound => Meter::Upload,
            Direction::Inbound => Meter::Download,
        };
        self.spend(meter, next.bytes.len() as u64, session, now);
        if self.is_stopped() {
            return 0;
        }
        let mut stream = self
            .stream
            .take()
            .unwrap_or_else(|| self.open_stream(next.kind));
        let mut found = Vec::new();
        let mut budget = std::mem::take(&mut self.budget);
        let bench = self.bench(now);
        let holds = |own: &Sighting| {
            !self.is_audit() && bench.action(own, next.kind) == Some(Action::Block)
        };
        let released = stream.push(
            &self.engine.scanner,
            next.bytes,
            &holds,
            &mut budget,
            &mut found,
        );
        self.budget = budget;
        self.stream = Some(stream);
        for sighting in found {
            self.judge(sighting, next.kind, "", now);
        }
        match released {
            Ok(released) => released,
            Err(BudgetSpent) => {
                self.settle_scan(Err(BudgetSpent), next.kind);
                next.bytes.len()
            }
        }
    }

    fn open_stream(&self, kind: SurfaceKind) -> Stream {
        let encoding =
            (!self.encoding.is_empty() && kind == SurfaceKind::Body).then_some(&*self.encoding);
        Stream::new(kind, self.kind.direction(), encoding)
    }

    fn finish_stream(&mut self, now: Time) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let kind = match self.kind {
            CrossingKind::TcpConnection | CrossingKind::Tunnel => SurfaceKind::Stream,
            CrossingKind::DnsQuery | CrossingKind::HttpRequest | CrossingKind::HttpResponse => {
                SurfaceKind::Body
            }
        };
        let mut found = Vec::new();
        let mut budget = std::mem::take(&mut self.budget);
        let bench = self.bench(now);
        let holds =
            |own: &Sighting| !self.is_audit() && bench.action(own, kind) == Some(Action::Block);
        let ended = stream.finish(&self.engine.scanner, &holds, &mut budget, &mut found);
        self.budget = budget;
        self.settle_scan(ended, kind);
        for sighting in found {
            self.judge(sighting, kind, "", now);
        }
    }

    fn scan(&mut self, kind: SurfaceKind, name: &str, bytes: &[u8], now: Time) {
        let mut found = Vec::new();
        let scanned = self.scan_into(kind, bytes, &mut found);
        self.settle_scan(scanned, kind);
        for sighting in found {
            self.judge(sighting, kind, &shown_name(name.as_bytes()), now);
        }
    }

    fn scan_into(
        &mut self,
        kind: SurfaceKind,
        bytes: &[u8],
        found: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let direction = self.kind.direction();
        self.engine
            .scanner
            .scan(kind, direction, bytes, &mut self.budget, found)
    }

    fn settle_scan(&mut self, scanned: Result<(), BudgetSpent>, kind: SurfaceKind) {
        if scanned.is_err() {
            self.docket
                .refuse(Severity::High, refusal::work_spent(self.named(), kind));
        }
    }

    /// One of the engine's own rules has seen something.
    fn sight(
        &mut self,
        rule: &'static Rule,
        kind: SurfaceKind,
        name: &str,
        offset: usize,
        bytes: &[u8],
        now: Time,
    ) {
        let sighting = Sighting {
            rule,
            severity: rule.severity,
            offset: offset as u64,
            len: bytes.len() as u64,
            via: Vec::new(),
            fingerprint: self.engine.scanner.fingerprint(bytes),
        };
        self.judge(sighting, kind, &shown_name(name.as_bytes()), now);
    }

    fn judge(&mut self, sighting: Sighting, kind: SurfaceKind, name: &str, now: Time) {
        if sighting.rule.class == Class::Secret && kind == SurfaceKind::Host {
            self.secret_host = true;
        }
        let bench = self.bench(now);
        let Some(action) = bench.action(&sighting, kind) else {
            return;
        };
        let finding = Finding {
            rule: sighting.rule.id.into(),
            class: sighting.rule.class,
            severity: bench.severity(&sighting),
            action,
            locus: Locus {
                surface: kind,
                name: name.into(),
                offset: sighting.offset,
                via: sighting.via,
            },
            fingerprint: sighting.fingerprint,
        };
        if action == Action::Block {
            let direction = self.kind.direction();
            let refusal = refusal::content(
                sighting.rule,
                &finding,
                self.named(),
                direction,
                now.unix_seconds,
            );
            self.docket.refuse(finding.severity, refusal);
        }
        self.docket.record(finding);
    }
}

impl Inspection {
    fn spend(&mut self, meter: Meter, amount: u64, session: &Session, now: Time) {
        let spent = session.spend(&self.site, meter, amount, self.engine.policy.limits(), now);
        if let Err(over) = spent {
            self.docket
                .refuse(Severity::High, refusal::over_limit(self.named(), &over));
        }
    }

    fn bench(&self, now: Time) -> Bench<'_> {
        Bench {
            engine: &self.engine,
            direction: self.kind.direction(),
            target: &self.target,
            path: &self.path,
            now,
        }
    }

    fn named(&self) -> Named<'_> {
        Named {
            target: &self.target,
            secret_host: self.secret_host,
        }
    }

    fn mode(&self) -> Mode {
        self.engine.policy.mode()
    }

    fn is_audit(&self) -> bool {
        self.mode() == Mode::Audit
    }

    fn is_stopped(&self) -> bool {
        self.docket.is_stopped(self.mode())
    }

    fn step(&self, otherwise: Step) -> Step {
        match self.is_stopped() {
            true => Step::Stop,
            false => otherwise,
        }
    }
}

/// A surface's name as a finding may repeat it: empty where it could be content.
fn shown_name(name: &[u8]) -> String {
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']');
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME_BYTES_MAX && name.iter().all(plain) => text.to_owned(),
        Ok(_) | Err(_) => String::new(),
    }
}
