//! The policy file as people write it. [`super::compile`] makes a [`super::Policy`] of it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::{Location, Spanned};

use super::Mode;
use crate::injection;

/// A value and where in the file it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T>(pub(super) Spanned<T>);

impl<T> At<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// `carboy.yaml`: what one bottle may do. Every key but `version` has a default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// The version of this format. It is 1.
    pub(super) version: At<u32>,
    /// How much is allowed that the policy does not list.
    #[serde(default = "default_mode")]
    pub(super) mode: Mode,
    /// Where crossings may go, and how many.
    #[serde(default)]
    pub(super) egress: EgressFile,
    /// What to do with TLS.
    #[serde(default)]
    pub(super) tls: TlsFile,
    /// What to look for, and what to make of it.
    #[serde(default)]
    pub(super) inspect: InspectFile,
    /// What tools may be called, and what becomes of what calls do.
    #[serde(default)]
    pub(super) tools: super::tools::ToolsFile,
    /// How receipts are kept.
    #[serde(default)]
    pub(super) evidence: EvidenceFile,
}

fn default_mode() -> Mode {
    Mode::Balanced
}

/// Where crossings may go, and how many.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EgressFile {
    /// Host patterns that may be reached. In `strict` mode nothing else may.
    pub(super) allow: Vec<At<String>>,
    /// Host patterns that may not be reached, whatever `allow` says. Networks listed here also
    /// refuse names that resolve into them.
    pub(super) deny: Vec<At<String>>,
    /// `name:port` patterns to which raw TCP may be spoken.
    pub(super) tcp: Vec<At<String>>,
    /// Networks, names and `host.internal:PORT` that may be at an address that is not public.
    pub(super) private: Vec<At<String>>,
    /// Rates and budgets.
    pub(super) limits: LimitsFile,
    /// The proxy that all connections go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proxy: Option<ProxyFile>,
}

/// The proxy that all connections go through.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyFile {
    /// Where it is: `http://HOST:PORT`.
    pub(super) url: At<String>,
    /// Names (each with all below it), addresses and networks that are reached without it; each may
    /// end in `:port`.
    #[serde(default)]
    pub(super) no_proxy: Vec<At<String>>,
    /// The variable of the environment that `carboy` is given which holds `user:password` for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<At<String>>,
    /// Who resolves names.
    #[serde(default)]
    pub(super) resolve: ResolveFile,
}

/// Who resolves the names of far ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResolveFile {
    /// Carboy: a name that it cannot resolve is refused.
    #[default]
    Local,
    /// Carboy where it can, the proxy where it cannot.
    Remote,
}

/// Rates and budgets, for each site and for the whole session.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    /// For each site (registrable domain).
    pub(super) site: WindowFile,
    /// For all sites together.
    pub(super) session: WindowFile,
    /// Different names below one site that may be asked for in an hour.
    pub(super) subdomains_per_hour: Limit,
    /// Different hosts, of all sites, that may be asked for in an hour.
    pub(super) hosts_per_hour: Limit,
    /// Longest URL, in bytes.
    pub(super) url_bytes: At<u32>,
}

/// Budgets refill evenly; a full minute's, hour's or day's worth may be spent at once.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WindowFile {
    /// Crossings that leave the bottle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests_per_minute: Option<Limit>,
    /// Body bytes that leave the bottle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload_per_minute: Option<Size>,
    /// Body bytes that come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) download_per_minute: Option<Size>,
    /// Bytes that look encoded, in paths, query values and headers. The same ones count once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoded_per_hour: Option<Size>,
    /// Bytes of text that was encoded, in paths, query values and headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoded_text_per_hour: Option<Size>,
    /// Bytes of host names that look encoded. The same label counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoded_labels_per_day: Option<Size>,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            site: WindowFile::default(),
            session: WindowFile::default(),
            subdomains_per_hour: Limit(Some(super::SUBDOMAINS_PER_HOUR)),
            hosts_per_hour: Limit(Some(super::HOSTS_PER_HOUR)),
            url_bytes: At::new(super::URL_BYTES_MAX),
        }
    }
}

/// What to do with TLS.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsFile {
    /// Whether TLS is terminated so that its content can be inspected.
    pub(super) intercept: At<bool>,
    /// Hosts whose TLS is relayed unread.
    pub(super) passthrough: Vec<At<String>>,
    /// Certificates that are shown to upstreams which ask for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) client: Vec<ClientFile>,
}

