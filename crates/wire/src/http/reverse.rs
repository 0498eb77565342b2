//! A reverse proxy's side of HTTP: which host leads to which far end, and answers that name the far
//! end, named as the client knows it.

use ::http::header::{CONTENT_LOCATION, HeaderName, HeaderValue, LOCATION};
use ::http::request::Parts;
use ::http::{HeaderMap, Uri};
use carboy_engine::{Fault, Host, Scheme, Target};

use super::target::{
    absolute_target, default_port, host_header, malformed, parse_host, split_authority,
};

/// The hosts that a reverse proxy serves, and where each leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backends(Vec<(Host, Target)>);

/// What is wrong with a `HOST=URL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is no `=` in it.
    #[error("write HOST=URL, as in api.local=https://api.example.com")]
    Form,
    /// What stands before the `=` is no host.
    #[error("`{0}` is neither a host name nor an address; a port does not belong there")]
    Host(String),
    /// What stands behind it is no URL that can be led to.
    #[error("`{0}` is not http://HOST[:PORT] or https://HOST[:PORT], without a path")]
    Url(String),
    /// The host leads somewhere already.
    #[error("`{0}` is named twice")]
    Twice(String),
}

/// How a client of a reverse proxy knows the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facing {
    target: Target,
    /// The scheme and authority that the client used.
    base: String,
}

impl Backends {
    /// Adds one, as `HOST=URL`.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn add(&mut self, text: &str) -> Result<(), BackendError> {
        let (host, url) = text.split_once('=').ok_or(BackendError::Form)?;
        let own = parse_host(host).map_err(|_| BackendError::Host(host.into()))?;
        if self.target(&own).is_some() {
            return Err(BackendError::Twice(host.into()));
        }
        let target = target_of(url).ok_or_else(|| BackendError::Url(url.into()))?;
        self.0.push((own, target));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a host leads.
    pub fn target(&self, host: &Host) -> Option<&Target> {
        let mut known = self.0.iter();
        known.find(|(own, _)| own == host).map(|(_, target)| target)
    }

    /// The target of a request, by the host that it names, at whatever port.
    pub(super) fn route(&self, head: &Parts) -> Result<Target, Fault> {
        let host = named_host(head)?;
        self.target(&host)
            .cloned()
            .ok_or_else(|| Fault::TargetMismatch {
                first: "the hosts that --reverse names".into(),
                // Not quoted: an unverified name may carry content.
                second: "the request's, which is not among them".into(),
            })
    }
}

impl Facing {
    /// As the client names `target` in this request, over `scheme`.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when it does not name it.
    pub fn of(head: &Parts, target: &Target, scheme: Scheme) -> Result<Self, Fault> {
        let authority = authority(head)?;
        Ok(Self {
            target: target.clone(),
            base: format!("{}://{authority}", scheme.as_str()),
        })
    }

    /// Puts the client's name for the far end where the answer's `Location` and `Content-Location`
    /// have the far end's own. What leads elsewhere stays.
    pub fn rename(&self, headers: &mut HeaderMap) {
        for name in [LOCATION, CONTENT_LOCATION] {
            if let Some(value) = self.renamed(headers, &name) {
                headers.insert(name, value);
            }
        }
    }

    fn renamed(&self, headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
        let text = headers.get(name)?.to_str().ok()?;
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let named = target_of(&format!("{scheme}://{authority}"))?;
        (named == self.target)
            .then(|| HeaderValue::from_str(&format!("{}{path}", self.base)).ok())?
    }
}

fn target_of(url: &str) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let is_bare = uri.path() == "/" && uri.query().is_none() && !url.ends_with('#');
    let (host, port) = split_authority(uri.authority()?.as_str()).ok()?;
    let target = Target {
        scheme,
        host: parse_host(host).ok()?,
        port: port.or(default_port(scheme))?,
    };
    is_bare.then_some(target)
}

