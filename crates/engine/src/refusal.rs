//! Refusals in words: what was seen, where, and the exact policy lines that would allow it.

use std::net::IpAddr;

use crate::address::AddressClass;
use crate::crossing::{Direction, SurfaceKind, Target};
use crate::decide::Astray;
use crate::finding::{Class, Finding, Locus, Severity};
use crate::host::HostPattern;
use crate::inspection::shown_name;
use crate::policy::{DAY_SECONDS, day_of};
use crate::rules::{Origin, Rule};
use crate::session::OverLimit;
use crate::tool::Spent;
use crate::verdict::{Fault, Objection, Reason, Refusal, Retry, Ruling};

/// How long the exemption that a remedy proposes lasts.
const EXEMPTION_DAYS: u64 = 30;

/// What stands for a host whose whole name holds a secret. No policy can list it.
pub(crate) const HIDDEN_HOST: &str = "HOST-THAT-HOLDS-A-SECRET";

/// A crossing's far end as refusals name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) target: &'a Target,
    /// What to say instead of a host name that holds a secret: a pattern that covers it.
    pub(crate) alias: Option<&'a str>,
}

impl Named<'_> {
    /// In words, and as a pattern in a policy line.
    fn host(&self) -> String {
        self.alias
            .map_or_else(|| self.target.host.to_string(), str::to_owned)
    }

    fn host_and_port(&self) -> String {
        format!("{}:{}", self.host(), self.target.port)
    }
}

fn refusal(reason: Reason, rule: &str, message: String, remedy: String) -> Refusal {
    Refusal {
        reason,
        message,
        rule: rule.into(),
        locus: None,
        remedy,
        retry: Retry::Never,
    }
}

pub(crate) fn denied(named: Named<'_>, pattern: &HostPattern) -> Refusal {
    let message = format!("{} is on the deny list, by `{pattern}`", named.host());
    let remedy = format!("remove `{pattern}` from `egress.deny` in the policy");
    refusal(Reason::HostDenied, "egress.deny", message, remedy)
}

pub(crate) fn not_allowed(named: Named<'_>) -> Refusal {
    let message = format!(
        "{} is not on the allow list, and the mode is strict",
        named.host()
    );
    let remedy = format!(
        "add to the policy:\negress:\n  allow: [\"{}\"]",
        named.host()
    );
    refusal(Reason::HostNotAllowed, "egress.allow", message, remedy)
}

pub(crate) fn tcp_not_allowed(named: Named<'_>) -> Refusal {
    let message = format!(
        "raw TCP to {} is not listed in the policy",
        named.host_and_port()
    );
    let (host, port) = (named.host(), named.target.port);
    let remedy = format!("add to the policy:\negress:\n  tcp: [\"{host}:{port}\"]");
    refusal(Reason::HostNotAllowed, "egress.tcp", message, remedy)
}

pub(crate) fn host_service_not_listed(target: &Target) -> Refusal {
    let message = format!(
        "the host's own port {} is not listed in the policy",
        target.port
    );
    let remedy = format!(
        "add to the policy:\negress:\n  private: [\"{}:{}\"]",
        target.host, target.port
    );
    refusal(Reason::AddressRefused, "egress.private", message, remedy)
}

pub(crate) fn address(named: Named<'_>, addr: IpAddr, class: AddressClass) -> Refusal {
    let message = match named.target.host {
        crate::host::Host::Addr(_) => format!("{addr} is {} address", article(class)),
        crate::host::Host::Name(_) => {
            format!("{} is at {addr}, {} address", named.host(), article(class))
        }
    };
    let remedy = match class.is_permissible() {
        true => format!("add to the policy:\negress:\n  private: [\"{addr}\"]"),
        false => format!("no policy can allow {} address", article(class)),
    };
    refusal(Reason::AddressRefused, "egress.private", message, remedy)
}

fn article(class: AddressClass) -> String {
    let class = class.to_string();
    match class.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {class}"),
        false => format!("a {class}"),
    }
}

