//! What content may come in, and what is different at some hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Policy;
use super::compile::{Problems, patterns};
use super::file::{At, MediaSetting, Setting, Size};
use crate::finding::{Action, Class, Severity};
use crate::host::{Host, HostPattern};

/// What content may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResponseFile {
    /// Content types that may come in, as `text/html` or `image/*`. Where none is listed, any may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) allow: Vec<At<String>>,
    /// Content types that may not, whatever `allow` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deny: Vec<At<String>>,
    /// The longest content, in bytes as it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<Size>,
}

/// What is different at some hosts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AtFile {
    /// The host pattern.
    pub(super) host: At<String>,
    /// What to make of content that cannot be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opaque: Option<Setting>,
    /// What to make of content that is not what it says, or would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media: Option<MediaSetting>,
    /// What content may come in.
    #[serde(default)]
    pub(super) response: ResponseFile,
}

/// What content may come in from a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseTerms<'a> {
    allow: &'a [At<String>],
    deny: &'a [At<String>],
    /// The longest content, as it comes.
    pub(crate) bytes: Option<u64>,
}

impl ResponseTerms<'_> {
    /// The key of the policy by which content of a type may not come in, if one says so. `kind` is in
    /// lower case and has no parameters.
    pub(crate) fn refuses(&self, kind: Option<&str>) -> Option<&'static str> {
        let kind = kind.unwrap_or_default();
        let covers = |list: &[At<String>]| list.iter().any(|own| covers_type(&own.0.value, kind));
        if covers(self.deny) {
            return Some("inspect.response.deny");
        }
        let is_allowed = self.allow.is_empty() || covers(self.allow);
        (!is_allowed).then_some("inspect.response.allow")
    }
}

impl Policy {
    /// What to make of a finding at a host; `None` when its class is not looked for there.
    pub(crate) fn action_at(
        &self,
        class: Class,
        severity: Severity,
        host: &Host,
        port: u16,
    ) -> Option<Action> {
        match class {
            Class::Opaque => {
                let own = self.at(host, port).find_map(|own| own.opaque);
                super::of_class(
                    own.unwrap_or(self.file.inspect.opaque),
                    severity >= Severity::High,
                )
            }
            Class::Media => of_media(self.media(host, port), severity),
            Class::Secret
            | Class::Personal
            | Class::Injection
            | Class::Entropy
            | Class::Shape
            | Class::Tool => self.action(class, severity),
        }
    }

    /// Whether the active parts of a host's drawings are to be cut out.
    pub(crate) fn strips_media(&self, host: &Host, port: u16) -> bool {
        self.media(host, port) == MediaSetting::Strip
    }

    /// What content may come in from a host.
    pub(crate) fn response<'a>(&'a self, host: &'a Host, port: u16) -> ResponseTerms<'a> {
        let everywhere = &self.file.inspect.response;
        let own = || self.at(host, port).map(|own| &own.response);
        let with_types = |own: &&ResponseFile| !own.allow.is_empty() || !own.deny.is_empty();
        let types = own().find(with_types).unwrap_or(everywhere);
        let bytes = own().find_map(|own| own.bytes).or(everywhere.bytes);
        ResponseTerms {
            allow: &types.allow,
            deny: &types.deny,
            bytes: bytes.and_then(|size| size.0),
        }
    }

    fn media(&self, host: &Host, port: u16) -> MediaSetting {
        let own = self.at(host, port).find_map(|own| own.media);
        own.unwrap_or(self.file.inspect.media)
    }

    /// What the policy says of a host, the first first.
    fn at<'a>(&'a self, host: &'a Host, port: u16) -> impl Iterator<Item = &'a AtFile> {
        let entries = self.at.iter().zip(&self.file.inspect.at);
        entries.filter_map(move |(hosts, own)| hosts.covers(host, port).then_some(own))
    }
}

/// Of what can be cut out all is of medium severity: what is worse is refused, what is less recorded.
pub(super) fn of_media(setting: MediaSetting, severity: Severity) -> Option<Action> {
    let is_high = severity >= Severity::High;
    match setting {
        MediaSetting::Block => Some(Action::Block),
        MediaSetting::BlockHigh | MediaSetting::Strip if is_high => Some(Action::Block),
        MediaSetting::Strip if severity == Severity::Medium => Some(Action::Strip),
        MediaSetting::BlockHigh | MediaSetting::Strip | MediaSetting::Warn => Some(Action::Warn),
        MediaSetting::Off => None,
    }
}

/// The hosts of each entry of `inspect.at`.
pub(super) fn build(
    everywhere: &ResponseFile,
    entries: &[AtFile],
    problems: &mut Problems<'_>,
) -> Vec<HostPattern> {
    check_types(everywhere, problems);
    let mut hosts = Vec::new();
    for own in entries {
        check_types(&own.response, problems);
        hosts.extend(patterns(
            std::slice::from_ref(&own.host),
            "inspect.at",
            problems,
        ));
    }
    hosts
}

fn check_types(response: &ResponseFile, problems: &mut Problems<'_>) {
    for own in response.allow.iter().chain(&response.deny) {
        if !is_type_pattern(&own.0.value) {
            let what = format!("`{}` is no content type", own.0.value);
            problems.add_at(own, what, "write `text/html`, `image/*` or `*/*`");
        }
    }
}

fn is_type_pattern(text: &str) -> bool {
    let is_token = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        part == "*" || (!part.is_empty() && part.bytes().all(plain))
    };
    text.split_once('/')
        .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub) && (kind != "*" || sub == "*"))
}

fn covers_type(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(all) => kind
            .split_once('/')
            .is_some_and(|(own, _)| own.eq_ignore_ascii_case(all)),
        None => kind.eq_ignore_ascii_case(pattern),
    }
}
