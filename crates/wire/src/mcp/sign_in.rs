//! What a remote server says of how to sign in, for a client that knows it by another address (the
//! protocol's "Authorization"; RFC 9728, RFC 8414, RFC 8707).
//!
//! A client compares the `resource` that a server names with the address it was given, and refuses to sign
//! in where they differ; and the server's authority grants tokens for the server's own address alone. So each
//! side is told its own.

use carboy_engine::{Scheme, Target};
use serde_json::Value;
use url::form_urlencoded;

/// The metadata of a protected resource (RFC 9728, section 3).
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The metadata of an authorization server (RFC 8414, section 3; OpenID Connect Discovery, section 4).
const AUTHORITY: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// Where a client signs in at a server without metadata (revision 2025-03-26, section "Fallbacks").
const FALLBACKS: [(&str, Page); 3] = [
    ("/authorize", Page::Authorize),
    ("/token", Page::Exchange),
    ("/register", Page::Exchange),
];

/// Names of metadata that hold an address to which a client posts.
const ENDPOINT: &str = "_endpoint";

/// The parameter that names the server (RFC 8707, section 2).
const PARAMETER: &str = "resource";

/// The two addresses of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The server's own origin.
    far: String,
    /// The origin by which the client knows it.
    near: String,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Metadata.
    Metadata,
    /// The page that a person signs in on, at the server's own address.
    Authorize,
    /// Where a client registers, and gets or gives up tokens.
    Exchange,
}

/// A server's metadata for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// As JSON.
    pub json: Vec<u8>,
    /// The paths at the server's origin that it names, and what each is for.
    pub pages: Vec<(String, Page)>,
}