pub(crate) fn denied_address(named: Named<'_>, addr: IpAddr, pattern: &HostPattern) -> Refusal {
    let message = format!(
        "{} is at {addr}, which `{pattern}` on the deny list covers",
        named.host()
    );
    let remedy = format!("remove `{pattern}` from `egress.deny` in the policy");
    refusal(Reason::HostDenied, "egress.deny", message, remedy)
}

pub(crate) fn over_limit(named: Named<'_>, over: &OverLimit) -> Refusal {
    let (key, limit) = (&over.key, over.limit);
    let message = format!(
        "the budget `{key}` of {limit} is spent; the last was to {}",
        named.host()
    );
    let remedy = format!(
        "wait {} s, or, if this is honest work, raise it in the policy:\n{}",
        over.retry_seconds,
        raised(key, limit.saturating_mul(2))
    );
    let mut refusal = refusal(Reason::Budget, key, message, remedy);
    refusal.retry = Retry::After(over.retry_seconds);
    refusal
}

/// The lines of a policy that set a key, each part of which is a map in the one before.
fn raised(key: &str, value: u64) -> String {
    let parts = key.split('.').enumerate();
    let mut lines: Vec<_> = parts
        .map(|(depth, part)| format!("{}{part}:", "  ".repeat(depth)))
        .collect();
    if let Some(last) = lines.last_mut() {
        last.push_str(&format!(" {value}"));
    }
    lines.join("\n")
}

pub(crate) fn work_spent(named: Named<'_>, kind: SurfaceKind) -> Refusal {
    let message = format!(
        "the {} for {} is encoded so deeply that judging it would cost too much",
        kind.as_str(),
        named.host()
    );
    let remedy = "send it in smaller pieces, or with fewer layers of encoding".to_owned();
    refusal(Reason::InspectionBudget, "", message, remedy)
}

/// A response of a content type that the policy does not want, by one of its keys.
pub(crate) fn content_type(named: Named<'_>, kind: Option<&str>, key: &str) -> Refusal {
    let host = named.host();
    let shown = kind
        .map(|kind| shown_name(kind.as_bytes()))
        .unwrap_or_default();
    let (what, pattern) = match shown.is_empty() {
        true => ("content of no known type".to_owned(), "*/*"),
        false => (format!("content of the type {shown}"), &*shown),
    };
    let message = format!("{what} from {host}, by `{key}`");
    let remedy = format!(
        "if it is wanted, add to the policy, before other lines for this host:\n\
         inspect:\n  at:\n    - {{host: \"{host}\", response: {{allow: [\"{pattern}\"]}}}}"
    );
    refusal(Reason::Media, key, message, remedy)
}

/// Content that is to be rewritten, and cannot be read.
pub(crate) fn cannot_rewrite(named: Named<'_>) -> Refusal {
    let message = format!(
        "content of {} to be rewritten that cannot be read",
        named.host()
    );
    let remedy = "ask for it without compression (`accept-encoding: identity`)".to_owned();
    refusal(Reason::Opaque, "", message, remedy)
}

/// A response that is longer than the policy wants.
pub(crate) fn too_long(named: Named<'_>, limit: u64) -> Refusal {
    let host = named.host();
    let message = format!("content of more than {limit} bytes from {host}");
    let remedy = format!(
        "ask for a part of it, or add to the policy, before other lines for this host:\n\
         inspect:\n  at:\n    - {{host: \"{host}\", response: {{bytes: {}}}}}",
        limit.saturating_mul(2)
    );
    refusal(Reason::Media, "inspect.response.bytes", message, remedy)
}

/// How content went.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Which way.
    pub(crate) direction: Direction,
    /// What is wrong with a credential's way home.
    pub(crate) astray: Option<Astray>,
    /// The path as an exemption may name it; empty where there is none.
    pub(crate) path: String,
    /// Whether what was found is an example that documentation prints.
    pub(crate) is_example: bool,
}