fn named_host(head: &Parts) -> Result<Host, Fault> {
    let (host, _) = split_authority(authority(head)?)?;
    let host = parse_host(host)?;
    if let Some(absolute) = absolute_target(head)? {
        // HTTP/2 names it in `:authority`; a `Host` beside it must agree.
        let also = host_header(head)?.map_or(Ok(host.clone()), |text| {
            split_authority(text).and_then(|(host, _)| parse_host(host))
        })?;
        if also != absolute.host {
            return Err(Fault::TargetMismatch {
                first: "the URL".into(),
                second: "Host, which names another host".into(),
            });
        }
    }
    Ok(host)
}

/// The authority that a request names: its URL's, or else its `Host`.
fn authority(head: &Parts) -> Result<&str, Fault> {
    if let Some(authority) = head.uri.authority() {
        return Ok(authority.as_str());
    }
    host_header(head)?.ok_or_else(|| malformed("no Host header"))
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    fn backends() -> Backends {
        let mut backends = Backends::default();
        backends.add("api.local=https://api.example.com").unwrap();
        backends.add("127.0.0.1=http://10.0.0.7:8080/").unwrap();
        backends
    }

    fn head(uri: &str, host: &str) -> Parts {
        let request = Request::get(uri).header("host", host).body(()).unwrap();
        request.into_parts().0
    }

    #[test]
    fn hosts_lead_to_their_far_ends() {
        for (uri, host, expect) in [
            ("/v1/x?q", "api.local", Some("https://api.example.com:443")),
            ("/", "API.local:8899", Some("https://api.example.com:443")),
            ("/", "127.0.0.1:8899", Some("http://10.0.0.7:8080")),
            (
                "http://api.local/",
                "api.local",
                Some("https://api.example.com:443"),
            ),
            ("http://api.local/", "127.0.0.1", None),
            ("/", "api.example.com", None),
            ("/", "u@api.local", None),
            ("/", "", None),
        ] {
            let found = backends().route(&head(uri, host));
            let found = found.ok().map(|target| target.to_string());
            assert_eq!(found.as_deref(), expect, "{uri} {host}");
        }
        let bare = Request::get("/").body(()).unwrap().into_parts().0;
        assert!(backends().route(&bare).is_err());
    }

    #[test]
    fn what_is_no_backend_is_told() {
        for (text, expect) in [
            ("api.local", BackendError::Form),
            (
                "api.local:80=http://a.example",
                BackendError::Host("api.local:80".into()),
            ),
            (
                "a.local=ftp://a.example",
                BackendError::Url("ftp://a.example".into()),
            ),
            (
                "a.local=http://a.example/v1",
                BackendError::Url("http://a.example/v1".into()),
            ),
            (
                "a.local=http://u:p@a.example",
                BackendError::Url("http://u:p@a.example".into()),
            ),
            (
                "api.local=http://a.example",
                BackendError::Twice("api.local".into()),
            ),
        ] {
            assert_eq!(backends().add(text), Err(expect), "{text}");
        }
    }

    #[test]
    fn only_the_far_ends_own_locations_are_renamed() {
        let asked = head("/", "api.local:8899");
        let target = backends().route(&asked).unwrap();
        let facing = Facing::of(&asked, &target, Scheme::Http).unwrap();
        for (location, expect) in [
            (
                "https://api.example.com/next?a#b",
                "http://api.local:8899/next?a#b",
            ),
            ("https://API.example.com:443", "http://api.local:8899"),
            ("https://api.example.com?q", "http://api.local:8899?q"),
            ("http://api.example.com/", "http://api.example.com/"),
            (
                "https://api.example.com:8443/",
                "https://api.example.com:8443/",
            ),
            ("https://login.example.com/", "https://login.example.com/"),
            ("/relative", "/relative"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            facing.rename(&mut headers);
            assert_eq!(headers[LOCATION], expect);
        }
    }
}
