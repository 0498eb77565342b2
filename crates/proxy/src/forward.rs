//! A client that takes the gate for a proxy: what it speaks is told by its first byte.

use std::io;
use std::sync::Arc;

use carboy_wire::socks;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::gate::Gate;
use crate::http;
use crate::limits::CLIENT_IDLE_TIMEOUT;
use crate::login::Login;
use crate::socks as adapter;

/// Serves one client to its end: SOCKS, or else HTTP. It must give `login`, if there is one.
pub(crate) async fn serve(gate: Arc<Gate>, stream: TcpStream, login: Option<Arc<Login>>) {
    let first = tokio::select! {
        first = timeout(CLIENT_IDLE_TIMEOUT, first_byte(&stream)) => first,
        () = gate.stopping() => return,
    };
    match first {
        Ok(Ok(Some(socks::VERSION))) => adapter::serve(gate, stream, login.as_deref()).await,
        Ok(Ok(Some(socks::VERSION_4))) => adapter::refuse_version_4(&gate, stream).await,
        Ok(Ok(Some(_))) => http::serve_proxy(gate, stream, login).await,
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client is gone"),
    }
}

/// The first byte, still to be read; none where the client says nothing and ends.
async fn first_byte(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let seen = stream.peek(&mut byte).await?;
    Ok((seen > 0).then_some(byte[0]))
}
