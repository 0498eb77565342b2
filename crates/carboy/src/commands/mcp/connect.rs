//! `carboy mcp connect`: a remote server to a client that only starts programs, with the gate between.

use anyhow::{Context, Result};
use carboy_proxy::mcp::serve_connected;
use tokio::signal::unix::{SignalKind, signal};

use super::far_end::FarEnd;
use crate::cli::McpConnectArgs;
use crate::outcome::Outcome;

/// Speaks to the server until the client ends, or SIGINT or SIGTERM comes.
pub(super) fn run(args: &McpConnectArgs) -> Result<Outcome> {
    let far_end = FarEnd::parse(&args.remote)?;
    let carrier = far_end.carrier;
    far_end.reach(&args.far, async |remote| {
        let mut ends = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let client = (tokio::io::stdin(), tokio::io::stdout());
        tokio::select! {
            ended = serve_connected(remote, carrier, client) => {
                ended.context("cannot go on speaking to the server")
            }
            _ = ends.0.recv() => Ok(()),
            _ = ends.1.recv() => Ok(()),
        }
    })?;
    Ok(Outcome::Clean)
}
