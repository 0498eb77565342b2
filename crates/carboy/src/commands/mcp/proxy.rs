//! `carboy mcp proxy`: a remote server, with the gate before it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use carboy_engine::{Host, Scheme, Target};
use carboy_proxy::mcp::{AddedFields, Remote, Server, ServerName, serve_remote};
use carboy_proxy::{CertificateAuthority, Totals};
use hyper::http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;

use super::headers::{Sources, make_known};
use crate::assemble::{self, Parts};
use crate::cli::McpProxyArgs;
use crate::known;
use crate::outcome::Outcome;
use crate::output;
use crate::paths;
use crate::policies;
use crate::refusals::{PlainScreen, Refusals, Silence};

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &McpProxyArgs) -> Result<Outcome> {
    let (target, endpoint) = far_end(&args.remote)?;
    let name = name(args.name.as_deref(), &target)?;
    let sources = Sources::parse(&args.header_env, &args.header_file)?;
    let headers = sources.read()?;
    let choice = args.policy.policy.as_deref();
    let chosen = policies::choose(choice)?;
    let mut gathered = known::gather(&chosen.policy, &[])?;
    make_known(&headers, &mut gathered.known);
    policies::advise(&chosen, choice, Path::new("."));
    gathered.advise();
    let state = paths::state_dir()?;
    let refusals = (!args.quiet).then(|| Refusals::start(PlainScreen));
    let observer = refusals
        .as_ref()
        .map_or_else(|| Arc::new(Silence) as _, Refusals::observer);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let totals = runtime.block_on(async {
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
        let server = Server::remote(Arc::clone(&gate), &state, &name, target)
            .context("cannot use what is kept of the server's tools")?;
        let headers = Arc::new(AddedFields::new(headers));
        let hangup = signal(SignalKind::hangup())?;
        let following = tokio::spawn(sources.follow(Arc::clone(&headers), hangup));
        let remote = Remote {
            server,
            endpoint,
            headers,
        };
        serve(args, remote).await?;
        following.abort();
        gate.evidence().close().context("cannot end the receipts")?;
        anyhow::Ok(gate.totals())
    })?;
    drop(runtime);
    if let Some(refusals) = refusals {
        refusals.finish();
    }
    let Totals {
        crossings,
        refusals,
    } = totals;
    output::note(output::counts(crossings, refusals));
    Ok(Outcome::Clean)
}

async fn serve(args: &McpProxyArgs, remote: Remote) -> Result<()> {
    // The handlers come before the address is told, so that whoever reads it may signal at once.
    let ends = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let socket = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let (address, path) = (socket.local_addr()?, remote.endpoint.as_str());
    output::line(format_args!("listening on http://{address}{path}"))?;
    Ok(serve_remote(socket, remote, end(ends)).await?)
}

async fn end((mut interrupt, mut terminate): (Signal, Signal)) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Where a server's URL leads.
fn far_end(text: &str) -> Result<(Target, PathAndQuery)> {
    let url = Url::parse(text).with_context(|| format!("`{text}` is no URL"))?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => bail!("`{other}` is not carried: a server's URL begins with https:// or http://"),
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
    Ok((target, endpoint.parse()?))
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
    use super::{far_end, name};

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
            ("http://[::1]:9/", "http://[::1]:9", "/", "server-1-9"),
        ];
        for (url, target, path, called) in cases {
            let (found, endpoint) = far_end(url).unwrap();
            assert_eq!(
                (found.to_string(), endpoint.as_str()),
                (target.into(), path)
            );
            assert_eq!(name(None, &found).unwrap().to_string(), called);
        }
        for url in [
            "mcp.example.com",
            "ftp://a.example/",
            "https://user:pw@a.example/",
            "ws://a.example",
        ] {
            assert!(far_end(url).is_err(), "{url}");
        }
    }
}
