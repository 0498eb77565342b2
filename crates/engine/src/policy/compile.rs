//! From the file as written to the policy that judges; everything that can be wrong is found here.

use std::sync::Arc;

use serde_saphyr::Location;
use sha2::{Digest as _, Sha256};

use super::error::{PolicyError, Problem, did_you_mean};
use super::file::{
    At, ClientFile, EgressFile, ExemptFile, Limit, LimitsFile, PolicyFile, ProxyFile, ResolveFile,
    Size, ThresholdsFile, WindowFile,
};
use super::known::Sources;
use super::proxy::UpstreamProxy;
use super::{ClientCertificate, Egress, Exemption, Limits, Policy, Window, date, response};
use crate::address::AddressClass;
use crate::crossing::SurfaceKind;
use crate::host::{HostPattern, PatternError};
use crate::injection;
use crate::verdict::Digest;

/// The one version of the format.
const VERSION: u32 = 1;
/// Largest policy file: tens of thousands of hosts.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Most YAML nodes in a file, so that aliases cannot multiply it.
const NODES_MAX: usize = 100_000;

/// Defaults of `egress.limits`. An installer's burst is some thousand requests in a minute; a fast
/// line moves some GiB. A page of pictures has some KiB of opaque names, a list of a thousand pages as
/// many cursors; what clients encode of text is short. A cloud's host names have few letters by lot,
/// and few of them are met in a day.
const SITE: Window = Window {
    requests: Some(10_000),
    upload: Some(8 << 30),
    download: Some(64 << 30),
    encoded: Some(128 << 10),
    encoded_text: Some(2 << 10),
    encoded_labels: Some(4 << 10),
};
const SESSION: Window = Window {
    requests: Some(30_000),
    upload: Some(16 << 30),
    download: Some(128 << 30),
    encoded: Some(512 << 10),
    encoded_text: Some(8 << 10),
    encoded_labels: Some(32 << 10),
};

pub(super) fn compile(text: &str, file: &str) -> Result<Policy, PolicyError> {
    let mut problems = Problems {
        file,
        found: Vec::new(),
    };
    if text.len() > FILE_BYTES_MAX {
        problems.add(
            Location::UNKNOWN,
            format!("larger than {FILE_BYTES_MAX} bytes"),
            None,
        );
        return Err(PolicyError::new(problems.found));
    }
    let file_parsed = read(text).map_err(|error| PolicyError::from_yaml(&error, file))?;
    let policy = build(file_parsed, &mut problems);
    match problems.found.is_empty() {
        true => Ok(policy),
        false => Err(PolicyError::new(problems.found)),
    }
}

/// A policy with a proxy that its file does not name.
pub(super) fn behind(
    mut file: PolicyFile,
    url: &str,
    login: Option<&str>,
    no_proxy: &[String],
) -> Result<Policy, PolicyError> {
    let text = |text: &str| At::new(text.to_owned());
    let proxy = file.egress.proxy.get_or_insert_with(|| ProxyFile {
        url: text(url),
        no_proxy: Vec::new(),
        login: None,
        resolve: ResolveFile::default(),
    });
    proxy.url = text(url);
    if let Some(login) = login {
        proxy.login = Some(text(login));
    }
    if !no_proxy.is_empty() {
        proxy.no_proxy = no_proxy.iter().map(|rule| text(rule)).collect();
    }
    let mut problems = Problems {
        file: "--upstream-proxy",
        found: Vec::new(),
    };
    let policy = build(file, &mut problems);
    match problems.found.is_empty() {
        true => Ok(policy),
        false => Err(PolicyError::new(problems.found)),
    }
}

fn read(text: &str) -> Result<PolicyFile, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// What is found wrong, gathered so that one run shows everything.
pub(super) struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    pub(super) fn add(
        &mut self,
        at: Location,
        what: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.found
            .push(Problem::new(self.file, at, what, suggestion));
    }

    pub(super) fn add_at<T>(&mut self, at: &At<T>, what: impl Into<String>, suggestion: &str) {
        let suggestion = (!suggestion.is_empty()).then(|| suggestion.to_owned());
        self.add(at.0.referenced, what, suggestion);
    }
}