/// A finding that blocks.
pub(crate) fn content(
    rule: &Rule,
    finding: &Finding,
    named: Named<'_>,
    way: &Way,
    unix_seconds: u64,
) -> Refusal {
    let to = match way.direction {
        Direction::Outbound => "on its way to",
        Direction::Inbound => "on its way in from",
    };
    let port = named.target.port;
    let but = match way.astray {
        None => String::new(),
        Some(Astray::ClearText) => ", its home, but over clear-text HTTP".to_owned(),
        Some(Astray::Port) => format!(", its home, but to port {port}"),
        Some(Astray::Surface) => ", its home, but in another place than it belongs".to_owned(),
    };
    let example = match way.is_example {
        true => ", an example of documentation",
        false => "",
    };
    let (title, locus, host) = (rule.title, &finding.locus, named.host());
    let message = format!("{title}{example} in {locus}, {to} {host}{but}");
    let mut refusal = refusal(reason(rule.class), rule.id, message, String::new());
    refusal.remedy = content_remedy(rule, finding, named, way, unix_seconds);
    refusal.locus = Some(finding.locus.clone());
    refusal
}

/// A known value that blocks: a secret of the user's own, or a canary.
pub(crate) fn known(
    rule: &Rule,
    name: &str,
    finding: &Finding,
    named: Named<'_>,
    way: &Way,
) -> Refusal {
    let to = match way.direction {
        Direction::Outbound => "on its way to",
        Direction::Inbound => "on its way in from",
    };
    let (title, locus, host) = (rule.title, &finding.locus, named.host());
    let message = format!("{title} {name} in {locus}, {to} {host}");
    let remedy = match (rule.origin, named.alias) {
        (Origin::Floor, _) => {
            "no policy can allow this: nothing honest reads a decoy; look at what \
                               the command did before it"
                .to_owned()
        }
        (Origin::Builtin, Some(_)) => "take it out of the host name".to_owned(),
        (Origin::Builtin, None) => format!(
            "if {host} is where it belongs, add to the policy:\n\
             inspect:\n  known:\n    homes:\n      \"{name}\": [\"{host}\"]"
        ),
    };
    let mut refusal = refusal(reason(rule.class), rule.id, message, remedy);
    refusal.locus = Some(finding.locus.clone());
    refusal
}

fn reason(class: Class) -> Reason {
    match class {
        Class::Secret => Reason::Secret,
        Class::Personal => Reason::Personal,
        Class::Injection => Reason::Injection,
        Class::Entropy => Reason::Entropy,
        Class::Shape => Reason::Shape,
        Class::Opaque => Reason::Opaque,
        Class::Tool => Reason::Tool,
        Class::Media => Reason::Media,
    }
}

fn content_remedy(
    rule: &Rule,
    finding: &Finding,
    named: Named<'_>,
    way: &Way,
    unix_seconds: u64,
) -> String {
    if rule.origin == Origin::Floor && !way.is_example {
        return "no policy can allow this: take it out of what is sent".to_owned();
    }
    let (id, host, port) = (rule.id, named.host(), named.target.port);
    if host == HIDDEN_HOST {
        return "no policy can list such a host: take it out of the name".to_owned();
    }
    if matches!(rule.class, Class::Opaque | Class::Media) {
        let class = rule.class.as_str();
        let how = match rule.class {
            Class::Opaque => "may pass unread",
            _ => "may be what it is",
        };
        return format!(
            "if content of {host} {how}, add to the policy:\n\
             inspect:\n  at:\n    - {{host: \"{host}\", {class}: warn}}"
        );
    }
    if way.is_example && named.alias.is_none() {
        return example_remedy(&host);
    }
    let surface = finding.locus.surface;
    let expires = day_of(unix_seconds + EXEMPTION_DAYS * DAY_SECONDS);
    let path = match way.path.is_empty() {
        true => String::new(),
        false => format!("path: \"{}\", ", way.path),
    };
    let exempt = format!(
        "inspect:\n  exempt:\n    - {{rule: {id}, host: \"{host}\", {path}surface: {}, \
         reason: \"SAY WHY\", expires: {expires}}}",
        surface.as_str()
    );
    let is_at = |place: &str| format!("inspect:\n  homes:\n    {id}: [\"{place}\"]");
    let may_add = may_add_home(surface) || rule.home_in.contains(&surface);
    let may_have_home = rule.class == Class::Secret && may_add && named.alias.is_none();
    match way.astray.filter(|_| named.alias.is_none()) {
        Some(Astray::Surface) => format!(
            "send it in {}, or, if it is no secret, add to the policy:\n{exempt}",
            places(rule)
        ),
        Some(Astray::ClearText) if !may_have_home => {
            format!("send it over https, in {}", places(rule))
        }
        Some(Astray::ClearText) => format!(
            "send it over https, or, if no one on the way can read it, add to the policy:\n{}",
            is_at(&format!("{host}:{port}"))
        ),
        Some(Astray::Port) if may_have_home => format!(
            "send it to a port that is its home, or, if port {port} is one too, add to the policy:\n{}",
            is_at(&format!("{host}:{port}"))
        ),
        None if may_have_home => format!(
            "if {host} is where this credential belongs, add to the policy:\n{}\n\
             or, if it is no secret:\n{exempt}",
            is_at(&host)
        ),
        Some(Astray::Port) | None => {
            format!("if this is no leak and no attack, add to the policy:\n{exempt}")
        }
    }
}

