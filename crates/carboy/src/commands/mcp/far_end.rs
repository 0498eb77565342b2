//! A remote server: where it is, and the gate before it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use carboy_engine::{Host, Scheme, Target};
use carboy_proxy::mcp::{AddedFields, Carrier, Remote, Server, ServerName};
use carboy_proxy::{CertificateAuthority, Totals};
use hyper::http::uri::PathAndQuery;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::headers::{Sources, make_known};
use crate::assemble::{self, Parts};
use crate::cli::McpFarArgs;
use crate::known;
use crate::paths;
use crate::policies;
use crate::refusals::{PlainScreen, Refusals, Silence};

/// Where a remote server is.
#[derive(Debug)]
pub(super) struct FarEnd {
    target: Target,
    endpoint: PathAndQuery,
    pub(super) carrier: Carrier,
}

impl FarEnd {
    /// Reads a server's URL.
    pub(super) fn parse(text: &str) -> Result<Self> {
        read(text)
    }

    /// Makes the gate before it, and has `serve` serve it to its end. Returns what was counted.
    pub(super) fn reach(
        self,
        args: &McpFarArgs,
        serve: impl AsyncFnOnce(Remote) -> Result<()>,
    ) -> Result<Totals> {
        let name = name(args.name.as_deref(), &self.target)?;
        let sources = Sources::parse(&args.header_env, &args.header_file)?;
        let headers = sources.read()?;
        let choice = args.policy.policy.as_deref();
        let chosen = policies::choose(choice)?;
        let mut gathered = known::gather(&chosen.policy, &[])?;
        make_known(&headers, &mut gathered.known);
        if !args.quiet {
            policies::advise(&chosen, choice, Path::new("."));
            gathered.advise();
        }
        let state = paths::state_dir()?;
        let refusals = (!args.quiet).then(|| Refusals::start(PlainScreen));
        let observer = refusals
            .as_ref()
            .map_or_else(|| Arc::new(Silence) as _, Refusals::observer);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let served = runtime.block_on(async {
            let gate = assemble::gate(Parts {
                policy: chosen.policy,
                known: gathered.known,
                name: &format!("mcp-{name}"),
                bottle: false,
                state: &state,
                upstream: &args.upstream,
                authority: CertificateAuthority::generate()?,
                observer,
            })?;
            let server = Server::remote(Arc::clone(&gate), &state, &name, self.target)
                .context("cannot use what is kept of the server's tools")?;
            let headers = Arc::new(AddedFields::new(headers));
            let hangup = signal(SignalKind::hangup())?;
            let following = tokio::spawn(sources.follow(Arc::clone(&headers), hangup));
            let remote = Remote {
                server,
                endpoint: self.endpoint,
                headers,
            };
            let served = serve(remote).await;
            following.abort();
            gate.evidence().close().context("cannot end the receipts")?;
            served.map(|()| gate.totals())
        });
        // A thread may still wait for standard input, and would for ever.
        runtime.shutdown_background();
        if let Some(refusals) = refusals {
            refusals.finish();
        }
        served
    }
}

/// Where a server's URL leads.
fn read(text: &str) -> Result<FarEnd> {
    let url = Url::parse(text).with_context(|| format!("`{text}` is no URL"))?;
    let (scheme, carrier) = match url.scheme() {
        "http" => (Scheme::Http, Carrier::Http),
        "https" => (Scheme::Https, Carrier::Http),
        "ws" => (Scheme::Http, Carrier::WebSocket),
        "wss" => (Scheme::Https, Carrier::WebSocket),
        other => bail!(
            "`{other}` is not carried: a server's URL begins with https://, http://, wss:// or ws://"
        ),
    };
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "a password in a URL is seen by every process: give it with --header-env or --header-file"
    );
    let host = url.host_str().context("the URL has no host")?;
    let target = Target {
        scheme,
        host: Host::parse(host).with_context(|| format!("`{host}` is no host"))?,
        port: url.port_or_known_default().context("the URL has no port")?,
    };
    let query = url.query().map(|query| format!("?{query}"));
    let endpoint = format!("{}{}", url.path(), query.unwrap_or_default());
    Ok(FarEnd {
        target,
        endpoint: endpoint.parse()?,
        carrier,
    })
}

/// The name that was given, or one made from the far end.
fn name(given: Option<&str>, target: &Target) -> Result<ServerName> {
    let port = match (target.scheme, target.port) {
        (Scheme::Https, 443) | (Scheme::Http, 80) => String::new(),
        (_, port) => format!("-{port}"),
    };
    let made = match &target.host {
        Host::Name(name) if name.starts_with(|c: char| c.is_ascii_lowercase()) => {
            format!("{name}{port}")
        }
        host => {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let host: String = host.to_string().chars().map(plain).collect();
            format!("server-{}{port}", host.trim_matches('-'))
        }
    };
    super::server_name::parse(given.unwrap_or(&made))
}

#[cfg(test)]
mod tests {
    use super::{FarEnd, name};

    #[test]
    fn far_ends_are_read() {
        let cases = [
            (
                "https://mcp.example.com/mcp",
                "https://mcp.example.com:443",
                "/mcp",
                "mcp.example.com",
            ),
            (
                "https://mcp.example.com:8443",
                "https://mcp.example.com:8443",
                "/",
                "mcp.example.com-8443",
            ),
            (
                "http://127.0.0.1:3001/sse?a=b",
                "http://127.0.0.1:3001",
                "/sse?a=b",
                "server-127-0-0-1-3001",
            ),
            (
                "wss://mcp.example.com/ws",
                "https://mcp.example.com:443",
                "/ws",
                "mcp.example.com",
            ),
            ("http://[::1]:9/", "http://[::1]:9", "/", "server-1-9"),
        ];
        for (url, target, path, called) in cases {
            let found = FarEnd::parse(url).unwrap();
            assert_eq!(
                (found.target.to_string(), found.endpoint.as_str()),
                (target.into(), path)
            );
            assert_eq!(name(None, &found.target).unwrap().to_string(), called);
        }
        for url in [
            "mcp.example.com",
            "ftp://a.example/",
            "https://user:pw@a.example/",
            "stdio://a.example",
        ] {
            assert!(FarEnd::parse(url).is_err(), "{url}");
        }
    }
}