fn build(mut file: PolicyFile, problems: &mut Problems<'_>) -> Policy {
    if file.version.0.value != VERSION {
        let what = format!("version {} is not known", file.version.0.value);
        problems.add_at(&file.version, what, "this Carboy reads `version: 1`");
    }
    fill_limits(&mut file.egress.limits);
    file.tools.fill();
    let egress = build_egress(&file.egress, problems);
    let passthrough = patterns(&file.tls.passthrough, "tls.passthrough", problems);
    let client = build_client(&file.tls.client, problems);
    check_tls(&file, problems);
    check_scores(&file.inspect.injection_score, problems);
    let homes = build_homes(&file, problems);
    let known = Sources::build(&file.inspect.known, problems);
    let terms = file.tools.build(problems);
    let at = response::build(&file.inspect.response, &file.inspect.at, problems);
    let mut exemptions = Vec::new();
    for exempt in &file.inspect.exempt {
        exemptions.extend(build_exemption(exempt, problems));
    }
    Policy {
        egress,
        intercept: file.tls.intercept.0.value,
        passthrough,
        client,
        homes,
        known,
        terms,
        at,
        exemptions,
        digest: digest(&file),
        file,
    }
}

/// The canonical form is the effective file as JSON: its keys have one order and every default is
/// filled in.
fn digest(file: &PolicyFile) -> Digest {
    let canonical = serde_json::to_vec(file).expect("a policy holds only what JSON can say");
    Digest(Sha256::digest(canonical).into())
}

fn fill_limits(limits: &mut LimitsFile) {
    fill_window(&mut limits.site, SITE);
    fill_window(&mut limits.session, SESSION);
}

fn fill_window(window: &mut WindowFile, default: Window) {
    window
        .requests_per_minute
        .get_or_insert(Limit(default.requests));
    window.upload_per_minute.get_or_insert(Size(default.upload));
    window
        .download_per_minute
        .get_or_insert(Size(default.download));
    window.encoded_per_hour.get_or_insert(Size(default.encoded));
    window
        .encoded_text_per_hour
        .get_or_insert(Size(default.encoded_text));
    window
        .encoded_labels_per_day
        .get_or_insert(Size(default.encoded_labels));
}

fn build_window(window: &WindowFile) -> Window {
    Window {
        requests: window.requests_per_minute.and_then(|limit| limit.0),
        upload: window.upload_per_minute.and_then(|limit| limit.0),
        download: window.download_per_minute.and_then(|limit| limit.0),
        encoded: window.encoded_per_hour.and_then(|limit| limit.0),
        encoded_text: window.encoded_text_per_hour.and_then(|limit| limit.0),
        encoded_labels: window.encoded_labels_per_day.and_then(|limit| limit.0),
    }
}

fn build_egress(file: &EgressFile, problems: &mut Problems<'_>) -> Egress {
    let limits = Limits {
        site: build_window(&file.limits.site),
        session: build_window(&file.limits.session),
        subdomains_per_hour: file.limits.subdomains_per_hour.0,
        hosts_per_hour: file.limits.hosts_per_hour.0,
        url_bytes: file.limits.url_bytes.0.value,
    };
    let egress = Egress {
        allow: patterns(&file.allow, "egress.allow", problems),
        deny: deny_patterns(&file.deny, problems),
        tcp: patterns(&file.tcp, "egress.tcp", problems),
        private: patterns(&file.private, "egress.private", problems),
        limits,
        proxy: file
            .proxy
            .as_ref()
            .and_then(|proxy| UpstreamProxy::build(proxy, problems))
            .map(Arc::new),
    };
    check_tcp(file, problems);
    check_private(file, problems);
    check_contradictions(file, &egress, problems);
    egress
}

/// Patterns of a list that allows something: wildcards over a whole public suffix are refused.
pub(super) fn patterns(
    list: &[At<String>],
    key: &str,
    problems: &mut Problems<'_>,
) -> Vec<HostPattern> {
    let parsed = list
        .iter()
        .map(|text| (text, parse_pattern(text, key, problems)));
    let parsed: Vec<_> = parsed.collect();
    let mut patterns = Vec::with_capacity(parsed.len());
    for (text, pattern) in parsed {
        let Some(pattern) = pattern else { continue };
        if let Some(suffix) = pattern.public_suffix() {
            let what =
                format!("`{pattern}` covers everyone's names under the public suffix `{suffix}`");
            problems.add_at(
                text,
                what,
                &format!("name the site, as in `*.example.{suffix}`"),
            );
        }
        patterns.push(pattern);
    }
    patterns
}

fn deny_patterns(list: &[At<String>], problems: &mut Problems<'_>) -> Vec<HostPattern> {
    let parsed = list
        .iter()
        .map(|text| parse_pattern(text, "egress.deny", problems));
    parsed.flatten().collect()
}