/// For an example that documentation prints.
fn example_remedy(host: &str) -> String {
    format!(
        "if {host} may be sent what documentation prints, add to the policy:\n\
         egress:\n  allow: [\"{host}\"]"
    )
}

/// Whether the policy may let a credential go home in a place where the rule does not expect it: a
/// header of any name, or what a tool is called with.
pub(crate) fn may_add_home(surface: SurfaceKind) -> bool {
    matches!(
        surface,
        SurfaceKind::Header | SurfaceKind::Argument | SurfaceKind::WsMessage
    )
}

/// Where a credential may go home, in words.
fn places(rule: &Rule) -> String {
    let places = rule.home_in.iter().map(|kind| match kind {
        SurfaceKind::Header => "a header",
        SurfaceKind::Query => "a query item",
        SurfaceKind::Path => "the path",
        SurfaceKind::Body => "the body",
        SurfaceKind::WsMessage => "a WebSocket message",
        SurfaceKind::Host
        | SurfaceKind::Url
        | SurfaceKind::Trailer
        | SurfaceKind::Stream
        | SurfaceKind::Tool
        | SurfaceKind::Argument
        | SurfaceKind::Call
        | SurfaceKind::Message
        | SurfaceKind::Definition => kind.as_str(),
    });
    places.collect::<Vec<_>>().join(" or ")
}

/// What the shell met.
pub(crate) fn fault(fault: &Fault, named: Named<'_>) -> Refusal {
    let host = named.host();
    let (reason, message, remedy, retry) = match fault {
        Fault::Malformed(how) => (
            Reason::Malformed,
            format!("the protocol was broken: {how}"),
            "mend what sends it; no policy allows broken framing",
            Retry::Never,
        ),
        Fault::TargetMismatch { first, second } => (
            Reason::TargetMismatch,
            format!("two names for one target disagree: {first} and {second}"),
            "name the same host everywhere; no policy allows fronting",
            Retry::Never,
        ),
        Fault::Unsupported(what) => (
            Reason::Unsupported,
            format!("not carried: {what}"),
            "use plain HTTP requests, or list the host in `tls.passthrough` to relay it unread",
            Retry::Never,
        ),
        Fault::Unresolved(why) => (
            Reason::Unresolved,
            format!("{host} could not be resolved: {why}"),
            "check the name, and this machine's resolver",
            Retry::Maybe,
        ),
        Fault::Upstream(why) => (
            Reason::Upstream,
            format!("no good answer from {host}: {why}"),
            "try again; the fault is the far end's or the network's",
            Retry::Maybe,
        ),
        Fault::UpstreamCertificate(why) => (
            Reason::UpstreamCertificate,
            format!("the certificate of {host} could not be verified: {why}"),
            "if its authority is your own, give it with `--upstream-ca FILE`",
            Retry::Never,
        ),
        Fault::UpstreamTimeout(why) => (
            Reason::UpstreamTimeout,
            format!("{host} did not answer in time: {why}"),
            "try again",
            Retry::Maybe,
        ),
        Fault::Dropped => (
            Reason::Dropped,
            "the crossing was dropped half-way".to_owned(),
            "try again",
            Retry::Maybe,
        ),
        Fault::Evidence(why) => (
            Reason::Evidence,
            format!("the receipt could not be written: {why}"),
            "make the state directory writable; nothing crosses without a receipt",
            Retry::Maybe,
        ),
        Fault::State(why) => (
            Reason::State,
            format!("what is kept over sessions could not be read or written: {why}"),
            "mend the file, or make the state directory writable",
            Retry::Never,
        ),
    };
    Refusal {
        retry,
        ..refusal(reason, "", message, remedy.to_owned())
    }
}

