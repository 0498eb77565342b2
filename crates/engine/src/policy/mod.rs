//! The compiled, immutable rules of one bottle.

mod compile;
mod date;
mod error;
mod file;
mod known;
mod proxy;
mod response;
mod tools;

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crossing::{SurfaceKind, Time};
use crate::finding::{Action, Class, Score, Severity};
use crate::host::{Host, HostPattern};
use crate::known::Asked;
use crate::tool::Terms;
use crate::verdict::Digest;

pub(crate) use date::{DAY_SECONDS, day_of};
pub use error::{PolicyError, Problem};
use file::{PassageSetting, PolicyFile, Setting, ValueSetting};
pub use proxy::UpstreamProxy;

/// Default of `egress.limits.subdomains_per_hour`: far above what one site's content network uses,
/// far below what a tunnel through names needs.
const SUBDOMAINS_PER_HOUR: u64 = 512;
/// Default of `egress.limits.hosts_per_hour`: more than an agent that reads the web meets.
const HOSTS_PER_HOUR: u64 = 4096;
/// Default of `egress.limits.url_bytes`: what common servers accept at most.
const URL_BYTES_MAX: u32 = 16_384;

/// How much is allowed that the policy does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Listed hosts only.
    Strict,
    /// Every public host that is not denied; content inspected.
    Balanced,
    /// Nothing is blocked; what would have been is recorded.
    Audit,
}

impl Mode {
    /// The stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Balanced => "balanced",
            Self::Audit => "audit",
        }
    }
}

/// What to do with a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsAction {
    /// Terminate it and inspect the content.
    Intercept,
    /// Relay it unread.
    Passthrough,
}

/// How far a receipt must have got before its crossing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Into the writer's queue.
    Buffered,
    /// Written to the file; it survives the gate's death.
    Written,
    /// Synced to the disk; it survives the machine's.
    Synced,
}

/// How receipts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// How far a receipt must have got before its crossing goes on.
    pub durability: Durability,
    /// Whether nothing crosses when receipts cannot be written.
    pub required: bool,
}

/// The policies that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Listed hosts only, every finding refused.
    Strict,
    /// Every public host; leaks, attacks and tunnels refused.
    Balanced,
    /// Nothing refused, everything recorded.
    Audit,
}

impl Preset {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Balanced, Self::Audit];

    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The name that `--policy` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Balanced => "balanced",
            Self::Audit => "audit",
        }
    }

    /// The policy file as it is built in.
    pub fn text(self) -> &'static str {
        match self {
            Self::Strict => include_str!("presets/strict.yaml"),
            Self::Balanced => include_str!("presets/balanced.yaml"),
            Self::Audit => include_str!("presets/audit.yaml"),
        }
    }
}

/// The compiled policy of one bottle.
#[derive(Debug, Clone)]
pub struct Policy {
    file: PolicyFile,
    egress: Egress,
    intercept: bool,
    passthrough: Vec<HostPattern>,
    client: Vec<ClientCertificate>,
    homes: Vec<(Box<str>, Vec<HostPattern>)>,
    known: known::Sources,
    terms: Terms,
    /// The hosts of each entry of `inspect.at`.
    at: Vec<HostPattern>,
    exemptions: Vec<Exemption>,
    digest: Digest,
}

#[derive(Debug, Clone)]
struct Egress {
    allow: Vec<HostPattern>,
    deny: Vec<HostPattern>,
    tcp: Vec<HostPattern>,
    private: Vec<HostPattern>,
    limits: Limits,
    proxy: Option<Arc<UpstreamProxy>>,
}

/// A certificate that is shown to upstreams which ask for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The upstreams.
    pub hosts: HostPattern,
    /// The file of the certificate, as the policy writes its path.
    pub cert: Box<str>,
    /// The file of its key.
    pub key: Box<str>,
}

/// Rates and budgets; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) site: Window,
    pub(crate) session: Window,
    pub(crate) subdomains_per_hour: Option<u64>,
    pub(crate) hosts_per_hour: Option<u64>,
    pub(crate) url_bytes: u32,
}

/// What may pass in a minute, of encoded bytes in an hour or a day; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) requests: Option<u64>,
    pub(crate) upload: Option<u64>,
    pub(crate) download: Option<u64>,
    pub(crate) encoded: Option<u64>,
    pub(crate) encoded_text: Option<u64>,
    pub(crate) encoded_labels: Option<u64>,
}

