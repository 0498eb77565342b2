//! Who issued a token, and for whom, where it says so.

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::host::Host;
use crate::rules::Rule;

/// The rule whose credentials name their parties.
const RULE: &str = "jwt";
/// The longest claims that are read; real ones have some hundred bytes.
const CLAIMS_BYTES_MAX: usize = 8192;
/// Audiences that are looked at.
const PARTIES_MAX: usize = 8;
/// The longest name of a party: a URL.
const NAME_BYTES_MAX: usize = 256;
/// A shorter name could be any label.
const LABEL_BYTES_MIN: usize = 4;

/// The issuer and the audiences of a JSON Web Token (RFC 7519, section 4.1).
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Parties(Box<[Box<str>]>);

/// Names are content.
impl std::fmt::Debug for Parties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parties({})", self.0.len())
    }
}

impl Parties {
    /// Those of what a rule has found.
    pub(super) fn of(rule: &Rule, value: &[u8]) -> Self {
        match rule.id == RULE {
            true => Self::read(value).unwrap_or_default(),
            false => Self::default(),
        }
    }

    fn read(token: &[u8]) -> Option<Self> {
        let claims = token.split(|b| *b == b'.').nth(1)?;
        let claims = (claims.len() <= CLAIMS_BYTES_MAX).then_some(claims)?;
        let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims).ok()?).ok()?;
        let names = ["iss", "aud"]
            .into_iter()
            .flat_map(|key| match &claims[key] {
                Value::Array(several) => several.iter().collect(),
                one => vec![one],
            });
        let names = names.filter_map(Value::as_str);
        let short = names.filter(|name| name.len() <= NAME_BYTES_MAX);
        Some(Self(short.take(PARTIES_MAX).map(Box::from).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a host is of the site of one of them, or one is a part of its name. Who alters a token
    /// to say so has made it worthless.
    pub(crate) fn include(&self, host: &Host) -> bool {
        let Host::Name(target) = host else {
            return false;
        };
        let site = host.site();
        self.0.iter().any(|party| {
            let name = party.split_once("://").map_or(&**party, |(_, rest)| rest);
            let name = name.split(['/', ':', '?']).next().unwrap_or_default();
            let is_label =
                name.len() >= LABEL_BYTES_MIN && target.split('.').any(|own| own == name);
            let is_site =
                name.contains('.') && Host::parse(name).is_ok_and(|party| party.site() == site);
            is_label || is_site
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Parties;
    use crate::host::Host;

    fn is_party(claims: &str, host: &str) -> bool {
        let claims = data_encoding::BASE64URL_NOPAD.encode(claims.as_bytes());
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJl");
        let host = Host::parse(host).expect("a host");
        Parties::read(token.as_bytes()).is_some_and(|parties| parties.include(&host))
    }

    #[test]
    fn issuers_and_audiences() {
        for (claims, host, expect) in [
            (
                r#"{"iss":"https://login.example.com/"}"#,
                "api.example.com",
                true,
            ),
            (
                r#"{"aud":["https://a.example/token","b"]}"#,
                "a.example",
                true,
            ),
            (
                r#"{"aud":"sts.amazonaws.com"}"#,
                "sts.eu-west-1.amazonaws.com",
                true,
            ),
            (r#"{"aud":"pypi"}"#, "pypi.org", true),
            (
                r#"{"iss":"https://login.example.com/"}"#,
                "evil.example",
                false,
            ),
            (
                r#"{"iss":"https://login.example.com@evil.example/"}"#,
                "evil.example",
                false,
            ),
            (r#"{"iss":"com"}"#, "evil.com", false),
            (r#"{"sub":"evil.example"}"#, "evil.example", false),
            (r#"["evil.example"]"#, "evil.example", false),
            (
                r#"{"iss":"https://login.example.com/"}"#,
                "203.0.113.7",
                false,
            ),
        ] {
            assert_eq!(is_party(claims, host), expect, "{claims} {host}");
        }
    }
}