/// What a protocol's state tells against content. A tool's name is shown as far as it is a plain word.
pub(crate) fn objection(objection: &Objection, named: Named<'_>) -> Refusal {
    let host = named.host();
    let shown = |tool: &str| match shown_name(tool.as_bytes()) {
        name if name.is_empty() => "with an unusual name".to_owned(),
        name => format!("`{name}`"),
    };
    let (reason, message, remedy) = match objection {
        Objection::Unsolicited => (
            Reason::Unsolicited,
            format!("an answer that nobody asked for, to or from {host}"),
            "mend what sends it: each request is answered once, under its own id".to_owned(),
        ),
        Objection::ToolUnlisted { tool } => (
            Reason::ToolUnlisted,
            format!(
                "a call of the tool {}, which {host} does not list",
                shown(tool)
            ),
            "call a tool that the server lists; no policy allows another".to_owned(),
        ),
        Objection::ToolChanged { tool, server } => (
            Reason::ToolChanged,
            format!("the tool {} of {server} is not what it was", shown(tool)),
            format!(
                "see the change with `carboy mcp tools diff {server}`, and if it is right, \
                 `carboy mcp tools accept {server}`"
            ),
        ),
        Objection::ToolLookalike { tool, like, server } => {
            let of = server.as_deref().unwrap_or(&host);
            (
                Reason::ToolLookalike,
                format!(
                    "the tool {} of {host} passes for {} of {of}",
                    shown(tool),
                    shown(like)
                ),
                format!("rename one of them, or serve {host} without the other"),
            )
        }
    };
    refusal(reason, "", message, remedy)
}

/// A call, as far as refusals may show it: a name that could be content is empty.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) server: String,
    pub(crate) tool: String,
}

impl Called {
    /// In words.
    fn named(&self) -> String {
        match self.tool.is_empty() {
            true => format!("a tool of {}", self.server),
            false => format!("the tool {} of {}", self.tool, self.server),
        }
    }

    /// As a pattern in a policy line.
    fn pattern(&self) -> String {
        match self.tool.is_empty() {
            true => format!("{}/*", self.server),
            false => format!("{}/{}", self.server, self.tool.replace('/', ":")),
        }
    }
}

/// A rule of tools that a call breaks.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) id: Box<str>,
    pub(crate) title: String,
    /// The command that does; empty for the tool itself.
    pub(crate) command: String,
    pub(crate) severity: Severity,
}

pub(crate) fn tool_denied(called: Called, pattern: &str) -> Refusal {
    let message = format!("{} may not be called, by `{pattern}`", called.named());
    let remedy = format!("remove `{pattern}` from `tools.deny` in the policy");
    refusal(Reason::Tool, "tools.deny", message, remedy)
}

pub(crate) fn tool_not_allowed(called: Called) -> Refusal {
    let message = format!("{} is not on the list of tools", called.named());
    let remedy = format!(
        "add to the policy:\ntools:\n  allow: [\"{}\"]",
        called.pattern()
    );
    refusal(Reason::Tool, "tools.allow", message, remedy)
}