/// A finding that is let through.
#[derive(Debug, Clone)]
struct Exemption {
    rule: Box<str>,
    host: HostPattern,
    path: Option<Box<str>>,
    surface: Option<SurfaceKind>,
    /// The first second at which it no longer holds.
    until: u64,
    expires: Box<str>,
    place: Problem,
}

/// What the lists say of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing<'a> {
    /// By this pattern of `egress.deny`.
    Denied(&'a HostPattern),
    /// By `egress.allow`, or by naming a service of the host in `egress.private`.
    Allowed,
    /// By neither.
    Unlisted,
}

/// Where a finding was made, as exemptions see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a Host,
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) surface: SurfaceKind,
}

impl Policy {
    /// A built-in policy.
    pub fn preset(preset: Preset) -> Self {
        Self::parse(preset.text(), preset.name()).expect("each built-in policy is tested to parse")
    }

    /// The built-in `balanced` preset.
    pub fn balanced() -> Self {
        Self::preset(Preset::Balanced)
    }

    /// Parses and compiles a policy file. `file` is its name in errors.
    ///
    /// # Errors
    /// Everything wrong with it: unknown or duplicate keys, bad patterns, contradictions, each
    /// with its place and, where one is near, what was probably meant.
    pub fn parse(text: &str, file: &str) -> Result<Self, PolicyError> {
        compile::compile(text, file)
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.file.mode
    }

    /// What to do with TLS to a host.
    pub fn tls(&self, host: &Host, port: u16) -> TlsAction {
        match self.intercept && !covers(&self.passthrough, host, port) {
            true => TlsAction::Intercept,
            false => TlsAction::Passthrough,
        }
    }

    /// Whether raw TCP may be spoken to a host and port.
    pub fn allows_tcp(&self, host: &Host, port: u16) -> bool {
        covers(&self.egress.tcp, host, port) || self.lists_host_service(host, Some(port))
    }

    /// The proxy that connections go through.
    pub fn upstream_proxy(&self) -> Option<&Arc<UpstreamProxy>> {
        self.egress.proxy.as_ref()
    }

    /// This policy, with connections going through the proxy at `url`, as `egress.proxy` has it. What
    /// else stands there stays; `login` and `no_proxy` replace it where they are given.
    ///
    /// # Errors
    /// As [`Policy::parse`]; the places are in `--upstream-proxy`.
    pub fn behind(
        self,
        url: &str,
        login: Option<&str>,
        no_proxy: &[String],
    ) -> Result<Self, PolicyError> {
        compile::behind(self.file, url, login, no_proxy)
    }

    /// The certificates that are shown to upstreams.
    pub fn client_certificates(&self) -> &[ClientCertificate] {
        &self.client
    }

    /// The proxy by which a far end is reached, or none.
    pub(crate) fn route(
        &self,
        host: &Host,
        port: u16,
        addresses: &[IpAddr],
    ) -> Option<Arc<UpstreamProxy>> {
        proxy::route(self.egress.proxy.as_ref(), host, port, addresses)
    }

