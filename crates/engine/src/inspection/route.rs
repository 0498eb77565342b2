//! Where a crossing goes: host lists, the name itself, addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Inspection, Step};
use crate::address::AddressClass;
use crate::crossing::{CrossingKind, Scheme, Surface, SurfaceKind, Time};
use crate::finding::Severity;
use crate::host::Host;
use crate::policy::{Listing, Mode};
use crate::refusal;
use crate::session::Session;
use crate::verdict::{Permit, Refusal};
use crate::{entropy, shape};

/// Addresses of one name that are pinned; a client tries far fewer.
const ADDRESSES_MAX: usize = 32;

impl Inspection {
    pub(super) fn judge_host(&mut self, session: &Session, now: Time) {
        // Who started an MCP server named it; the agent did not.
        if self.target.scheme == Scheme::Mcp || self.target.is_unknown() {
            return;
        }
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
        if !self.is_stopped() && !host.is_host_internal() {
            let limits = self.engine.policy.limits();
            let counted = session.host(&host.to_string(), limits, now);
            self.settle_over(counted.err());
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
        for (depth, label) in below.trim_end_matches('.').rsplit('.').enumerate() {
            let label = Surface {
                kind: SurfaceKind::Host,
                name: &depth.to_string(),
                bytes: label.as_bytes(),
            };
            self.trail(label, session, now);
        }
        if !self.is_stopped() && !host.is_host_internal() {
            let counted = session.name(&self.site, name, self.engine.policy.limits(), now);
            self.settle_over(counted.err());
            self.spend_labels(below.trim_end_matches('.'), session, now);
        }
    }

    /// The name as it is, and as a tunnel would spell a credential with it: in one piece, and in
    /// the capitals that names do not keep.
    pub(super) fn scan_name(&mut self, name: &str, now: Time) {
        const SPLIT_BYTES_MIN: usize = 20;
        if name.is_empty() {
            return;
        }
        self.scan(SurfaceKind::Host, "", name.as_bytes(), now);
        let labels = name.strip_suffix(&*self.site).unwrap_or(name);
        if labels.len() < SPLIT_BYTES_MIN || self.alias.is_some() {
            return;
        }
        let whole: String = labels.split('.').collect();
        self.scan(SurfaceKind::Host, "", whole.as_bytes(), now);
        if self.alias.is_none() {
            self.scan(
                SurfaceKind::Host,
                "",
                whole.to_ascii_uppercase().as_bytes(),
                now,
            );
        }
    }

    /// From here on refusals name the site, or where that holds the secret too, nothing.
    pub(super) fn hide_host(&mut self) {
        let (site, mut found) = (self.site.clone(), Vec::new());
        let scanned = self.scan_into(SurfaceKind::Host, site.as_bytes(), &mut found);
        let clean = scanned.is_ok() && found.is_empty() && self.target.host.to_string() != *site;
        self.alias = Some(match clean {
            true => format!("*.{site}"),
            false => refusal::HIDDEN_HOST.to_owned(),
        });
    }

    pub(super) fn listed_refusal(&self) -> Option<Refusal> {
        let (policy, host, named) = (&self.engine.policy, &self.target.host, self.named());
        let port = match self.kind {
            CrossingKind::DnsQuery => None,
            CrossingKind::Tunnel
            | CrossingKind::TcpConnection
            | CrossingKind::TcpResponse
            | CrossingKind::HttpRequest
            | CrossingKind::HttpResponse
            | CrossingKind::McpRequest
            | CrossingKind::McpResponse
            | CrossingKind::WsMessage
            | CrossingKind::WsReply => Some(self.target.port),
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

    pub(super) fn pin_host_service(&mut self) -> Step {
        let port = self.target.port;
        let loopback = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ];
        Step::Connect(Permit::new(self.target.clone(), loopback.to_vec(), None))
    }

    /// A name that only the proxy can resolve, and check.
    pub(super) fn leave_to_proxy(&mut self) -> Step {
        if !self.may_resolve_elsewhere() {
            return self.pin(&[]);
        }
        let (host, port) = (&self.target.host, self.target.port);
        let proxy = self.engine.policy.route(host, port, &[]);
        self.step(Step::Connect(Permit::new(
            self.target.clone(),
            Vec::new(),
            proxy,
        )))
    }

    /// One address that may not be reached refuses them all: an honest name does not mix them, a
    /// rebinding one does.
    pub(super) fn pin(&mut self, addresses: &[IpAddr]) -> Step {
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
        let proxy = self
            .engine
            .policy
            .route(&self.target.host, port, &addresses);
        let pinned = addresses
            .into_iter()
            .map(|addr| SocketAddr::new(addr, port));
        let permit = Permit::new(self.target.clone(), pinned.collect(), proxy);
        self.step(Step::Connect(permit))
    }

    pub(super) fn address_refusal(&self, addr: IpAddr) -> Option<Refusal> {
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