fn parse_pattern(text: &At<String>, key: &str, problems: &mut Problems<'_>) -> Option<HostPattern> {
    match HostPattern::parse(&text.0.value) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let what = format!("`{}` in `{key}`: {error}", text.0.value);
            problems.add_at(text, what, suggest_pattern(&text.0.value, key, &error));
            None
        }
    }
}

fn suggest_pattern(text: &str, key: &str, error: &PatternError) -> &'static str {
    match error {
        PatternError::Everything if key == "egress.allow" => {
            "write `mode: balanced`, which allows every public host"
        }
        PatternError::Everything if key == "tls.passthrough" => "write `tls: {intercept: false}`",
        PatternError::Everything => "name the hosts",
        PatternError::Url => "write the host alone, as in `example.com` or `example.com:8443`",
        PatternError::Host(_) if text.starts_with('.') => "for every name below, write `*.` first",
        PatternError::Host(_) => "write a name such as `api.example.com`, or an address",
        PatternError::Network(_) => "for example `10.1.2.0/24`",
        PatternError::Star | PatternError::Port(_) => "",
    }
}

fn check_tcp(file: &EgressFile, problems: &mut Problems<'_>) {
    for text in &file.tcp {
        let pattern = HostPattern::parse(&text.0.value);
        if pattern.is_ok_and(|pattern| pattern.port().is_none()) {
            let what = format!("`{}` in `egress.tcp` has no port", text.0.value);
            problems.add_at(text, what, "write `name:port`, as in `db.example:5432`");
        }
    }
}

fn check_private(file: &EgressFile, problems: &mut Problems<'_>) {
    for text in &file.private {
        let Ok(pattern) = HostPattern::parse(&text.0.value) else {
            continue;
        };
        if pattern.is_host_internal() && pattern.port().is_none() {
            let what = "`host.internal` in `egress.private` has no port";
            problems.add_at(text, what, "name each service, as in `host.internal:5432`");
        }
        if pattern.network().is_some_and(|net| net.prefix_len() == 0) {
            let what = format!(
                "`{}` in `egress.private` covers every address",
                text.0.value
            );
            problems.add_at(
                text,
                what,
                "name the networks that are yours, as in `10.1.2.0/24`",
            );
        }
        let single = pattern
            .network()
            .filter(|net| net.prefix_len() == net.max_prefix_len());
        let class = single.map(|net| AddressClass::of(net.addr()));
        if let Some(class) = class.filter(|class| !class.is_permissible()) {
            let what = format!(
                "`{}` is a {class} address, which no policy can allow",
                text.0.value
            );
            problems.add_at(text, what, "remove it");
        }
    }
}

fn check_contradictions(file: &EgressFile, egress: &Egress, problems: &mut Problems<'_>) {
    for (key, list) in [
        ("allow", &file.allow),
        ("tcp", &file.tcp),
        ("private", &file.private),
    ] {
        for text in list {
            let pattern = HostPattern::parse(&text.0.value);
            if pattern.is_ok_and(|pattern| egress.deny.contains(&pattern)) {
                let what = format!(
                    "`{}` stands in `egress.{key}` and in `egress.deny`",
                    text.0.value
                );
                problems.add_at(text, what, "`deny` wins: keep one of the two");
            }
        }
    }
}

fn check_tls(file: &PolicyFile, problems: &mut Problems<'_>) {
    if !file.tls.intercept.0.value && !file.tls.passthrough.is_empty() {
        let what =
            "`tls.passthrough` lists hosts, but `intercept: false` passes every host through";
        let suggestion = "remove the list, or write `intercept: true`";
        problems.add_at(&file.tls.intercept, what, suggestion);
    }
}

fn build_client(list: &[ClientFile], problems: &mut Problems<'_>) -> Vec<ClientCertificate> {
    let mut certificates = Vec::new();
    for own in list {
        let hosts = patterns(std::slice::from_ref(&own.host), "tls.client", problems).pop();
        for path in [&own.cert, &own.key] {
            if path.0.value.is_empty() {
                problems.add_at(path, "a path in `tls.client` is empty", "name a file");
            }
        }
        certificates.extend(hosts.map(|hosts| ClientCertificate {
            hosts,
            cert: own.cert.0.value.as_str().into(),
            key: own.key.0.value.as_str().into(),
        }));
    }
    certificates
}