    /// How receipts are kept.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            durability: self.file.evidence.durability,
            required: self.file.evidence.required,
        }
    }

    /// The SHA-256 of the policy's canonical form: the same for two files that mean the same and
    /// list things in the same order.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The whole policy with every default filled in, as YAML.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(&self.file).expect("a policy holds only what YAML can say")
    }

    /// The JSON Schema (2020-12) of the policy file.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(PolicyFile).to_value()
    }

    /// What is probably not meant, though it is no error: exemptions that have expired by
    /// `unix_seconds`, a strict mode that allows nothing, and switching off what cannot be.
    pub fn warnings(&self, unix_seconds: u64) -> Vec<Problem> {
        let expired = self
            .exemptions
            .iter()
            .filter(|own| own.until <= unix_seconds);
        let mut warnings: Vec<_> = expired.map(Exemption::expired_warning).collect();
        let egress = &self.egress;
        let closed = egress.allow.is_empty() && egress.tcp.is_empty() && egress.private.is_empty();
        if self.mode() == Mode::Strict && closed {
            warnings.push(Problem {
                file: "egress.allow".into(),
                line: 0,
                column: 0,
                what: "the mode is `strict` and no host is listed, so nothing can be reached"
                    .into(),
                suggestion: Some("list hosts in `egress.allow`".into()),
            });
        }
        if self.action(Class::Secret, Severity::Critical) < Some(Action::Redact) {
            warnings.push(self.floor_warning());
        }
        warnings
    }

    fn floor_warning(&self) -> Problem {
        let floor = crate::rule_ids::floor().join(", ");
        Problem {
            file: "inspect.secret".into(),
            line: 0,
            column: 0,
            what: format!("no setting reaches the floor rules: {floor}"),
            suggestion: Some("they block all the same".into()),
        }
    }

    /// What the lists say. Without a port, for a DNS question: denied where every port is, allowed
    /// where any port is.
    pub(crate) fn listing(&self, host: &Host, port: Option<u16>) -> Listing<'_> {
        let Egress {
            allow, deny, tcp, ..
        } = &self.egress;
        let denies = |pattern: &&HostPattern| match port {
            Some(port) => pattern.covers(host, port),
            None => pattern.port().is_none() && pattern.covers_host(host),
        };
        if let Some(pattern) = deny.iter().find(denies) {
            return Listing::Denied(pattern);
        }
        let allowed = match port {
            Some(port) => covers(allow, host, port),
            None => allow
                .iter()
                .chain(tcp)
                .any(|pattern| pattern.covers_host(host)),
        };
        match allowed || self.lists_host_service(host, port) {
            true => Listing::Allowed,
            false => Listing::Unlisted,
        }
    }

    /// Whether `egress.private` names this service of the host, `host.internal:PORT`; or, without
    /// a port, any.
    pub(crate) fn lists_host_service(&self, host: &Host, port: Option<u16>) -> bool {
        let lists = |pattern: &HostPattern| match port {
            Some(port) => pattern.covers(host, port),
            None => pattern.covers_host(host),
        };
        host.is_host_internal() && self.egress.private.iter().any(lists)
    }

    /// Whether a host may be at this address though it is not public.
    pub(crate) fn permits_private(&self, host: &Host, addr: IpAddr, port: u16) -> bool {
        let private = &self.egress.private;
        covers(private, host, port) || private.iter().any(|own| own.covers_addr(addr, port))
    }

    /// The pattern of `egress.deny` that covers an address.
    pub(crate) fn denied_addr(&self, addr: IpAddr, port: u16) -> Option<&HostPattern> {
        self.egress
            .deny
            .iter()
            .find(|own| own.covers_addr(addr, port))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.egress.limits
    }

    /// What to make of a finding; `None` when its class is not looked for.
    pub(crate) fn action(&self, class: Class, severity: Severity) -> Option<Action> {
        let is_high = severity >= Severity::High;
        let inspect = &self.file.inspect;
        match class {
            Class::Secret => of_value(inspect.secret, is_high),
            Class::Personal => of_value(inspect.personal, is_high),
            Class::Injection => of_passage(inspect.injection, is_high),
            Class::Entropy => of_class(inspect.entropy, is_high),
            Class::Shape => of_class(inspect.shape, is_high),
            Class::Opaque => of_class(inspect.opaque, is_high),
            // Each rule of tools has an action of its own.
            Class::Tool => Some(Action::Block),
            Class::Media => response::of_media(inspect.media, severity),
        }
    }

    /// Whether values are to be replaced on their way out.
    pub(crate) fn redacts(&self) -> bool {
        self.redacts_secrets() || self.file.inspect.personal == ValueSetting::Redact
    }

    /// Whether secrets are to be replaced, known ones both ways.
    pub(crate) fn redacts_secrets(&self) -> bool {
        self.file.inspect.secret == ValueSetting::Redact
    }

    /// Whether placeholders that come back are to be replaced by what they stand for.
    pub(crate) fn restores(&self) -> bool {
        self.file.inspect.redact_restore
    }

    /// Whether instructions are to be cut out of what comes in.
    pub(crate) fn strips(&self) -> bool {
        self.file.inspect.injection == PassageSetting::Strip
    }

    /// Whether a score is worth a record.
    pub(crate) fn records(&self, score: &Score) -> bool {
        score.points >= self.file.inspect.injection_score.0.value.warn
    }

    /// How bad a finding is that has a score.
    pub(crate) fn severity_of(&self, score: &Score) -> Severity {
        let is_high = score.points >= self.file.inspect.injection_score.0.value.block;
        match is_high && !score.is_cited {
            true => Severity::High,
            false => Severity::Medium,
        }
    }

    /// Whether the policy adds a host to a rule's homes.
    pub(crate) fn adds_home(&self, rule: &str, host: &Host, port: u16) -> bool {
        let mut homes = self.homes.iter();
        homes.any(|(own, hosts)| **own == *rule && covers(hosts, host, port))
    }

    /// Whether the policy adds a host to a rule's homes, at some port.
    pub(crate) fn has_home(&self, rule: &str, host: &Host) -> bool {
        let covers = |hosts: &[HostPattern]| hosts.iter().any(|home| home.covers_host(host));
        let mut homes = self.homes.iter();
        homes.any(|(own, hosts)| **own == *rule && covers(hosts))
    }

    /// Whether, and why, the value of a variable of `carboy`'s environment is a secret.
    pub fn knows_variable(&self, name: &str) -> Option<Asked> {
        self.known.asks_for(name)
    }

    /// The variables that the policy names in full as secrets.
    pub fn known_variables(&self) -> impl Iterator<Item = &str> {
        self.known.variables()
    }

    /// The files whose values are secrets, as the policy writes their paths.
    pub fn known_files(&self) -> impl Iterator<Item = &str> {
        self.known.files.iter().map(|path| &**path)
    }

    /// Whether `carboy run` plants decoys in the bottle.
    pub fn plants_canaries(&self) -> bool {
        self.file.inspect.canary
    }

    /// Whether a known secret may go to a host.
    pub(crate) fn is_known_home(&self, name: &str, host: &Host, port: u16) -> bool {
        let mut homes = self.known.homes.iter();
        homes.any(|(own, hosts)| **own == *name && covers(hosts, host, port))
    }

    /// What may be called, and what becomes of what calls do.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether an exemption that still holds covers a rule at a place.
    pub(crate) fn exempts(&self, rule: &str, place: Place<'_>, now: Time) -> bool {
        self.exemptions
            .iter()
            .any(|own| own.covers(rule, place, now))
    }
}