impl Page {
    /// What a path is for, where it tells by itself.
    pub fn of(path: &str) -> Option<Self> {
        let is = |known: &str| {
            let rest = path.strip_prefix(known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Clients also look for it behind the issuer's path.
        let is_metadata =
            is(RESOURCE) || AUTHORITY.iter().any(|known| is(known)) || path.ends_with(AUTHORITY[1]);
        if is_metadata {
            return Some(Self::Metadata);
        }
        let fallback = FALLBACKS.iter().find(|(known, _)| *known == path);
        fallback.map(|(_, page)| *page)
    }
}

impl Addresses {
    /// Of the server at `target`, for a client that names `authority` as its host.
    pub fn new(target: &Target, authority: &str) -> Self {
        let (scheme, default) = match target.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https | Scheme::Tls | Scheme::Tcp | Scheme::Dns | Scheme::Mcp => ("https", 443),
        };
        let port = match target.port == default {
            true => String::new(),
            false => format!(":{}", target.port),
        };
        let host = target.host.to_string();
        let host = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]"),
            false => host,
        };
        Self {
            far: format!("{scheme}://{host}{port}"),
            near: format!("http://{authority}"),
        }
    }

    /// A URL of the server's as its client knows it.
    fn to_near(&self, url: &str) -> Option<String> {
        moved(url, &self.far, &self.near)
    }

    /// A URL of the client's as the server knows it.
    fn to_far(&self, url: &str) -> Option<String> {
        moved(url, &self.near, &self.far)
    }

    /// The server's own URL of a path and query, where the query's `resource` names the server itself.
    pub fn far_url(&self, path: &str, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("{}{path}?{}", self.far, self.form(query.as_bytes())),
            None => format!("{}{path}", self.far),
        }
    }

    /// A form (or query) whose `resource` names the server as it knows itself.
    pub fn form(&self, form: &[u8]) -> String {
        let mut mended = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(form) {
            let far = (name == PARAMETER).then(|| self.to_far(&value)).flatten();
            mended.append_pair(&name, far.as_deref().unwrap_or(&value));
        }
        mended.finish()
    }

    /// Metadata whose addresses at the server are the client's; none where it is no object of JSON.
    pub fn metadata(&self, json: &[u8]) -> Option<Metadata> {
        let Value::Object(mut members) = serde_json::from_slice(json).ok()? else {
            return None;
        };
        let mut pages = Vec::new();
        for (name, value) in &mut members {
            if let (Value::String(url), true) = (&*value, name.ends_with(ENDPOINT))
                && let Some(path) = self.path_of(url)
            {
                let page = match name == "authorization_endpoint" {
                    true => Page::Authorize,
                    false => Page::Exchange,
                };
                pages.push((path, page));
            }
            self.mend(value);
        }
        let json = serde_json::to_vec(&members).ok()?;
        Some(Metadata { json, pages })
    }

    fn mend(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(near) = self.to_near(text) {
                    *text = near;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mend(item)),
            Value::Object(members) => members.values_mut().for_each(|item| self.mend(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The path of a URL at the server.
    fn path_of(&self, url: &str) -> Option<String> {
        let rest = self.to_near(url)?;
        let path = &rest[self.near.len()..];
        let path = path.split(['?', '#']).next().unwrap_or_default();
        (path.len() > 1).then(|| path.to_owned())
    }

    /// A challenge (RFC 9728, section 5.1) that leads the client to the metadata by its own address, and
    /// the path there; none where it leads elsewhere.
    pub fn challenge(&self, value: &str) -> Option<(String, String)> {
        const NAME: &str = "resource_metadata=\"";
        let start = value.find(NAME)? + NAME.len();
        let end = value[start..]
            .find('"')
            .map_or(value.len(), |at| start + at);
        let url = &value[start..end];
        let (near, path) = (self.to_near(url)?, self.path_of(url)?);
        Some((format!("{}{near}{}", &value[..start], &value[end..]), path))
    }
}

/// A URL at another origin, if it is at this one.
fn moved(url: &str, from: &str, to: &str) -> Option<String> {
    let head = url.get(..from.len())?;
    let rest = &url[from.len()..];
    let is_here = head.eq_ignore_ascii_case(from);
    let is_whole = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    (is_here && is_whole).then(|| format!("{to}{rest}"))
}

#[cfg(test)]
mod tests {
    use carboy_engine::{Host, Scheme, Target};

    use super::{Addresses, Page};

    fn addresses() -> Addresses {
        let target = Target {
            scheme: Scheme::Https,
            host: Host::parse("far.example").expect("a host"),
            port: 443,
        };
        Addresses::new(&target, "127.0.0.1:9")
    }

    #[test]
    fn pages_are_told_by_their_path() {
        for (path, page) in [
            (
                "/.well-known/oauth-protected-resource/mcp",
                Some(Page::Metadata),
            ),
            (
                "/.well-known/oauth-authorization-server",
                Some(Page::Metadata),
            ),
            (
                "/tenant/.well-known/openid-configuration",
                Some(Page::Metadata),
            ),
            ("/authorize", Some(Page::Authorize)),
            ("/token", Some(Page::Exchange)),
            ("/.well-known/oauth-protected-resources", None),
            ("/mcp", None),
        ] {
            assert_eq!(Page::of(path), page, "{path}");
        }
    }

    #[test]
    fn each_side_is_told_its_own_address() {
        let own = addresses();
        let challenge = "Bearer error=\"x\", resource_metadata=\"https://far.example/.well-known/a\", scope=\"b\"";
        let near = challenge.replace("https://far.example/", "http://127.0.0.1:9/");
        let path = "/.well-known/a".to_owned();
        assert_eq!(own.challenge(challenge), Some((near, path)));
        for same in [
            "Bearer realm=\"far\"",
            "Bearer resource_metadata=\"https://far.example.evil.example/a\"",
            "Bearer resource_metadata=\"https://other.example/a\"",
        ] {
            assert_eq!(own.challenge(same), None);
        }
        assert_eq!(
            own.far_url(
                "/authorize",
                Some("resource=http%3A%2F%2F127.0.0.1%3A9%2Fmcp&state=a%2Bb&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb")
            ),
            "https://far.example/authorize?resource=https%3A%2F%2Ffar.example%2Fmcp&state=a%2Bb&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb"
        );
        assert_eq!(
            own.form(b"resource=https%3A%2F%2Fother.example&code=x"),
            "resource=https%3A%2F%2Fother.example&code=x"
        );
    }

    #[test]
    fn metadata_names_the_clients_address_and_its_own_pages() {
        let json = br#"{"issuer":"https://far.example","resource":"https://FAR.example/mcp","jwks_uri":"https://keys.example/k",
            "authorization_servers":["https://far.example","https://login.example"],
            "authorization_endpoint":"https://far.example/oauth/start?x=1","token_endpoint":"https://far.example/oauth/token",
            "registration_endpoint":"https://login.example/register"}"#;
        let found = addresses().metadata(json).expect("an object");
        let value: serde_json::Value = serde_json::from_slice(&found.json).expect("JSON");
        assert_eq!(value["resource"], "http://127.0.0.1:9/mcp");
        assert_eq!(value["issuer"], "http://127.0.0.1:9");
        assert_eq!(value["jwks_uri"], "https://keys.example/k");
        assert_eq!(value["authorization_servers"][0], "http://127.0.0.1:9");
        assert_eq!(value["authorization_servers"][1], "https://login.example");
        assert_eq!(
            value["registration_endpoint"],
            "https://login.example/register"
        );
        let mut pages = found.pages;
        pages.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            pages,
            [
                ("/oauth/start".to_owned(), Page::Authorize),
                ("/oauth/token".to_owned(), Page::Exchange)
            ]
        );
        assert_eq!(addresses().metadata(b"[1]"), None);
    }
}