fn check_scores(scores: &At<ThresholdsFile>, problems: &mut Problems<'_>) {
    let (least, _) = injection::thresholds();
    let ThresholdsFile { warn, block } = scores.0.value;
    if warn < least || block < warn {
        let what = format!("`warn: {warn}, block: {block}` are no thresholds");
        let remedy = format!(
            "let `warn` be {least} or more, since less is not weighed, and `block` no less"
        );
        problems.add_at(scores, what, &remedy);
    }
}

fn build_homes(
    file: &PolicyFile,
    problems: &mut Problems<'_>,
) -> Vec<(Box<str>, Vec<HostPattern>)> {
    let mut homes = Vec::new();
    for (rule, hosts) in &file.inspect.homes {
        let at = hosts
            .first()
            .map_or(Location::UNKNOWN, |host| host.0.referenced);
        check_rule(rule, at, problems);
        if crate::rule_ids::is_floor(rule) {
            let what = format!("`{rule}` is a floor rule, to which no policy can add a home");
            problems.add(at, what, Some("remove it".to_owned()));
        }
        if rule == "known-secret" {
            let what = "`known-secret` is of every known secret";
            let suggestion = "say which may go where, in `inspect.known.homes`".to_owned();
            problems.add(at, what, Some(suggestion));
        }
        homes.push((
            rule.as_str().into(),
            patterns(hosts, "inspect.homes", problems),
        ));
    }
    homes
}

fn check_rule(rule: &str, at: Location, problems: &mut Problems<'_>) {
    let known = crate::rule_ids::all();
    if !known.contains(&rule) {
        problems.add(
            at,
            format!("there is no rule `{rule}`"),
            did_you_mean(rule, &known),
        );
    }
}

fn build_exemption(exempt: &At<ExemptFile>, problems: &mut Problems<'_>) -> Option<Exemption> {
    let before = problems.found.len();
    let (own, at) = (&exempt.0.value, exempt.0.referenced);
    let rule = &own.rule.0.value;
    check_rule(rule, own.rule.0.referenced, problems);
    if crate::rule_ids::is_floor(rule) {
        let what = format!("`{rule}` is a floor rule, which no policy can exempt");
        problems.add_at(&own.rule, what, "remove the exemption");
    }
    let host = patterns(std::slice::from_ref(&own.host), "inspect.exempt", problems).pop();
    let surface = own
        .surface
        .as_ref()
        .map(|surface| parse_surface(surface, problems));
    if let Some(path) = own
        .path
        .as_ref()
        .filter(|path| !path.0.value.starts_with('/'))
    {
        problems.add_at(path, "a path begins with `/`", "");
    }
    if own.reason.0.value.trim().is_empty() {
        problems.add_at(
            &own.reason,
            "an exemption needs a reason",
            "say why this is no leak",
        );
    }
    let until = date::end_of_day(&own.expires.0.value);
    if until.is_none() {
        let what = format!("`{}` is no day", own.expires.0.value);
        problems.add_at(&own.expires, what, "write it as YYYY-MM-DD");
    }
    if problems.found.len() > before {
        return None;
    }
    Some(Exemption {
        rule: rule.as_str().into(),
        host: host?,
        path: own.path.as_ref().map(|path| path.0.value.as_str().into()),
        surface: surface.flatten(),
        until: until?,
        expires: own.expires.0.value.as_str().into(),
        place: Problem::new(problems.file, at, "", None),
    })
}

fn parse_surface(text: &At<String>, problems: &mut Problems<'_>) -> Option<SurfaceKind> {
    const KINDS: [SurfaceKind; 14] = [
        SurfaceKind::Host,
        SurfaceKind::Url,
        SurfaceKind::Path,
        SurfaceKind::Query,
        SurfaceKind::Header,
        SurfaceKind::Trailer,
        SurfaceKind::Body,
        SurfaceKind::Stream,
        SurfaceKind::Tool,
        SurfaceKind::Argument,
        SurfaceKind::Call,
        SurfaceKind::Message,
        SurfaceKind::Definition,
        SurfaceKind::WsMessage,
    ];
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == text.0.value);
    if kind.is_none() {
        let names = KINDS.map(SurfaceKind::as_str);
        let what = format!("`{}` is no kind of surface", text.0.value);
        let suggestion = did_you_mean(&text.0.value, &names)
            .unwrap_or_else(|| format!("choose {}", names.join(", ")));
        problems.add_at(text, what, &suggestion);
    }
    kind
}
