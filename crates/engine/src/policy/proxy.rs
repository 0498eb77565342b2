//! The proxy that a gate's own connections go through: `egress.proxy`.

use std::net::IpAddr;
use std::sync::Arc;

use super::compile::Problems;
use super::file::{At, ProxyFile, ResolveFile};
use crate::host::{Host, HostPattern};

/// A proxy between the gate and the far ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProxy {
    host: Host,
    port: u16,
    sealed: bool,
    login: Option<Box<str>>,
    around: Vec<HostPattern>,
    resolves: bool,
}

/// The ports of proxies whose URLs name none.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Names that stand for something near, wherever they are asked for (RFC 6761, section 6.3; RFC 6762
/// and its appendix G; RFC 8375; ICANN's `internal`).
const NEAR: [&str; 9] = [
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "corp",
    "home",
    "intranet",
    "private",
];

impl UpstreamProxy {
    pub(super) fn build(file: &ProxyFile, problems: &mut Problems<'_>) -> Option<Self> {
        let place = parse_url(&file.url, problems);
        if let Some(name) = &file.login {
            check_variable(name, problems);
        }
        let mut around = Vec::new();
        for rule in &file.no_proxy {
            around.extend(bypass(rule, problems));
        }
        let (host, port, sealed) = place?;
        Some(Self {
            host,
            port,
            sealed,
            login: file.login.as_ref().map(|name| name.0.value.as_str().into()),
            around,
            resolves: file.resolve == ResolveFile::Remote,
        })
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to inside TLS (an `https://` URL).
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The variable of the environment that holds `user:password` for it.
    pub fn login_variable(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Whether the proxy may be given a name that cannot be resolved here. Names of near machines are
    /// not: it would look for them in its own network.
    pub(crate) fn may_resolve(&self, host: &Host, port: u16) -> bool {
        let Host::Name(name) = host else {
            return false;
        };
        let is_near = !name.contains('.') || NEAR.iter().any(|near| is_at_or_below(name, near));
        self.resolves && !is_near && !self.leads_around(host, port, &[])
    }

    /// Whether a far end is reached without it, by its name or by any of its addresses.
    pub(crate) fn leads_around(&self, host: &Host, port: u16, addresses: &[IpAddr]) -> bool {
        host.is_host_internal()
            || self.around.iter().any(|own| {
                own.covers(host, port) || addresses.iter().any(|addr| own.covers_addr(*addr, port))
            })
    }
}

/// The route to a far end: by the proxy, or straight.
pub(super) fn route(
    proxy: Option<&Arc<UpstreamProxy>>,
    host: &Host,
    port: u16,
    addresses: &[IpAddr],
) -> Option<Arc<UpstreamProxy>> {
    let proxy = proxy.filter(|own| !own.leads_around(host, port, addresses));
    proxy.map(Arc::clone)
}

fn is_at_or_below(name: &str, parent: &str) -> bool {
    let rest = name.strip_suffix(parent);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn parse_url(url: &At<String>, problems: &mut Problems<'_>) -> Option<(Host, u16, bool)> {
    const FORM: &str = "write it as http://HOST:PORT or https://HOST:PORT";
    let text = url.0.value.as_str();
    let schemes = [
        ("http://", HTTP_PORT, false),
        ("https://", HTTPS_PORT, true),
    ];
    let known = schemes
        .into_iter()
        .find_map(|(scheme, port, sealed)| Some((text.strip_prefix(scheme)?, port, sealed)));
    let Some((rest, own_port, sealed)) = known else {
        let what = "`egress.proxy.url` is not an http:// or https:// URL";
        problems.add_at(url, what, FORM);
        return None;
    };
    if rest.contains('@') {
        // What stands before it may be a secret, so it is not repeated.
        let remedy = "name a variable that holds `user:password` in `egress.proxy.login`";
        problems.add_at(url, "`egress.proxy.url` holds a login", remedy);
        return None;
    }
    let pattern = HostPattern::parse(rest.strip_suffix('/').unwrap_or(rest));
    let port = pattern.as_ref().ok().and_then(HostPattern::port);
    let host = pattern.ok().and_then(|pattern| pattern.single());
    if host.is_none() {
        problems.add_at(url, "`egress.proxy.url` names no host", FORM);
    }
    Some((host?, port.unwrap_or(own_port), sealed))
}

fn check_variable(name: &At<String>, problems: &mut Problems<'_>) {
    let text = &name.0.value;
    let is_name = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit());
    if !is_name {
        // It may be the login itself, so it is not repeated.
        let remedy = "name the variable that holds `user:password`, as in `CORP_PROXY_LOGIN`";
        problems.add_at(name, "`egress.proxy.login` is no variable's name", remedy);
    }
}

/// The patterns of one rule: a name stands for itself and for all below it, as in `NO_PROXY`.
fn bypass(rule: &At<String>, problems: &mut Problems<'_>) -> Vec<HostPattern> {
    let text = rule.0.value.strip_prefix('.').unwrap_or(&rule.0.value);
    let pattern = match HostPattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) => {
            let what = format!("`{}` in `egress.proxy.no_proxy`: {error}", rule.0.value);
            problems.add_at(
                rule,
                what,
                "write a name, an address or a network, and a port if it matters",
            );
            return Vec::new();
        }
    };
    let below = pattern.below();
    std::iter::once(pattern).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, PolicyError};
    use super::*;

    fn parse(proxy: &str) -> Result<Policy, PolicyError> {
        Policy::parse(
            &format!("version: 1\negress:\n  proxy: {proxy}\n"),
            "p.yaml",
        )
    }

    fn proxy(text: &str) -> Arc<UpstreamProxy> {
        parse(text).unwrap().upstream_proxy().cloned().unwrap()
    }

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (url, host, port, sealed) in [
            ("http://proxy.example:3128", "proxy.example", 3128, false),
            ("http://proxy.example/", "proxy.example", 80, false),
            ("https://proxy.example", "proxy.example", 443, true),
            ("https://proxy.example:3129/", "proxy.example", 3129, true),
            ("http://10.0.0.1:8080", "10.0.0.1", 8080, false),
            ("http://[fd00::1]:8080", "[fd00::1]", 8080, false),
        ] {
            let own = proxy(&format!("{{url: '{url}'}}"));
            assert_eq!(
                (own.host(), own.port(), own.is_sealed()),
                (&Host::parse(host).unwrap(), port, sealed),
                "{url}"
            );
        }
        for (text, part) in [
            (
                "{url: 'socks5://p.example:1080'}",
                "not an http:// or https:// URL",
            ),
            ("{url: 'http://user:hunter2@p.example'}", "holds a login"),
            ("{url: 'http://10.0.0.0/8'}", "names no host"),
            ("{url: 'http://*.p.example'}", "names no host"),
            ("{url: 'http://p.example/path'}", "names no host"),
            (
                "{url: 'http://p.example', login: 'user:hunter2'}",
                "no variable's name",
            ),
            ("{url: 'http://p.example', no_proxy: ['a*b']}", "`a*b` in"),
            ("{no_proxy: []}", "url"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn rules_lead_around_the_proxy() {
        let own = proxy(
            "{url: 'http://p.example', no_proxy: [corp.example, .dev.example, 10.0.0.0/8, 'b.example:8080']}",
        );
        for (host, port, addresses, expect) in [
            ("corp.example", 443, &[][..], true),
            ("a.b.corp.example", 80, &[], true),
            ("dev.example", 80, &[], true),
            ("notcorp.example", 80, &[], false),
            ("b.example", 8080, &[], true),
            ("b.example", 80, &[], false),
            ("10.1.2.3", 80, &[], true),
            ("any.example", 80, &["10.1.2.3"], true),
            ("any.example", 80, &["192.0.2.3"], false),
            ("host.internal", 5432, &[], true),
        ] {
            let addresses: Vec<IpAddr> = addresses.iter().map(|own| own.parse().unwrap()).collect();
            let host = Host::parse(host).unwrap();
            assert_eq!(
                own.leads_around(&host, port, &addresses),
                expect,
                "{host}:{port}"
            );
        }
    }

    #[test]
    fn only_names_of_far_machines_are_left_to_the_proxy() {
        let remote = proxy("{url: 'http://p.example', resolve: remote, no_proxy: [corp.example]}");
        let local = proxy("{url: 'http://p.example'}");
        for (host, expect) in [
            ("api.example", true),
            ("intranet", false),
            ("db.internal", false),
            ("a.localhost", false),
            ("metadata.google.internal", false),
            ("printer.local", false),
            ("x.corp.example", false),
            ("192.0.2.7", false),
        ] {
            let host = Host::parse(host).unwrap();
            assert_eq!(remote.may_resolve(&host, 443), expect, "{host}");
            assert!(!local.may_resolve(&host, 443), "{host}");
        }
    }
}