fn of_class(setting: Setting, is_high: bool) -> Option<Action> {
    match setting {
        Setting::Block => Some(Action::Block),
        Setting::BlockHigh if is_high => Some(Action::Block),
        Setting::BlockHigh | Setting::Warn => Some(Action::Warn),
        Setting::Off => None,
    }
}

fn of_value(setting: ValueSetting, is_high: bool) -> Option<Action> {
    match setting {
        ValueSetting::Block => Some(Action::Block),
        ValueSetting::BlockHigh if is_high => Some(Action::Block),
        ValueSetting::Redact if is_high => Some(Action::Redact),
        ValueSetting::BlockHigh | ValueSetting::Redact | ValueSetting::Warn => Some(Action::Warn),
        ValueSetting::Off => None,
    }
}

fn of_passage(setting: PassageSetting, is_high: bool) -> Option<Action> {
    match setting {
        PassageSetting::Block => Some(Action::Block),
        PassageSetting::BlockHigh if is_high => Some(Action::Block),
        PassageSetting::Strip if is_high => Some(Action::Strip),
        PassageSetting::BlockHigh | PassageSetting::Strip | PassageSetting::Warn => {
            Some(Action::Warn)
        }
        PassageSetting::Off => None,
    }
}

fn covers(patterns: &[HostPattern], host: &Host, port: u16) -> bool {
    patterns.iter().any(|pattern| pattern.covers(host, port))
}

impl Exemption {
    fn covers(&self, rule: &str, place: Place<'_>, now: Time) -> bool {
        *self.rule == *rule
            && now.unix_seconds < self.until
            && self.surface.is_none_or(|own| own == place.surface)
            && self.host.covers(place.host, place.port)
            && self
                .path
                .as_deref()
                .is_none_or(|own| path_covers(own, place.path))
    }

    fn expired_warning(&self) -> Problem {
        let mut place = self.place.clone();
        let (rule, expires) = (&self.rule, &self.expires);
        place.what = format!("the exemption of `{rule}` ended with {expires} and does nothing now");
        place.suggestion = Some("remove it, or look again whether it is still needed".into());
        place
    }
}

fn path_covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}