/// A certificate that is shown to upstreams which ask for one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientFile {
    /// The host pattern of the upstreams.
    pub(super) host: At<String>,
    /// The PEM file of the certificate, and of those between it and its authority.
    pub(super) cert: At<String>,
    /// The PEM file of its key, which only its owner may read.
    pub(super) key: At<String>,
}

impl Default for TlsFile {
    fn default() -> Self {
        Self {
            intercept: At::new(true),
            passthrough: Vec::new(),
            client: Vec::new(),
        }
    }
}

/// What to look for, and what to make of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InspectFile {
    /// Credentials and keys on their way out, to anywhere but their home.
    pub(super) secret: ValueSetting,
    /// Personal data on its way out.
    pub(super) personal: ValueSetting,
    /// Instructions aimed at the agent, on their way in.
    pub(super) injection: PassageSetting,
    /// From which scores the weighed passages among them are recorded, and taken for high.
    pub(super) injection_score: At<ThresholdsFile>,
    /// Names, paths, query values and headers that look like hidden data.
    pub(super) entropy: Setting,
    /// Malformed or deceptive targets.
    pub(super) shape: Setting,
    /// Content that cannot be decoded within bounds.
    pub(super) opaque: Setting,
    /// Content that is not what it says, or that would run where it is shown, on its way in.
    pub(super) media: MediaSetting,
    /// What content may come in.
    pub(super) response: super::response::ResponseFile,
    /// What is different at some hosts. The first entry that names a key for a host counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) at: Vec<super::response::AtFile>,
    /// Secrets whose very values are looked for.
    pub(super) known: KnownFile,
    /// Whether `carboy run` plants decoys in the bottle: variables that look like credentials, that
    /// nothing honest uses and that are refused wherever they turn up.
    pub(super) canary: bool,
    /// Whether placeholders in a response are replaced by what they stand for, where they were sent to
    /// the same host in the same session.
    pub(super) redact_restore: bool,
    /// More hosts at which a rule's credential is at home.
    pub(super) homes: BTreeMap<String, Vec<At<String>>>,
    /// Findings that are let through.
    pub(super) exempt: Vec<At<ExemptFile>>,
}

impl Default for InspectFile {
    fn default() -> Self {
        Self {
            secret: ValueSetting::BlockHigh,
            personal: ValueSetting::BlockHigh,
            injection: PassageSetting::BlockHigh,
            injection_score: At::new(ThresholdsFile::default()),
            entropy: Setting::BlockHigh,
            shape: Setting::Block,
            opaque: Setting::BlockHigh,
            media: MediaSetting::BlockHigh,
            response: super::response::ResponseFile::default(),
            at: Vec::new(),
            known: KnownFile::default(),
            canary: false,
            redact_restore: false,
            homes: BTreeMap::new(),
            exempt: Vec::new(),
        }
    }
}

/// Secrets whose very values are looked for, both ways. The values stand in the environment that
/// `carboy` is given and in files, never in the policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KnownFile {
    /// Whether variables are taken whose names say that they are secret and whose values look it.
    pub(super) auto: bool,
    /// Variables of the environment that `carboy` is given: names, or patterns with `*`.
    pub(super) env: Vec<At<String>>,
    /// Files whose values are secrets: dotenv, JSON, YAML, or one secret alone.
    pub(super) files: Vec<At<String>>,
    /// Where a secret may go, by its name.
    pub(super) homes: BTreeMap<String, Vec<At<String>>>,
}

impl Default for KnownFile {
    fn default() -> Self {
        Self {
            auto: true,
            env: Vec::new(),
            files: Vec::new(),
            homes: BTreeMap::new(),
        }
    }
}

/// What to make of a class's findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Setting {
    /// Refuse.
    Block,
    /// Refuse those of high or critical severity, record the others.
    BlockHigh,
    /// Record.
    Warn,
    /// Do not look.
    Off,
}

/// What to make of findings that are values, each of which a placeholder can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ValueSetting {
    /// Refuse.
    Block,
    /// Refuse those of high or critical severity, record the others.
    BlockHigh,
    /// Replace those of high or critical severity on their way out, and known secrets both ways;
    /// refuse where that is not safe; record the others.
    Redact,
    /// Record.
    Warn,
    /// Do not look.
    Off,
}

