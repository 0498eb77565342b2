//! Connections that go through another proxy: `egress.proxy`.

use std::env;
use std::io;
use std::net::SocketAddr;

use ::http::HeaderValue;
use carboy_engine::{Fault, Permit, UpstreamProxy};
use carboy_wire::http::{Answered, basic_login, connect_answer, connect_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Far, Upstream, interleaved, race, server_name};
use crate::limits::{CONNECT_TOTAL_TIMEOUT, PROXY_ANSWER_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT};

impl Upstream {
    /// A connection to the proxy, inside TLS where its URL says so: then its certificate is verified as a
    /// far end's is.
    pub(super) async fn to_proxy(&self, proxy: &UpstreamProxy) -> Result<Far, Fault> {
        let tcp = self.dial_proxy(proxy).await?;
        if !proxy.is_sealed() {
            return Ok(Far::Tcp(tcp));
        }
        let name = server_name(proxy.host())?;
        let connecting = self.tls.http1.connect(name, tcp);
        match timeout(TLS_HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(Far::Sealed(Box::new(stream))),
            Ok(Err(error)) => Err(broken(&format!("failed its TLS handshake: {error}"))),
            Err(_) => Err(broken("did not finish its TLS handshake in time")),
        }
    }

    async fn dial_proxy(&self, proxy: &UpstreamProxy) -> Result<TcpStream, Fault> {
        let found = self.resolver().resolve(proxy.host()).await;
        let found = found.map_err(|fault| match fault {
            Fault::Unresolved(why) => broken(&format!("could not be resolved: {why}")),
            other => other,
        })?;
        let addresses: Vec<_> = found
            .into_iter()
            .map(|address| SocketAddr::new(address, proxy.port()))
            .collect();
        match timeout(CONNECT_TOTAL_TIMEOUT, race(&interleaved(&addresses))).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) | Err(_) => Err(broken("could not be reached")),
        }
    }

    /// A connection to the far end through the proxy.
    pub(super) async fn through(
        &self,
        proxy: &UpstreamProxy,
        permit: &Permit,
    ) -> Result<Far, Fault> {
        let mut stream = self.to_proxy(proxy).await?;
        let request = connect_request(permit.target(), login(proxy)?.as_ref());
        let asking = async {
            stream.write_all(&request).await?;
            stream.flush().await?;
            answer(&mut stream).await
        };
        match timeout(CONNECT_TOTAL_TIMEOUT, asking).await {
            Ok(Ok(200..=299)) => Ok(stream),
            Ok(Ok(407)) => Err(wants_login()),
            Ok(Ok(status)) => Err(broken(&format!("answered CONNECT with {status}"))),
            Ok(Err(error)) => Err(broken(&format!("broke off: {error}"))),
            Err(_) => Err(broken("did not answer in time")),
        }
    }
}

/// What the proxy is told of who asks.
///
/// # Errors
/// When the variable is not set, or does not hold `user:password`.
pub(super) fn login(proxy: &UpstreamProxy) -> Result<Option<HeaderValue>, Fault> {
    let Some(name) = proxy.login_variable() else {
        return Ok(None);
    };
    let value = env::var(name).map(Zeroizing::new).ok();
    let login = value.filter(|value| value.contains(':'));
    match login.and_then(|login| basic_login(&login)) {
        Some(value) => Ok(Some(value)),
        None => Err(broken(&format!("needs {name} to hold user:password"))),
    }
}

/// The fault of a proxy that does not know who asks.
pub(crate) fn wants_login() -> Fault {
    broken("wants another login (407); see `egress.proxy.login`")
}

fn broken(what: &str) -> Fault {
    Fault::Upstream(format!("the upstream proxy {what}"))
}

/// Reads the answer to a `CONNECT`, and not a byte of what follows: that is the far end's. Nothing can
/// be looked at ahead inside TLS, so each byte is read by itself; there are some hundred.
async fn answer(stream: &mut Far) -> io::Result<u16> {
    let mut said = Vec::new();
    while said.len() < PROXY_ANSWER_BYTES_MAX {
        said.push(stream.read_u8().await?);
        if said.last() != Some(&b'\n') {
            continue;
        }
        match connect_answer(&said) {
            Answered::Status(status, _) => return Ok(status),
            Answered::Incomplete => {}
            Answered::Malformed => break,
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}