/// Why a call that breaks a rule does not pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why<'a> {
    Blocked,
    /// It asks for a person's leave, of which this became.
    Asked(Option<&'a Ruling>),
    /// No safer command was found that surely does the same.
    CannotRewrite,
}

/// A call that breaks a rule, or ends a chain. Only a command's name is shown, and only a plain one.
pub(crate) fn rule_broken(called: Called, broken: &Broken, locus: &Locus, why: Why<'_>) -> Refusal {
    const COMMAND_BYTES_MAX: usize = 24;
    let is_plain = |b: u8| b.is_ascii_lowercase() || b"-_.()".contains(&b);
    let command = &broken.command;
    let is_shown =
        !command.is_empty() && command.len() <= COMMAND_BYTES_MAX && command.bytes().all(is_plain);
    let by = if is_shown {
        format!(" (`{command}`)")
    } else {
        String::new()
    };
    let so = so(why);
    let message = format!("{}{by} by {}{so}", broken.title, called.named());
    let remedy = format!(
        "{}if this tool may do that, add to the policy:\ntools:\n  scoped:\n    - tools: [\"{}\"]\n      rules: {{{}: warn}}",
        instead(why),
        called.pattern(),
        broken.id
    );
    let mut refusal = refusal(Reason::Tool, &broken.id, message, remedy);
    refusal.locus = Some(locus.clone());
    refusal
}

/// What is said after what a call does.
fn so(why: Why<'_>) -> &'static str {
    match why {
        Why::Blocked => "",
        Why::CannotRewrite => ", which could not be rewritten to the safer command",
        Why::Asked(None) => ", which asks for a person's leave",
        Why::Asked(Some(ruling)) => match ruling {
            Ruling::Allowed(_) => ", which a person let pass",
            Ruling::Denied(_) => ", which a person was asked about and refused",
            Ruling::Late => ", which a person was asked about and did not answer in time",
            Ruling::Crowded => ", which asks for a person's leave while too many calls wait for it",
            Ruling::Withdrawn => ", which asked for a person's leave and was cancelled",
            Ruling::Unasked(_) => ", which asks for a person's leave, and nobody could be asked",
        },
    }
}

/// What to do before the policy is changed.
fn instead(why: Why<'_>) -> String {
    match why {
        Why::Blocked | Why::Asked(None) => String::new(),
        Why::CannotRewrite => {
            "write it as one plain command, or the safer one yourself; ".to_owned()
        }
        Why::Asked(Some(ruling)) => match ruling {
            Ruling::Allowed(_) | Ruling::Withdrawn => String::new(),
            Ruling::Denied(_) => "take another way; ".to_owned(),
            Ruling::Late => {
                "have `carboy approvals list` open when it is called again, or raise `tools.ask_seconds`; "
                    .to_owned()
            }
            Ruling::Crowded => "answer those that wait (`carboy approvals list`); ".to_owned(),
            Ruling::Unasked(why) => format!("mend this: {why}; "),
        },
    }
}

/// A budget of calls that is spent.
pub(crate) fn calls_spent(called: Called, spent: &Spent) -> Refusal {
    let (key, limit) = (format!("tools.limits.{}", spent.key), spent.limit);
    let what = match spent.round {
        0 => format!("the budget `{key}` of {limit} is spent"),
        1 => format!("the same call has been made more than {limit} times"),
        round => format!(
            "the same {round} calls have been made more than {limit} times, one after the other"
        ),
    };
    let message = format!("{what}; the last was of {}", called.named());
    let other = if spent.round > 0 {
        "do something else, or "
    } else {
        ""
    };
    let remedy = format!(
        "{other}wait {} s, or, if this is honest work, raise it in the policy:\n{}",
        spent.retry_seconds,
        raised(&key, limit.saturating_mul(2))
    );
    let mut refusal = refusal(Reason::Budget, &key, message, remedy);
    refusal.retry = Retry::After(spent.retry_seconds);
    refusal
}

pub(crate) fn no_address(named: Named<'_>) -> Refusal {
    fault(&Fault::Unresolved("it has no address".to_owned()), named)
}