/// What to make of findings that are passages, which can be cut out of what carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PassageSetting {
    /// Refuse.
    Block,
    /// Refuse those of high or critical severity, record the others.
    BlockHigh,
    /// Cut those of high or critical severity out of what carries them, and refuse where that is
    /// not safe; record the others.
    Strip,
    /// Record.
    Warn,
    /// Do not look.
    Off,
}

/// What to make of findings of which some are parts of drawings, which can be cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MediaSetting {
    /// Refuse.
    Block,
    /// Refuse those of high or critical severity, record the others.
    BlockHigh,
    /// Cut active parts out of drawings, refuse those of high or critical severity, record the others.
    Strip,
    /// Record.
    Warn,
    /// Do not look.
    Off,
}

/// Scores of passages that read as instructions to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ThresholdsFile {
    /// The least that is recorded.
    pub(super) warn: u32,
    /// The least that is of high severity.
    pub(super) block: u32,
}

impl Default for ThresholdsFile {
    fn default() -> Self {
        let (warn, block) = injection::thresholds();
        Self { warn, block }
    }
}

/// One finding that is let through: a rule, at a host, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExemptFile {
    /// The rule's id, as the refusal names it.
    pub(super) rule: At<String>,
    /// The host pattern at which it is let through.
    pub(super) host: At<String>,
    /// The path, or its beginning before a final `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<At<String>>,
    /// The kind of surface: host, url, path, query, header, trailer, body, stream or ws-message; of the model
    /// context protocol, tool, argument, call, message or definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) surface: Option<At<String>>,
    /// Why this is no leak.
    pub(super) reason: At<String>,
    /// The last day it holds, as YYYY-MM-DD (UTC).
    pub(super) expires: At<String>,
}

/// How receipts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EvidenceFile {
    /// How far a receipt must have got before its crossing goes on.
    pub(super) durability: super::Durability,
    /// Whether nothing crosses when receipts cannot be written.
    pub(super) required: bool,
}

impl Default for EvidenceFile {
    fn default() -> Self {
        Self {
            durability: super::Durability::Written,
            required: true,
        }
    }
}

/// A count, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<u64>);

/// A number of bytes, as a number or as `512KiB`, `20MiB`, `2GiB`; or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = AmountVisitor { units: false };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = AmountVisitor { units: true };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

struct AmountVisitor {
    units: bool,
}

impl serde::de::Visitor<'_> for AmountVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.units {
            true => f.write_str("a number of bytes such as 512KiB, 20MiB or 2GiB, or `off`"),
            false => f.write_str("a whole number above zero, or `off`"),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        match value {
            0 => Err(E::invalid_value(serde::de::Unexpected::Unsigned(0), &self)),
            value => Ok(Some(value)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(
                serde::de::Unexpected::Signed(value),
                &self,
            )),
        }
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        match value {
            false => Ok(None),
            true => Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text == "off" {
            return Ok(None);
        }
        let amount = parse_amount(text, self.units).filter(|amount| *amount > 0);
        match amount {
            Some(amount) => Ok(Some(amount)),
            None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

fn parse_amount(text: &str, units: bool) -> Option<u64> {
    if !units {
        return text.parse().ok();
    }
    for (unit, bytes) in UNITS {
        if let Some(number) = text.strip_suffix(unit) {
            return number.trim_end().parse::<u64>().ok()?.checked_mul(bytes);
        }
    }
    text.parse().ok()
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => serializer.serialize_u64(value),
            None => serializer.serialize_str("off"),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(value) = self.0 else {
            return serializer.serialize_str("off");
        };
        match UNITS
            .iter()
            .find(|(_, bytes)| *bytes > 1 && value % bytes == 0)
        {
            Some((unit, bytes)) => serializer.collect_str(&format_args!("{}{unit}", value / bytes)),
            None => serializer.serialize_u64(value),
        }
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A count, or off.",
            "anyOf": [{"type": "integer", "minimum": 1}, {"const": "off"}]
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of bytes, plain or with a unit; or off.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$"},
                {"const": "off"}
            ]
        })
    }
}
