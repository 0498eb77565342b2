//! `carboy mcp proxy`: a remote server, with the gate before it.

use anyhow::{Context, Result};
use carboy_proxy::mcp::{Carrier, Remote, serve_remote};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::far_end::FarEnd;
use crate::cli::McpProxyArgs;
use crate::outcome::Outcome;
use crate::output;

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &McpProxyArgs) -> Result<Outcome> {
    let far_end = FarEnd::parse(&args.remote)?;
    let carrier = far_end.carrier;
    let serve = async |remote| serve(args, carrier, remote).await;
    let totals = far_end.reach(&args.far, serve)?;
    output::note(output::counts(totals.crossings, totals.refusals));
    Ok(Outcome::Clean)
}

async fn serve(args: &McpProxyArgs, carrier: Carrier, remote: Remote) -> Result<()> {
    // The handlers come before the address is told, so that whoever reads it may signal at once.
    let ends = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let socket = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let (address, path) = (socket.local_addr()?, remote.endpoint.as_str());
    let scheme = match carrier {
        Carrier::Http => "http",
        Carrier::WebSocket => "ws",
    };
    output::line(format_args!("listening on {scheme}://{address}{path}"))?;
    Ok(serve_remote(socket, remote, end(ends)).await?)
}

async fn end((mut interrupt, mut terminate): (Signal, Signal)) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
